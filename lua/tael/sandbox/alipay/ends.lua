--- alipay.trade.close and alipay.trade.cancel (protocol reference §8.8, §8.9).
local time = require "tael.time"

local answers = require "tael.sandbox.alipay.answers"
local clock = require "tael.sandbox.alipay.clock"
local money = require "tael.sandbox.alipay.money"
local payer = require "tael.sandbox.alipay.payer"
local queries = require "tael.sandbox.alipay.queries"
local trades = require "tael.sandbox.alipay.trades"

local ends = {}

local CANCEL_WINDOW = 24 * 3600 * 1000

--- A payer who pays in the very moment in which the merchant wants to end the order.
local function meanwhile(state, call, trade)
    if call.fault and call.fault.name == "paid_meanwhile" and trade.status == "WAIT_BUYER_PAY" then
        return payer.pay(state, trade)
    end
    return trade
end

--- alipay.trade.close: only a trade that waits.
---@param state table
---@param call table
---@return table outcome members or failure
function ends.close(state, call)
    local trade, failure = queries.find(call)
    if not trade then
        return failure
    end
    trade = meanwhile(state, call, trade)
    if trade.status == "TRADE_CLOSED" then
        return answers.refuse("REASON_TRADE_STATUS_INVALID")
    end
    trade = trades.close(trade)
    if trade.status ~= "TRADE_CLOSED" then
        return answers.refuse("TRADE_STATUS_ERROR")
    end
    return { { "out_trade_no", trade.out_trade_no }, { "trade_no", trade.trade_no } }
end

local function cancelled(trade, action, retry, moved_at)
    return {
        { "action", action },
        { "gmt_refund_pay", moved_at and clock.text(moved_at) },
        { "out_trade_no", trade.out_trade_no },
        { "retry_flag", retry },
        { "trade_no", trade.trade_no },
    }
end

--- A paid trade gives back what it still holds; while a refund is in process it cannot.
local function reverse(state, trade)
    if trade.reserved > trade.refunded then
        return cancelled(trade, nil, "Y")
    end
    local done, word = money.give_back(state, trade,
        { kind = "cancel", out_request_no = "", amount = trade.total - trade.refunded })
    if not done and word == "balance_too_low" then
        return answers.refuse("SELLER_BALANCE_NOT_ENOUGH")
    elseif not done then -- a refund or another cancel came before
        return cancelled(trade, nil, "Y")
    end
    return cancelled(trade, "refund", "N", money.find(trade, "cancel", "").moved_at)
end

local function end_trade(state, trade)
    if trade.status == "WAIT_BUYER_PAY" then
        trade = trades.close(trade)
    end
    if trade.status == "TRADE_CLOSED" then
        local made = money.find(trade, "cancel", "")
        return cancelled(trade, trade.paid_at and "refund" or "close", "N", made and made.moved_at)
    elseif trade.status == "TRADE_FINISHED" then
        return answers.refuse("TRADE_HAS_FINISHED")
    end
    return reverse(state, trade)
end

--- alipay.trade.cancel: an order that nobody opened is none; one that was paid gives the money back.
---@param state table
---@param call table
---@return table outcome members or failure
function ends.cancel(state, call)
    local trade, failure = queries.find(call)
    if not trade and failure.sub_code == "ACQ.TRADE_NOT_EXIST" then
        return { { "out_trade_no", call.content.out_trade_no }, { "retry_flag", "N" } }
    elseif not trade then
        return failure
    elseif trade.created_at + CANCEL_WINDOW <= time.now() then
        return answers.refuse("TRADE_CANCEL_TIME_OUT")
    elseif call.fault and call.fault.name == "retry" then
        return cancelled(trade, nil, "Y")
    elseif call.fault and call.fault.name == "balance_too_low" and trade.status == "TRADE_SUCCESS" then
        return answers.refuse("SELLER_BALANCE_NOT_ENOUGH")
    end
    return end_trade(state, meanwhile(state, call, trade))
end

return ends
