--- An order's life: made, asked about, closed, cancelled (protocol reference §8.1, §8.4, §8.7 to §8.9).
local answer = require "channels.alipay.answer"
local money = require "tael.money"
local request = require "channels.alipay.request"
local time = require "tael.time"
local values = require "channels.alipay.values"

local orders = {}

orders.methods = {
    create = "alipay.trade.precreate", -- the only one of them that is answered to us
    query = "alipay.trade.query",
    close = "alipay.trade.close",
    cancel = "alipay.trade.cancel",
}

local text_of = values.text

-- ---- made ----

local function order_of(ctx, product_code)
    local attempt = ctx.attempt
    return {
        out_trade_no = attempt.order_no,
        total_amount = money.format(attempt.amount, attempt.currency),
        subject = ctx.payment.subject,
        body = text_of(ctx.payment.description),
        product_code = product_code,
        time_expire = attempt.expires_at and time.format(attempt.expires_at, values.zone),
    }
end

--- Nothing leaves for Alipay: the payer's browser carries the signed order there.
local function page(account, ctx)
    local options = ctx.options
    local order = order_of(ctx, "FAST_INSTANT_TRADE_PAY")
    order.qr_pay_mode = options.qr_pay_mode
    order.qrcode_width = options.qrcode_width and tostring(options.qrcode_width)
    local signed = request.of(account, ctx, "alipay.trade.page.pay", order,
        { notify_url = ctx.notify_url, return_url = ctx.return_url })
    if not options.form then
        return { ["local"] = { next_action = {
            type = "redirect", method = "GET", url = request.url(account, signed),
        } } }
    end
    local url, fields = request.parts(account, signed)
    return { ["local"] = { next_action = {
        type = "form", method = "POST", url = url, charset = account.charset, fields = fields,
    } } }
end

--- A code for the payer to scan; no trade exists before somebody does.
local function qr(account, ctx)
    local name = next(ctx.options)
    if name then
        return nil, { field = "channel_options.alipay." .. name,
            message = name .. " is for the product page" }
    end
    return request.execute(account, ctx, orders.methods.create, order_of(ctx, account.qr_product_code),
        { notify_url = ctx.notify_url })
end

local products = { page = page, qr = qr }

orders.create = {
    build = function(account, ctx)
        return products[ctx.attempt.product](account, ctx)
    end,

    --- A code of another order would have its money go there.
    parse = function(_, evidence, message, ctx)
        local result, node = answer.read(evidence, message)
        if not node then
            return result
        elseif result.order_no ~= ctx.attempt.order_no then
            error("the code is of another order", 0)
        end
        result.next_action = { type = "qr_code", code_url = node.qr_code }
        return result
    end,
}

-- ---- asked about ----

local function number_of(ctx)
    return { out_trade_no = ctx.attempt.order_no }
end

--- A builder of requests that name nothing but the order.
local function about(op)
    return function(account, ctx)
        return request.execute(account, ctx, orders.methods[op], number_of(ctx))
    end
end

orders.query = {
    build = about "query",
    parse = function(_, evidence, message)
        local result, node = answer.read(evidence, message)
        if not node then
            return result
        end
        result.state, result.given_back = values.state(node.trade_status, text_of(node.send_pay_date) ~= nil)
        result.amount, result.currency = values.amount(node.total_amount), values.currency
        result.at = values.time(node.send_pay_date)
        result.payer = values.payer(node)
        return result
    end,
}

-- ---- ended ----

orders.close = {
    build = about "close",
    parse = function(_, evidence, message)
        return (answer.read(evidence, message))
    end,
}

--- close: it was never paid. refund: it was, and the money went back. Neither: there is no such trade, or
--- it did not work; retry_flag tells.
local actions = { close = { reversed = false }, refund = { reversed = true } }
local again = { Y = true, N = false }

orders.cancel = {
    build = about "cancel",
    parse = function(_, evidence, message)
        local result, node = answer.read(evidence, message)
        if not node then
            return result
        end
        local word = text_of(node.action)
        local done = word and actions[word]
        result.again = again[node.retry_flag]
        if result.again == nil then
            error("retry_flag is neither Y nor N", 0)
        elseif word and not done then
            error("the action is unknown: " .. word:sub(1, 32), 0)
        end
        result.channel_state, result.reversed = word, false
        if done and not result.again then
            result.state, result.reversed = "cancelled", done.reversed
        end
        return result
    end,
}

return orders
