--- The one place that decides what a verified statement of a channel does to a payment. Data in, a
--- decision out: notifications, queries and timers all come through here, and the SQL guards stand behind it.
--- 1 Only a fact that evidence.lua has admitted comes in. 2 Nothing leaves `paid`. 3 `unknown` is left
--- only by a verified statement. 4 A success is never dropped, however late it is. 5 A word nobody knows
--- decides nothing. 6 What may have been reversed meanwhile counts as paid only when the channel says so to
--- a question that was asked when the reversal had ended.
local states = require "tael.kernel.states"

---@class tael.kernel.Case
---@field payment table row of payments
---@field attempt table row of attempts
---@field fact table {state, amount?, currency?, trade_no?, at?, code?, decline_code?, next_action?,
---       reversed?, given_back?}
---@field by "ntf"|"cal"|nil a notification or an answer
---@field policy { late: "accept"|"refund"|"review", duplicate: "refund"|"review" }? nil: of a pending payment
---@field now integer ms
---@field asked integer? ms, when the question left that this answers
---@field grace integer ms after expires_at until "not found" means never paid
---@field waits_unopened boolean? the channel does not know an order before the payer opens it
---@field others_open boolean? another attempt of the payment may still succeed
---@field reversing boolean? our cancel of the order may be carried out yet, or was so when this was asked

---@class tael.kernel.Decision
---@field effect "applied"|"none"|"review"|"late"|"surplus"
---@field detail string for people
---@field check string? the check that failed: "order" | "amount" | "state"
---@field alarm string? a person should know
---@field event string? type of the event; nil: nothing changes
---@field payment table? {to, reason?, late?, captured_amount?, paid_at?}; to = nil: only the chain grows
---@field attempt table? {to, trade_no?, code?, next_action?}
---@field refund { amount: integer, reason: "late"|"duplicate" }? goes back in the same unit
---@field confirm boolean? nothing moves before the channel was asked

local function none(detail, alarm)
    return { effect = "none", detail = detail, alarm = alarm }
end

local function refuse(check, detail, alarm)
    return { effect = "none", check = check, detail = detail, alarm = alarm }
end

local function amount_differs(case)
    local fact, attempt = case.fact, case.attempt
    return fact.amount ~= nil and (fact.amount ~= attempt.amount or fact.currency ~= attempt.currency)
end

local function mismatched(case)
    if case.payment.state == "review" then -- said again: answered as the first time, and nothing changes
        return { effect = "review", check = "amount", detail = "amount or currency is not the order's",
            alarm = "amount_mismatch" }
    elseif not states.reviewable[case.payment.state] then
        return refuse("amount", "amount or currency is not the order's", "amount_mismatch")
    end
    return {
        effect = "review", check = "amount", detail = "amount or currency is not the order's",
        alarm = "amount_mismatch", event = "payment.review",
        payment = { to = "review", reason = "amount_mismatch" },
    }
end

local function move(case, to)
    return { to = to, trade_no = case.fact.trade_no or case.attempt.trade_no,
        code = case.fact.code or case.fact.channel_state, next_action = case.fact.next_action }
end

local function refund_of(case, wish, reason)
    return case.policy[wish] == "refund" and { amount = case.attempt.amount, reason = reason } or nil
end

--- What a success does, by the payment's state. The attempt succeeds in each of them.
local success_by_state = {
    pending = function(case)
        return { effect = "applied", detail = "paid", event = "payment.paid",
            payment = { to = "paid", late = 0, paid_at = case.fact.at or case.now, captured_amount = nil },
            attempt = nil }
    end,
    paid = function(case) -- what does not go back at once was received too: a person may give it back
        local refund = refund_of(case, "duplicate", "duplicate")
        return { effect = "surplus", detail = "paid already by another attempt", alarm = "duplicate_paid",
            event = "attempt.surplus", refund = refund, payment = {
                captured_amount = not refund and case.payment.captured_amount + case.attempt.amount or nil } }
    end,
    review = function()
        return { effect = "review", detail = "paid while under review: a person decides",
            alarm = "paid_in_review",
            event = "payment.updated", payment = {} }
    end,
}
function success_by_state.closed(case)
    return { effect = "late", detail = "paid after the payment was " .. case.payment.state,
        alarm = case.policy.late == "review" and "paid_late" or nil,
        event = "payment.paid", payment = { to = "paid", late = 1, paid_at = case.fact.at or case.now },
        refund = refund_of(case, "late", "late") }
end
success_by_state.failed = success_by_state.closed

--- A message may have been sent before the order was reversed, or given back at the channel, and come after
--- it. So may an answer, when the question left before that end was known.
local function may_be_reversed(case)
    return (case.by == "ntf" or case.reversing) and (states.went_back(case.attempt)
        or (case.reversing or case.payment.closing == "cancel") and states.attempt_open[case.attempt.state])
end

local function succeeded(case)
    local payment, attempt, fact = case.payment, case.attempt, case.fact
    if may_be_reversed(case) then -- an open order has a timer that asks again
        return { effect = "none", detail = "the order is being reversed, or was: the channel is asked first",
            confirm = case.by == "ntf" or states.went_back(attempt) or nil }
    elseif not fact.trade_no then
        return refuse("order", "a success must name the channel's trade number")
    elseif fact.amount == nil then
        return refuse("amount", "a success must name its amount")
    elseif amount_differs(case) then
        return mismatched(case)
    elseif attempt.state == "succeeded" then
        return none("paid already by this attempt")
    elseif not states.may(attempt.state, "succeeded") or not success_by_state[payment.state] then
        return refuse("state", ("a success does not fit attempt %s, payment %s"):format(attempt.state,
            payment.state),
            "impossible_success")
    end
    local decision = success_by_state[payment.state](case)
    if decision.payment.to == "paid" then
        decision.payment.captured_amount = attempt.amount
    end
    decision.attempt = move(case, "succeeded")
    return decision
end

--- The order goes on: nothing is settled, the payment stays as it is.
local function progress(case)
    local to = case.fact.state
    if amount_differs(case) and states.attempt_open[case.attempt.state] then
        return mismatched(case)
    elseif not states.may(case.attempt.state, to) then
        return none("nothing new: the attempt is " .. case.attempt.state)
    end
    return { effect = "applied", detail = "the attempt is " .. to, event = "attempt." .. to, payment = {},
        attempt = move(case, to) }
end

local function closed_reason(case)
    local closing = case.payment.closing
    if case.fact.reversed then
        return "voided"
    elseif closing == "merchant" or closing == "cancel" then
        return "merchant"
    end
    return (closing == "expired" or case.now >= case.attempt.expires_at) and "expired" or "channel"
end

--- We reversed what had just been paid and settled: the payment stays, but the money is gone.
local function reversed_after_paid()
    return { effect = "review", detail = "paid, then reversed by our cancel", alarm = "reversed_after_paid",
        event = "payment.updated", payment = {} }
end

--- The order has ended without money. A channel may say the same word after a full
--- refund: what was paid stays paid. Another amount puts only an open payment before a person, who would else
--- have to decide again.
local function ended(case)
    local payment, attempt, to = case.payment, case.attempt, case.fact.state
    if attempt.state == "succeeded" then
        return case.fact.reversed and reversed_after_paid() or none("the order was paid before it ended")
    elseif amount_differs(case) and states.attempt_open[attempt.state] and payment.state == "pending" then
        return mismatched(case)
    elseif not states.may(attempt.state, to) then
        return none("nothing new: the attempt is " .. attempt.state)
    end
    local decision = { effect = "applied", detail = "the attempt is " .. to, event = "attempt." .. to,
        payment = {},
        attempt = move(case, to) }
    if payment.state ~= "pending" or case.others_open then
        return decision
    elseif to == "declined" then
        decision.event = "payment.failed"
        decision.payment = { to = "failed", reason = case.fact.decline_code or "other" }
    else
        decision.event = "payment.closed"
        decision.payment = { to = "closed", reason = closed_reason(case) }
    end
    return decision
end

--- The same decision, as if the fact said something else.
local function as(case, changed)
    return setmetatable({ fact = setmetatable(changed, { __index = case.fact }) }, { __index = case })
end

--- The channel does not know the order. Asked before its time was over, that means: not opened yet; whoever
--- opens it meanwhile may have paid when the answer comes. Asked afterwards: nobody can open it any more. An
--- order with a trade number was known once.
local function not_found(case)
    local attempt = case.attempt
    if attempt.state == "succeeded" then
        return none("paid, though the channel does not find it", "paid_not_found")
    elseif not case.waits_unopened or attempt.trade_no or not states.may(attempt.state, "expired") then
        return none("not found, which does not fit an order that is " .. attempt.state)
    elseif math.min(case.asked or case.now, case.now) < attempt.expires_at + case.grace then
        return none("the payer has not opened the order")
    end
    return ended(as(case, { state = "expired" }))
end

--- No answer to the order itself. What the channel already knows is not unknown because of that.
local function silent(case)
    if case.attempt.state ~= "sent" then
        return none("no answer: the attempt is " .. case.attempt.state)
    end
    return { effect = "applied", detail = "the channel has not answered", event = "attempt.unknown",
        payment = {}, attempt = move(case, "unknown") }
end

--- Where no person decides: an order that held money which was given back at the channel has only ended. A
--- payment that still waited for that money has come to nothing with it.
local nobody_asked = { pending = true, paid = true, closed = true, failed = true }

--- It was paid and all of it went back: by refunds of ours, because we had it reversed, or at the channel. An
--- order that our cancel cannot have reached (none leaves for one that nobody has opened) went back there.
local function given_back(case)
    local state = case.attempt.state
    if not states.attempt_open[state] then
        return none("what was paid has been given back")
    elseif states.may(state, "cancelled") and (case.payment.closing == "cancel" or case.reversing) then
        return ended(as(case, { state = "cancelled", reversed = true }))
    end
    local decision = ended(as(case, { state = "expired", code = states.GIVEN_BACK }))
    if decision.attempt then
        decision.detail, decision.alarm = "it was paid, and given back at the channel", "foreign_refund"
    end
    return decision
end

local function unknown(case)
    local word = tostring(case.fact.channel_state or case.fact.code or "?")
    local state = case.attempt.state
    if case.fact.given_back and (state == "succeeded" or states.went_back(case.attempt)
        or case.payment.closing == "cancel" or case.reversing
        or nobody_asked[case.payment.state] and states.may(state, "expired")) then
        return given_back(case)
    elseif not states.may(case.attempt.state, "unknown") then
        return none("a word that is not mapped: " .. word, "unknown_word")
    end
    return { effect = "applied", detail = "a word that is not mapped: " .. word, alarm = "unknown_word",
        event = "attempt.unknown", payment = {}, attempt = move(case, "unknown") }
end

local by_word = {
    succeeded = succeeded,
    waiting_payer = progress, processing = progress,
    expired = ended, cancelled = ended, declined = ended,
    not_found = not_found, silent = silent,
}

--- What the fact does. A word that is not in the table, "authorized" included while no product reserves
--- money, makes the attempt unknown.
---@param case tael.kernel.Case
---@return tael.kernel.Decision
local function decide(case)
    local bound, named = case.attempt.trade_no, case.fact.trade_no
    if bound and named and bound ~= named then -- a later success would be measured by the wrong one
        return refuse("order", "the order is bound to another trade number", "trade_number_changed")
    end
    return (by_word[case.fact.state] or unknown)(case)
end

return decide
