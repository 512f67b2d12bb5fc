--- Units of work of refunds: which statements, in which order, with which event. Rows and a decision in, a
--- list of {name, params} out. The statement of the payment stands first: its version decides who comes
--- first, and its sums whether the money is there.
--- 1 The event holds every column that the statements change, as absolute values. 2 The money of a refund is
--- reserved in the unit that makes it, and released or given in the unit that settles it.
local crypto = require "tael.crypto"
local due = require "tael.kernel.due"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local store = require "tael.store"
local units = require "tael.kernel.units"

local refund_units = {}

--- The timer that counts from now on; the row names it as `due`.
local function timer(refund, id)
    return id and { "timer.insert", { due_id = id, kind = "refund", object = refund } } or nil
end

-- ---- a new refund ----

---@class tael.kernel.NewRefund
---@field payment table row before it
---@field attempt integer the order that gives the money back
---@field account integer? its channel account
---@field id integer
---@field merchant_refund_id string
---@field request string 16 bytes, digest of the accepted body
---@field amount integer
---@field reason string?
---@field due integer id of its first timer
---@field actor string
---@field now integer ms
---@field key_digest string? of the Idempotency-Key

---@param new tael.kernel.NewRefund
---@return table columns as the event holds them
local function created_columns(new)
    return {
        id = new.id, attempt = new.attempt, merchant_refund_id = new.merchant_refund_id,
        request = crypto.hex.encode(new.request), state = "created", amount = new.amount,
        currency = new.payment.currency, reason = new.reason, version = 1,
    }
end

local function insert(new)
    return { "refund.insert", {
        refund = new.id, payment = new.payment.id, attempt = new.attempt,
        merchant_refund_id = new.merchant_refund_id, request = new.request, amount = new.amount,
        currency = new.payment.currency, reason = new.reason, now = new.now, due = new.due,
    } }
end

local function reserve(statement, new, hash)
    return { statement, {
        payment = new.payment.id, version_was = new.payment.version, amount = new.amount,
        currency = new.payment.currency, hash = hash, now = new.now,
    } }
end

local function created_event(new, captured)
    return units.next_event(new.payment, {
        type = "refund.created", object = new.id, actor = new.actor, now = new.now,
        data = {
            payment = { refund_reserved = new.payment.refund_reserved + new.amount,
                captured_amount = captured },
            refund = created_columns(new),
        },
    })
end

--- The unit that makes a refund that was asked for.
---@param new tael.kernel.NewRefund
---@return table[] statements
function refund_units.creation(new)
    local event, hash = created_event(new)
    local list = {}
    if new.key_digest then
        list[1] = { "idempotency.insert", { key_digest = new.key_digest, object = new.id } }
    end
    list[#list + 1] = reserve("payment.reserve", new, hash)
    list[#list + 1] = insert(new)
    list[#list + 1] = event
    list[#list + 1] = timer(new.id, new.due)
    return list
end

--- What stands for the request of a refund that nobody has asked for.
local function policy_request(payment, attempt, reason)
    local told = (">s4 i8 i8 s4"):pack("tael.refund.1", payment, attempt, reason)
    return crypto.digest("sha256", told):sub(1, 16)
end

--- Did the policy make it?
---@param refund table row
---@return boolean
function refund_units.is_automatic(refund)
    return (refund.reason == "late" or refund.reason == "duplicate")
        and refund.request == policy_request(refund.payment, refund.attempt, refund.reason)
end

---@class tael.kernel.AutomaticRefund
---@field payment table row as the unit's first event leaves it
---@field attempt table row, the order that was paid late or twice
---@field amount integer
---@field reason "late"|"duplicate"
---@field now integer ms
---@field actor string?

--- Money that nobody wants goes back in the unit that learns of it: the statements to add, which append a
--- second event to the chain. What was paid twice was never captured: it is captured and reserved at once.
---@param input tael.kernel.AutomaticRefund
---@return table[] statements
---@return integer refund
function refund_units.automatic(input)
    local payment, id = input.payment, store.next_id()
    local new = {
        payment = payment, attempt = input.attempt.id, id = id, merchant_refund_id = ids.encode("ref", id),
        request = policy_request(payment.id, input.attempt.id, input.reason), amount = input.amount,
        reason = input.reason,
        due = due.id(input.now), actor = input.actor or "policy", now = input.now,
    }
    local surplus = input.reason == "duplicate"
    local event, hash = created_event(new, surplus and payment.captured_amount + input.amount or nil)
    event[1], event[2].prev_event = "event.append", nil
    return {
        reserve(surplus and "payment.reserve_surplus" or "payment.reserve_late", new, hash),
        insert(new), event, timer(id, new.due),
    }, id
end

-- ---- moves ----

---@class tael.kernel.RefundStep
---@field payment table row
---@field refund table row
---@field due integer? id of the next timer; nil: it is settled, or waits for a person
---@field actor string
---@field now integer ms

local function place(step)
    return {
        refund = step.refund.id, payment = step.payment.id, refund_version = step.refund.version,
        due_was = step.refund.due or 0, due = step.due, now = step.now,
    }
end

--- The refund goes to the channel. These stand in the unit of the call, before any byte leaves.
---@param step tael.kernel.RefundStep
---@return table[] statements
function refund_units.send(step)
    local payment, refund = step.payment, step.refund
    local event, hash = units.next_event(payment, {
        type = "refund.pending", object = refund.id, actor = step.actor, now = step.now,
        data = { refund = { id = refund.id, state = "pending", code = json.null, decline_code = json.null,
            version = refund.version + 1 } },
    })
    return {
        { "payment.note", { payment = payment.id, version_was = payment.version, hash = hash,
            now = step.now } },
        { "refund.send", place(step) },
        event,
        timer(refund.id, step.due),
    }
end

--- Only the lease passes on: the refund and its payment stay as they are.
---@param refund table row
---@param due_id integer id of the next timer
---@return table[] statements
function refund_units.lease(refund, due_id)
    return {
        { "refund.due", { refund = refund.id, due_was = refund.due or 0, due = due_id } },
        timer(refund.id, due_id),
    }
end

--- The payment's part of a move, and the columns that the event holds of it.
local function money_of(to, payment, amount)
    if to == "succeeded" then
        return "payment.refunded", { refunded_amount = payment.refunded_amount + amount }
    elseif to == "failed" or to == "cancelled" then
        return "payment.release", { refund_reserved = payment.refund_reserved - amount }
    end
    return "payment.note", nil
end

local function columns_of(step, decision, proof)
    return {
        id = step.refund.id, state = decision.to, code = decision.code or json.null,
        decline_code = decision.decline_code or json.null, channel_refund_no = decision.channel_refund_no,
        evidence = proof and decision.to ~= "unknown" and proof.id or nil, version = step.refund.version + 1,
        succeeded_at = decision.to == "succeeded" and (decision.at or step.now) or nil,
    }
end

--- Every move that an answer leads to.
---@param step tael.kernel.RefundStep
---@param decision tael.kernel.RefundDecision one that moves
---@param proof tael.kernel.Proof? nil: the channel was silent
---@return table[] statements
function refund_units.move(step, decision, proof)
    local payment, refund = step.payment, step.refund
    local statement, sums = money_of(decision.to, payment, refund.amount)
    local columns = columns_of(step, decision, proof)
    local event, hash = units.next_event(payment, {
        type = "refund." .. decision.to, object = refund.id, actor = step.actor, now = step.now,
        data = { payment = sums, refund = columns, evidence = proof and units.proof_data(proof) },
    })
    local params = place(step)
    params.refund_state, params.refund_state_was = decision.to, refund.state
    params.amount, params.code, params.decline_code = refund.amount, decision.code, decision.decline_code
    params.channel_refund_no, params.evidence = decision.channel_refund_no, columns.evidence
    params.succeeded_at = columns.succeeded_at
    return {
        { statement, { payment = payment.id, version_was = payment.version, hash = hash, now = step.now,
            amount = sums and refund.amount or nil } },
        { "refund.move", params },
        event,
        timer(refund.id, step.due),
    }
end

return refund_units
