--- A payment that only a person can decide about, and the person's decision. The channel is asked first: its
--- verified answer stands beside the decision as evidence, and a decision that contradicts it is refused.
--- 1 "paid" takes what the channel says it took, which may be another amount than was asked for. 2 "closed"
--- and "failed" are refused while the channel holds money or an order that can still be paid. 3 Above a limit
--- two persons must say the same; the first one's word waits in the payment's row. 4 "pending" lets go what a
--- rule has held back: no channel knows of it yet, so none is asked.
local calls = require "tael.kernel.calls"
local change = require "tael.kernel.change"
local counters = require "tael.kernel.counters"
local events_wake = require "tael.kernel.events_wake"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local log = require "tael.log"
local payments = require "tael.kernel.payments"
local query = require "tael.kernel.query"
local registry = require "tael.kernel.registry"
local release = require "tael.kernel.release"
local settle = require "tael.kernel.settle"
local states = require "tael.kernel.states"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local units = require "tael.kernel.units"

local review = {}

---@class tael.kernel.Finding what the channel says of one attempt, now
---@field attempt table row
---@field asked tael.kernel.Asked?
---@field fact table?

local function conflict(detail, payment)
    return nil, { code = "state_conflict", detail = detail,
        members = { state = payment.state, allowed = json.array { "review" } } }
end

--- The calls are on record even when nothing was decided.
local function give_up(found, ...)
    for _, finding in ipairs(found) do
        calls.close(finding.asked)
    end
    return ...
end

--- Every attempt, newest first, with the channel's word about each that may hold money.
---@return tael.kernel.Finding[]?
---@return table? err
local function ask(payment, actor)
    local list, err = payments.attempts_of(payment)
    if not list then
        return nil, err
    end
    local found = {}
    for i, attempt in ipairs(list) do
        local asked, fact = query.look(attempt, payment, actor)
        if not asked then
            return give_up(found, nil, { code = "no_channel_available",
                detail = "the channel cannot be asked: " .. tostring(fact.detail or fact.code) })
        end
        found[i] = { attempt = attempt, asked = asked, fact = fact }
    end
    return found
end

local function ends_of(found)
    local list = {}
    for i, finding in ipairs(found) do
        list[i] = calls.finish(finding.asked)
    end
    return list
end

-- ---- what the answers allow ----

local function is_paid(finding)
    return finding.fact ~= nil and finding.fact.state == "succeeded"
end

--- What the channel took, and the one order of it that our rows do not call paid yet.
local function money_of(payment, found)
    local money = { amount = 0, unaccepted = 0 }
    for _, finding in ipairs(found) do
        if is_paid(finding) then
            if finding.fact.currency ~= payment.currency then
                return nil, "the channel took another currency, " .. finding.fact.currency
            end
            money.amount = money.amount + finding.fact.amount
            money.proof = money.proof or calls.proof(finding.asked)
            money.paid_at = finding.fact.at
            if finding.attempt.state ~= "succeeded" then
                money.unaccepted, money.accepted = money.unaccepted + 1, finding
            end
        elseif finding.attempt.state == "succeeded" then
            return nil, ("the channel no longer says that %s is paid"):format(ids.encode("att",
                finding.attempt.id))
        end
    end
    if money.amount == 0 then
        return nil, "the channel does not say that it was paid"
    elseif money.unaccepted > 1 then
        return nil, "more than one order holds money: give one back at the channel first"
    end
    return money
end

local ENDED = { expired = true, cancelled = true, declined = true }

--- Why this order cannot be called unpaid; nil when it can. What was given back at the channel, by a person
--- there, is nobody's to refund here.
local function may_hold_money(finding, now)
    local attempt, fact = finding.attempt, finding.fact
    local name = ids.encode("att", attempt.id)
    if fact and fact.given_back then
        return nil
    elseif is_paid(finding) or attempt.state == "succeeded" then
        return name .. " holds money: decide paid, then refund it"
    elseif not fact then
        return "the channel gave no verified answer about " .. name .. "; repeat when it does"
    elseif fact.state == "not_found" and states.attempt_open[attempt.state]
        and now < attempt.expires_at + registry.config.payments.grace then
        return name .. " can still be opened by the payer until it has expired"
    elseif fact.state ~= "not_found" and not ENDED[fact.state] then
        return name .. " can still be paid: the channel says " .. fact.state
    end
end

-- ---- units ----

local function decision_data(input, payment)
    local first = payment.proposal and json.decode(payment.proposal)
    return { by = input.actor, note = input.note, first = first and first.actor or nil }
end

local function paid_unit(input, payment, found, now)
    local money, why = money_of(payment, found)
    if not money then
        return nil, why
    end
    local accepted, fact = money.accepted, money.accepted and money.accepted.fact
    local paid_at = money.paid_at or now
    local event, hash = units.next_event(payment, {
        type = "payment.paid", actor = input.actor, now = now, data = {
            payment = { state = "paid", reason = json.null, proposal = json.null, closing = json.null,
                captured_amount = money.amount, paid_at = paid_at },
            attempt = accepted and { id = accepted.attempt.id, state = "succeeded", amount = fact.amount,
                trade_no = fact.trade_no, code = fact.code or json.null, evidence = accepted.asked.call },
            evidence = units.proof_data(accepted and calls.proof(accepted.asked) or money.proof),
            decision = decision_data(input, payment),
        },
    })
    local list = { { "payment.decide_paid", { payment = payment.id, version_was = payment.version,
        hash = hash, now = now, captured_amount = money.amount, paid_at = paid_at } } }
    if accepted then
        list[2] = { "attempt.accept", { attempt = accepted.attempt.id, payment = payment.id,
            amount = fact.amount, trade_no = fact.trade_no, evidence = accepted.asked.call, code = fact.code,
            now = now } }
    end
    list[#list + 1] = event
    return units.append(list, counters.moved(payment, { to = "paid", amount = money.amount }))
end

local function unpaid_unit(input, payment, found, now)
    for _, finding in ipairs(found) do
        -- "not found" is as old as its question: others were asked after it
        local why = may_hold_money(finding, math.min(now, store.id_ms(finding.asked.call)))
        if why then
            return nil, why
        end
    end
    local closed_at = input.decision == "closed" and now or nil
    local event, hash = units.next_event(payment, {
        type = "payment." .. input.decision, actor = input.actor, now = now, data = {
            payment = { state = input.decision, reason = "manual", proposal = json.null,
                closing = json.null, closed_at = closed_at or payment.closed_at and json.null or nil },
            evidence = found[1] and units.proof_data(calls.proof(found[1].asked)),
            decision = decision_data(input, payment),
        },
    })
    return units.append({
        { "payment.decide_unpaid", { payment = payment.id, version_was = payment.version, hash = hash,
            now = now, state = input.decision, closed_at = closed_at } },
        event,
    }, counters.moved(payment, { to = input.decision }))
end

--- An order that our rows call open has ended at the channel: its own timer finds that out.
local function unit_of(input, payment, found, now)
    if input.decision == "paid" then
        return paid_unit(input, payment, found, now)
    end
    return unpaid_unit(input, payment, found, now)
end

-- ---- two persons ----

local function taken(found)
    local sum = 0
    for _, finding in ipairs(found) do
        sum = sum + (is_paid(finding) and finding.fact.amount or 0)
    end
    return sum
end

--- What the channel took may be more than was asked for.
local function needs_second(input, payment, amount)
    local limit = registry.config.payments.review_approval_above
    if not limit or amount <= limit then
        return false
    end
    local first = payment.proposal and json.decode(payment.proposal)
    return not (first and first.decision == input.decision and first.actor ~= input.actor)
end

local function propose(input, payment)
    local now = time.now()
    local proposal = json.encode { decision = input.decision, actor = input.actor, at = now }
    local event, hash = units.next_event(payment, {
        type = "payment.updated", actor = input.actor, now = now,
        data = { payment = { proposal = proposal }, decision = { by = input.actor, note = input.note } },
    })
    local done, err = settle.commit {
        { "payment.propose", { payment = payment.id, version_was = payment.version, hash = hash, now = now,
            proposal = proposal } },
        event,
    }
    if not done then
        return nil, err
    end
    return nil, { code = "second_approval_required",
        detail = ("%s is noted; another person must send the same decision"):format(input.decision) }
end

-- ---- the decision ----

local function announce(input, payment)
    log.info("payment." .. input.decision, { payment = ids.encode("pay", payment.id), actor = input.actor,
        version = payment.version + 1, effect = "decided" })
    task.wake("payment:" .. payment.id)
    events_wake.announce(task.scope())
    payments.entered(payment, input.decision)
end

local function nothing_more()
    return {}
end

--- Orders that were given back at the channel end here, too, with what it has just said: left open, one would
--- take a message from before that for money that came late.
local function end_given_back(found, actor)
    for _, finding in ipairs(found) do
        if finding.fact and finding.fact.given_back and states.attempt_open[finding.attempt.state] then
            settle.apply { attempt = finding.attempt.id, fact = finding.fact, actor = actor,
                proof = calls.proof(finding.asked), extra = nothing_more }
        end
    end
end

--- One round: nil and a guard's error means that somebody was faster.
local function round(input, payment)
    if payment.state ~= "review" then
        return conflict("the payment is not under review", payment)
    elseif needs_second(input, payment, payment.amount) then
        return propose(input, payment)
    elseif input.decision == "pending" then
        local done, err = release.begin(payment, decision_data(input, payment), input.actor)
        if done then
            announce(input, payment)
        end
        return done, err
    end
    local found, err = ask(payment, input.actor)
    if not found then
        return nil, err
    elseif needs_second(input, payment, taken(found)) then
        return give_up(found, propose(input, payment))
    end
    local list, why = unit_of(input, payment, found, time.now())
    if not list then
        return give_up(found, conflict(why, payment))
    end
    for _, finish in ipairs(ends_of(found)) do
        list[#list + 1] = finish
    end
    local done
    done, err = settle.commit(list)
    if done then
        announce(input, payment)
        end_given_back(found, input.actor)
        return true
    elseif settle.trade_taken(err) then
        return give_up(found, conflict("the channel's trade number for this order belongs to another order: "
            .. "ask the channel which of them was paid", payment))
    end
    return give_up(found, nil, err)
end

---@class tael.kernel.Review
---@field decision "paid"|"closed"|"failed"|"pending"
---@field note string why, for the record
---@field actor string who decides

--- Decides about a payment under review.
---@param id_text string "pay_…"
---@param input tael.kernel.Review
---@return table? view of the payment
---@return table? err {code, detail, members?}: state_conflict, second_approval_required, not_found …
function review.decide(id_text, input)
    return change.payment(id_text, function(payment)
        local done, err = round(input, payment)
        if not done then
            return nil, err
        end
        return payments.get(id_text)
    end)
end

return review
