--- What an answer of the channel does to a refund. Data in, a decision out; the SQL guards stand behind it.
--- 1 The money counts as given back only when the channel says so of this refund and this amount. 2 It
--- counts as not given back only when the channel has said no and nothing else was ever sent, or still does
--- not know the refund some time after it has said no. 3 Whatever else happens, the money stays reserved and
--- the same number is asked for, or sent, again. 4 Silence decides nothing.
local refund_decide = {}

---@class tael.kernel.RefundCase
---@field refund table row
---@field op "refund"|"refund_query"
---@field class string of the outcome; "refused": what it says was not signed, or is about something else
---@field fact table? admitted: state, channel_state, total? (refund), amount? (query), code, decline_code, at
---@field reason string? for people
---@field alone boolean refund: no other request of it can have reached the channel
---@field given integer refund: what the order gave back by other refunds
---@field asked integer refund: what it can have given back by refunds of ours, this one too
---@field declined table? query: {code, decline_code}, what the channel answered to the request just before
---@field fresh boolean? query: when it was asked, a request whose end nobody knows may have been under way

---@class tael.kernel.RefundDecision
---@field to string? the state that it enters; nil: it stays
---@field code string? the channel's word
---@field decline_code string? why it failed
---@field channel_refund_no string?
---@field at integer? when the money went, ms
---@field ask "query"|"send"|nil what has to be asked at once
---@field declined table? for the query at once
---@field detail string for people
---@field alarm string? a person should know

local function moved(case, to, detail, alarm)
    local fact, from = case.fact or {}, case.refund.state
    local decision = { detail = detail, alarm = alarm, code = fact.code }
    if to ~= from then
        decision.to = to
    end
    if to == "failed" then
        decision.decline_code = fact.decline_code or "other"
    elseif to == "succeeded" then
        decision.at, decision.channel_refund_no = fact.at, fact.channel_refund_no
    end
    return decision
end

local function stay(detail, alarm)
    return { detail = detail, alarm = alarm }
end

--- Nobody knows. What waits for a person goes on waiting.
local function unknown(case, detail, alarm)
    if case.refund.state == "abnormal" then
        return stay(detail, alarm)
    end
    return moved(case, "unknown", detail, alarm)
end

local function abnormal(case)
    return moved(case, "abnormal", "the channel cannot do it: " .. tostring(case.reason or "abnormal"),
        "refund_abnormal")
end

--- It said no. Only when nothing else can have reached it, that is the end.
local function declined(case)
    if case.alone then
        return moved(case, "failed", "declined: " .. tostring(case.reason))
    end
    local fact = case.fact or {}
    return { detail = "declined, after it may have been done before", ask = "query",
        declined = { code = fact.code, decline_code = fact.decline_code } }
end

--- The order's state forbids it: whether this refund was done, only a query says.
local function forbidden(case)
    local fact = case.fact or {}
    return { detail = "the order does not allow it: " .. tostring(case.reason), ask = "query",
        declined = { code = fact.code, decline_code = "other" } }
end

--- An order that has paid is not gone: whoever is asked is not the one that took the money, and a query there
--- would not find the refund either.
local function order_missing(case)
    return moved(case, "abnormal", "the channel does not know the order", "refund_abnormal")
end

--- The channel has it, and will say more when it is asked.
local function taken(case)
    if case.refund.state == "unknown" then
        return moved(case, "pending", "the channel has it")
    end
    return stay "the channel has it"
end

-- ---- the answer to the request ----

local function given_back(case)
    local fact, refund = case.fact, case.refund
    if fact.total ~= case.given + refund.amount or fact.currency ~= refund.currency then
        local more = fact.total and fact.currency == refund.currency and fact.total > case.asked
        return stay(("the order has given back %s in all, not %d"):format(tostring(fact.total),
            case.given + refund.amount), more and "foreign_refund" or nil)
    end
    return moved(case, "succeeded", "given back")
end

local request_states = { succeeded = given_back, failed = declined, abnormal = abnormal }

local request = {
    ok = function(case)
        local by_state = request_states[case.fact.state]
        return by_state and by_state(case) or taken(case)
    end,
    pending = taken,
    declined = declined, conflict = forbidden, not_found = order_missing, abnormal = abnormal,
    config = function(case) return stay("not taken: " .. tostring(case.reason)) end,
    not_sent = function() return stay "not sent" end,
}

-- ---- the answer to the query ----

local function found_given_back(case)
    local fact, refund = case.fact, case.refund
    if fact.amount ~= refund.amount or fact.currency ~= refund.currency then
        return stay(("the channel gave back %s %s under this number"):format(tostring(fact.amount),
            tostring(fact.currency)), "refund_amount_differs")
    end
    return moved(case, "succeeded", "given back")
end

local query_states = {
    succeeded = found_given_back, pending = taken, abnormal = abnormal,
    failed = function(case) return moved(case, "failed", "the channel says that it failed") end,
}

--- It was never done: after a no that is the end, else the same request goes again.
local function not_there(case)
    if case.declined and case.fresh then
        return stay "declined, but an earlier request may still be under way"
    elseif case.declined then
        local fact = { code = case.declined.code, decline_code = case.declined.decline_code }
        return moved(setmetatable({ fact = fact }, { __index = case }), "failed",
            "declined, and the channel does not know it")
    elseif case.refund.state == "abnormal" then
        return stay "the channel does not know it: a person has to send it again"
    end
    return { detail = "the channel does not know it", ask = "send" }
end

local query = {
    ok = function(case)
        local by_state = query_states[case.fact.state]
        return by_state and by_state(case) or stay "the channel does not say how far it is"
    end,
    pending = taken, not_found = not_there,
}

---@param case tael.kernel.RefundCase
---@return tael.kernel.RefundDecision
function refund_decide.answer(case)
    if case.op == "refund" then
        local by_class = request[case.class]
        return by_class and by_class(case) or unknown(case, case.reason or "no answer that counts")
    end
    local by_class = query[case.class]
    return by_class and by_class(case) or stay(case.reason or "no answer that counts")
end

return refund_decide
