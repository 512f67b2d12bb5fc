--- What a channel's answer says about a refund, as far as the kernel may act on it: of this order, of this
--- refund, and written in the part that was signed.
local evidence = require "tael.kernel.evidence"
local ids = require "tael.kernel.ids"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"

local refund_answer = {}

--- The fact of an answer that says how a refund stands.
local function fact_of(asked, result)
    local is_query = asked.op == "refund_query"
    return {
        kind = "refund", state = result.state, channel_state = result.channel_state,
        order_no = result.order_no, trade_no = result.trade_no,
        refund_no = is_query and result.refund_no or nil,
        amount = is_query and result.amount or nil, total = not is_query and result.refunded_total or nil,
        currency = result.currency, at = result.at,
        code = result.channel_state or result.channel_code or result.code,
    }
end

--- It is about this order and this refund, and what it says was signed.
local function admit(asked, fact, refund, attempt)
    if fact.order_no ~= ids.order_number(attempt.id) then
        return nil, { check = "order", detail = "the answer is about another order" }
    elseif fact.trade_no and attempt.trade_no and fact.trade_no ~= attempt.trade_no then
        return nil, { check = "order", detail = "the answer names another trade number" }
    elseif asked.op == "refund_query" and fact.refund_no ~= ids.order_number(refund.id, "ref") then
        return nil, { check = "order", detail = "the answer is about another refund" }
    end
    local package = registry.package(asked.account)
    return evidence.admit { proof = asked.outcome.evidence, message = asked.outcome.message,
        account = asked.account, fact = fact, stated = (package.stated or {})[asked.op],
        amounts = package.amounts }
end

--- Class and fact as the decision may use them: what was not proved is "unknown", what does not fit is
--- "refused".
---@param asked tael.kernel.Asked
---@param refund table row
---@param attempt table row
---@return string class
---@return table? fact
---@return string? detail
function refund_answer.judge(asked, refund, attempt)
    local outcome = asked.outcome
    local result = outcome.result
    if not outcome.evidence or not result then
        return outcome.class == "not_sent" and "not_sent" or "unknown"
    elseif outcome.class ~= "ok" then
        return outcome.class,
            { code = result.channel_code or result.code, decline_code = outcome.decline_code }
    end
    local fact = fact_of(asked, result)
    local good, refusal = admit(asked, fact, refund, attempt)
    if good then
        return "ok", fact
    end
    settle.alarm("answer_refused", { call = ids.encode("cal", asked.call), check = refusal.check,
        detail = refusal.detail, refund = ids.encode("ref", refund.id) })
    return "refused", nil, refusal.detail
end

return refund_answer
