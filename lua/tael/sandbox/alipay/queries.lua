--- Which trade a call means, and alipay.trade.query (protocol reference §8.7).
local answers = require "tael.sandbox.alipay.answers"
local clock = require "tael.sandbox.alipay.clock"
local trades = require "tael.sandbox.alipay.trades"
local yuan = require "tael.sandbox.alipay.yuan"

local queries = {}

--- The trade of a call: trade_no wins when both are given.
---@param call table
---@return table? trade
---@return table? failure
function queries.find(call)
    local content = call.content
    local trade
    if type(content.trade_no) == "string" then
        trade = trades.by_trade_no(call.app.app_id, content.trade_no)
    elseif type(content.out_trade_no) == "string" then
        trade = trades.get(call.app.app_id, content.out_trade_no)
    else
        return nil, answers.invalid("out_trade_no")
    end
    if not trade then
        return nil, answers.refuse("TRADE_NOT_EXIST")
    end
    return trade
end

--- alipay.trade.query
---@param call table
---@return table outcome members or failure
function queries.trade(_, call)
    local trade, failure = queries.find(call)
    if not trade then
        return failure
    end
    local total = yuan.text(trade.total)
    local taken = trade.paid_at and total or "0.00"
    return {
        { "buyer_logon_id", "csq***@sandbox.com" },
        { "buyer_pay_amount", taken },
        { "buyer_user_id", "2088102122524333" },
        { "invoice_amount", taken },
        { "out_trade_no", trade.out_trade_no },
        { "passback_params", trade.passback_params },
        { "point_amount", "0.00" },
        { "receipt_amount", taken },
        { "send_pay_date", trade.paid_at and clock.text(trade.paid_at) },
        { "total_amount", total },
        { "trade_no", trade.trade_no },
        { "trade_status", trade.status },
    }
end

return queries
