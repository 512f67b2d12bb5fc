--- alipay.trade.refund and alipay.trade.fastpay.refund.query (protocol reference §8.10, §8.11). The same
--- out_request_no with the same amount moves money once, however often it comes.
local time = require "tael.time"

local answers = require "tael.sandbox.alipay.answers"
local clock = require "tael.sandbox.alipay.clock"
local money = require "tael.sandbox.alipay.money"
local queries = require "tael.sandbox.alipay.queries"
local trades = require "tael.sandbox.alipay.trades"
local yuan = require "tael.sandbox.alipay.yuan"

local refunds = {}

local LAG = 10000

local function is_number(value)
    return type(value) == "string" and #value >= 1 and #value <= 64 and not value:find("%c")
end

local function asks_for(content, name)
    local asked = content.query_options
    for _, option in ipairs(type(asked) == "table" and asked or {}) do
        if option == name then
            return true
        end
    end
    return false
end

--- What the merchant wants back, checked on its own.
local function read_wish(call, trade)
    local content = call.content
    local amount = yuan.fen(content.refund_amount)
    if not amount then
        return nil, answers.invalid("refund_amount")
    elseif content.out_request_no ~= nil and not is_number(content.out_request_no) then
        return nil, answers.invalid("out_request_no")
    elseif content.refund_reason ~= nil and
        (type(content.refund_reason) ~= "string" or #content.refund_reason > 1024) then
        return nil, answers.invalid("refund_reason")
    end
    return {
        kind = "refund", out_request_no = content.out_request_no or trade.out_trade_no, amount = amount,
        reason = content.refund_reason, numbered = content.out_request_no ~= nil,
    }
end

--- Why the state of the trade forbids a new refund; nil: it does not.
local function refusal(trade, wish)
    if trade.status == "WAIT_BUYER_PAY" then
        return answers.refuse("TRADE_STATUS_ERROR")
    elseif trade.status == "TRADE_FINISHED" then
        return answers.refuse("TRADE_HAS_FINISHED")
    elseif trade.status == "TRADE_CLOSED" then
        return answers.refuse("TRADE_HAS_CLOSE")
    elseif not wish.numbered and wish.amount ~= trade.total then
        return answers.refuse("REFUND_AMT_NOT_EQUAL_TOTAL")
    elseif trade.reserved + wish.amount > trade.total then
        return answers.refuse("REASON_TRADE_REFUND_FEE_ERR")
    end
end

local function items(content, amount)
    if not asks_for(content, "refund_detail_item_list") then
        return nil
    end
    return { raw = ('[{"amount":"%s","fund_channel":"ALIPAYACCOUNT"}]'):format(yuan.text(amount)) }
end

--- refunded: what the trade has given back in all, this refund included once it is done.
local function answer(call, trade, refund, fund_change, refunded)
    return {
        { "buyer_logon_id", "csq***@sandbox.com" },
        { "buyer_user_id", "2088102122524333" },
        { "fund_change", fund_change },
        { "gmt_refund_pay", refund.moved_at and clock.text(refund.moved_at) },
        { "out_trade_no", trade.out_trade_no },
        { "refund_detail_item_list", refund.moved_at and items(call.content, refund.amount) },
        { "refund_fee", yuan.text(refunded) },
        { "send_back_fee", refund.moved_at and yuan.text(refund.amount) },
        { "trade_no", trade.trade_no },
    }
end

--- The same number again: nothing moves, fund_change says so.
local function repeated(call, trade, seen, wish)
    if seen.amount ~= wish.amount then
        return answers.refuse("DISCORDANT_REPEAT_REQUEST")
    end
    return answer(call, trade, seen, "N", trade.refunded)
end

local words = {
    not_refundable = "REASON_TRADE_REFUND_FEE_ERR", balance_too_low = "SELLER_BALANCE_NOT_ENOUGH",
}

--- What a test wants to be different about this refund.
local function twist(state, call, wish)
    local fault = call.fault
    if fault and (fault.name == "in_process" or fault.name == "in_process_fails") then
        wish.ends_at = time.now() + clock.pause(state, fault.ms, LAG)
        wish.fails = fault.name == "in_process_fails"
    elseif fault and fault.name == "query_lags" then
        wish.lag_ms = clock.pause(state, fault.ms, LAG)
    end
    wish.notify = fault ~= nil and fault.name == "notice_first"
end

local function give_back(state, call, trade, wish)
    twist(state, call, wish)
    local before, word = money.give_back(state, trade, wish)
    if not before then
        local seen = money.find(trade, "refund", wish.out_request_no)
        trade = trades.get(trade.app_id, trade.out_trade_no)
        if seen then -- the same request, at the same moment
            return repeated(call, trade, seen, wish)
        end
        return refusal(trade, wish) or answers.refuse(words[word])
    end
    call.notify_id = wish.notify_id
    local made = money.find(trade, "refund", wish.out_request_no)
    if wish.ends_at then
        return answer(call, before, made, "N", before.refunded)
    end
    return answer(call, before, made, "Y", before.refunded + wish.amount)
end

--- alipay.trade.refund
---@param state table
---@param call table
---@return table outcome members or failure
function refunds.refund(state, call)
    local trade, failure = queries.find(call)
    if not trade then
        return failure
    end
    local wish, wrong = read_wish(call, trade)
    if not wish then
        return wrong
    end
    local seen = money.find(trade, "refund", wish.out_request_no)
    if seen then -- maybe since the trade was read: its sum is newer than that
        return repeated(call, trades.get(trade.app_id, trade.out_trade_no), seen, wish)
    elseif call.fault and call.fault.name == "balance_too_low" then
        return answers.refuse("SELLER_BALANCE_NOT_ENOUGH")
    end
    return refusal(trade, wish) or give_back(state, call, trade, wish)
end

--- alipay.trade.fastpay.refund.query: success without fields when there is no such refund; no refund_status
--- while it is in process.
---@param call table
---@return table outcome members or failure
function refunds.query(_, call)
    local trade, failure = queries.find(call)
    local number = call.content.out_request_no
    if not trade then
        return failure
    elseif not is_number(number) then
        return answers.invalid("out_request_no")
    end
    local refund = money.find(trade, "refund", number)
    if not refund or refund.shown_at > time.now() then
        return {}
    end
    local done = refund.state == "done"
    local dated = done and asks_for(call.content, "gmt_refund_pay")
    return {
        { "gmt_refund_pay", dated and clock.text(refund.moved_at) },
        { "out_request_no", refund.out_request_no },
        { "out_trade_no", trade.out_trade_no },
        { "refund_amount", yuan.text(refund.amount) },
        { "refund_detail_item_list", done and items(call.content, refund.amount) },
        { "refund_reason", refund.reason },
        { "refund_status", done and "REFUND_SUCCESS" },
        { "total_amount", yuan.text(trade.total) },
        { "trade_no", trade.trade_no },
    }
end

return refunds
