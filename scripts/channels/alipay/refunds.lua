--- Refunds (protocol reference §8.10, §8.11). The same out_request_no with the same amount moves money once,
--- however often it is sent.
local answer = require "channels.alipay.answer"
local money = require "tael.money"
local request = require "channels.alipay.request"
local values = require "channels.alipay.values"

local refunds = {}

refunds.methods = { refund = "alipay.trade.refund", refund_query = "alipay.trade.fastpay.refund.query" }

-- words of ours, for answers that say 10000 and mean something else; op_codes.lua gives their meaning
refunds.unknown_refund = "REFUND_NOT_KNOWN"
refunds.in_process = "REFUND_WITHOUT_STATUS"

local max_reason = 256 -- characters

local text_of = values.text

--- Cut, not refused: when it is sent the refund stands, and every repeat must be the same.
local function reason_of(ctx)
    local reason = text_of(ctx.refund.reason)
    local past = reason and utf8.offset(reason, max_reason + 1)
    return past and reason:sub(1, past - 1) or reason
end

refunds.refund = {
    build = function(account, ctx)
        return request.execute(account, ctx, refunds.methods.refund, {
            out_trade_no = ctx.attempt.order_no,
            out_request_no = ctx.refund.refund_no,
            refund_amount = money.format(ctx.refund.amount, ctx.refund.currency),
            refund_reason = reason_of(ctx),
        })
    end,

    --- fund_change Y: the money went. N or nothing: a query decides. refund_fee is of all refunds together.
    parse = function(_, evidence, message)
        local result, node = answer.read(evidence, message)
        if not node then
            return result
        end
        result.state = text_of(node.fund_change)
        result.refunded_total, result.currency = values.amount(node.refund_fee), values.currency
        result.at = values.time(node.gmt_refund_pay)
        return result
    end,
}

--- 10000 without refund_status: no such refund when it says nothing of one, and otherwise one that has not
--- succeeded, for whatever reason.
local function without_status(result, node)
    if text_of(node.error_code) then
        result.code = node.error_code
    elseif text_of(node.refund_amount) then
        result.code = refunds.in_process
    else
        result.code = refunds.unknown_refund
    end
    result.channel_code = result.code
    return result
end

refunds.refund_query = {
    build = function(account, ctx)
        return request.execute(account, ctx, refunds.methods.refund_query, {
            out_trade_no = ctx.attempt.order_no,
            out_request_no = ctx.refund.refund_no,
            query_options = { "gmt_refund_pay" },
        })
    end,

    parse = function(_, evidence, message)
        local result, node = answer.read(evidence, message)
        if not node then
            return result
        end
        result.state = text_of(node.refund_status)
        if not result.state then
            return without_status(result, node)
        end
        result.refund_no = text_of(node.out_request_no)
        result.amount, result.currency = values.amount(node.refund_amount), values.currency
        result.at = values.time(node.gmt_refund_pay)
        return result
    end,
}

return refunds
