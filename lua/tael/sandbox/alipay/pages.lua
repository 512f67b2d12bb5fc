--- What the simulated payer sees: the cashier with Pay and Refuse, and what became of the order.
local html = require "tael.sandbox.html"

local yuan = require "tael.sandbox.alipay.yuan"

local pages = {}

local function head(trade)
    return table.concat {
        "<h1>支付宝 Alipay · 沙箱 sandbox</h1>",
        '<p class="amount">¥', yuan.text(trade.total), "</p><dl>",
        "<dt>商品 item</dt><dd>", html.escape(trade.subject), "</dd>",
        trade.body and ("<dt>说明 note</dt><dd>" .. html.escape(trade.body) .. "</dd>") or "",
        "<dt>订单 order</dt><dd>", html.escape(trade.out_trade_no), "</dd></dl>",
    }
end

local function button(trade, action, label, class)
    return ('<form method="post" action="/cashier/%s/%s"><button class="%s">%s</button></form>')
        :format(trade.token, action, class, label)
end

local ends = {
    TRADE_SUCCESS = "<p>已支付 Paid. 可以关闭此页面 You may close this page.</p>",
    TRADE_FINISHED = "<p>已支付 Paid. 可以关闭此页面 You may close this page.</p>",
    TRADE_CLOSED = "<p>交易已关闭，未支付 Closed, nothing was paid.</p>",
    returned = "<p>交易已关闭，已退款 Closed, all was given back.</p>",
}

local function end_of(trade)
    local returned = trade.status == "TRADE_CLOSED" and trade.paid_at
    return ends[returned and "returned" or trade.status]
end

--- The page of a trade, by its state.
---@param trade table row of trades
---@return table response
function pages.trade(trade)
    local content = head(trade)
    if trade.status == "WAIT_BUYER_PAY" then
        content = content .. button(trade, "pay", "支付 Pay", "main")
            .. button(trade, "refuse", "拒绝 Refuse", "")
            .. '<p class="note">这是模拟的收银台，不会动用真实资金。 A simulated cashier: no real money moves.</p>'
    else
        content = content .. end_of(trade)
    end
    return html.page { title = "支付宝沙箱 Alipay sandbox", content = content,
        leaves = trade.return_url ~= nil }
end

--- After Refuse. The order stays open until it expires, as at Alipay: a payer may change his mind.
---@param trade table
---@return table response
function pages.refused(trade)
    return html.page {
        title = "支付宝沙箱 Alipay sandbox",
        content = head(trade) .. "<p>您拒绝了支付 You refused to pay. 订单仍可支付，直到过期 "
            .. "The order can still be paid until it expires.</p>"
            .. ('<p><a href="/cashier/%s">返回收银台 Back to the cashier</a></p>'):format(trade.token),
    }
end

--- After Pay, when a test wants the payer to have too little.
---@param trade table
---@return table response
function pages.too_little(trade)
    return html.page {
        title = "支付宝沙箱 Alipay sandbox",
        content = head(trade) .. "<p>余额不足，支付失败 The balance is too low, nothing was paid.</p>"
            .. ('<p><a href="/cashier/%s">返回收银台 Back to the cashier</a></p>'):format(trade.token),
    }
end

local reasons = {
    code_over = "二维码已失效 The code is no longer valid.",
    order_over = "订单已过期 The order is over.",
    other_order = "订单信息不一致 The number belongs to another order.",
}

--- A code that was scanned in vain.
---@param order table row of orders
---@param why string
---@return table response
function pages.not_scanned(order, why)
    return html.page {
        title = "支付宝沙箱 Alipay sandbox",
        content = head(order) .. "<p>" .. reasons[why] .. "</p>",
    }
end

---@return table response
function pages.missing()
    return html.page { title = "404", status = 404, content = "<p>没有此页面 There is no such page.</p>" }
end

return pages
