--- Units of work from decisions: which statements, in which order, with which event. Pure: rows and a
--- decision in, a list of {name, params} out. The statement that decides stands first, so that when its
--- guard fails nothing has been written.
--- The event holds every column that the statements change, as absolute values: rebuild.lua makes the
--- rows from the events alone.
local chain = require "tael.kernel.chain"
local crypto = require "tael.crypto"
local json = require "tael.json"

local units = {}

local payment_statement = {
    paid = "payment.pay", review = "payment.review", closed = "payment.close", failed = "payment.fail",
}

---@class tael.kernel.Proof
---@field kind "ntf"|"cal" a notification or a call
---@field id integer
---@field digest string? SHA-256 of the raw bytes; nil: a call that nothing answered
---@field key integer? number of the key

--- A proof as events name it.
---@param proof tael.kernel.Proof
---@return table
function units.proof_data(proof)
    return { kind = proof.kind, id = proof.id, key = proof.key,
        digest = proof.digest and crypto.hex.encode(proof.digest) }
end

--- Columns as the event keeps them: a column that becomes NULL is null, one that stays is absent.
local function payment_data(change, payment, now)
    if not change.to then
        return change.captured_amount and { captured_amount = change.captured_amount } or nil
    end
    return {
        state = change.to, reason = change.reason or json.null, late = change.late,
        captured_amount = change.captured_amount, paid_at = change.paid_at,
        closed_at = change.to == "closed" and now or nil, closing = payment.closing and json.null or nil,
    }
end

local function attempt_data(attempt, change, proof)
    return change and {
        id = attempt.id, state = change.to, trade_no = change.trade_no or json.null,
        code = change.code or json.null, evidence = proof.id, next_action = change.next_action,
    }
end

--- What the channel claimed and we did not take over, for the person who decides.
local function claimed_data(decision, fact)
    return decision.check and {
        amount = fact.amount, currency = fact.currency, trade_no = fact.trade_no, state = fact.state,
    } or nil
end

---@return string data canonical JSON
function units.event_data(input)
    local decision = input.decision
    return json.encode {
        payment = payment_data(decision.payment, input.payment, input.now),
        attempt = attempt_data(input.attempt, decision.attempt, input.proof),
        evidence = units.proof_data(input.proof),
        claimed = claimed_data(decision, input.fact),
    }
end

local function payment_params(change, payment, hash, now)
    local params = { payment = payment.id, version_was = payment.version, hash = hash, now = now,
        amount = nil, currency = nil, paid_at = nil }
    if change.to == "paid" then
        params.amount, params.currency = payment.amount, payment.currency
        params.paid_at = change.paid_at
    elseif change.to then
        params.reason = change.reason
    elseif change.captured_amount then
        params.amount = change.captured_amount - payment.captured_amount
        params.currency = payment.currency
    end
    return params
end

local function attempt_statement(attempt, change, proof, now, due_id)
    local params = {
        attempt = attempt.id, payment = attempt.payment, account = attempt.account,
        trade_no = change.trade_no, evidence = proof.id, code = change.code, now = now,
        amount = nil, currency = nil,
    }
    if change.to == "succeeded" then
        params.amount, params.currency = attempt.amount, attempt.currency
        return { "attempt.succeed", params }
    end
    params.attempt_state, params.attempt_state_was = change.to, attempt.state
    params.next_action, params.due = change.next_action, due_id
    return { "attempt.move", params }
end

---@param event tael.kernel.Link with object, prev and hash
function units.event(event)
    return { "event.insert", {
        payment = event.payment, object = event.object, version = event.version, prev_event = event.prev,
        type = event.type, actor = event.actor, now = event.at, data = event.data, hash = event.hash,
    } }
end

--- The next event of a payment's chain, for a unit whose first statement moves the payment's row.
---@param payment table row as it stands before
---@param about { type: string, actor: string, now: integer, object: integer?, data: table }
---@return table statement
---@return string hash new head of the chain
function units.next_event(payment, about)
    local event = {
        payment = payment.id, version = payment.version + 1, prev = payment.last_event,
        object = about.object or payment.id, type = about.type, actor = about.actor, at = about.now,
        data = json.encode(about.data),
    }
    event.hash = chain.hash(payment.last_hash, event)
    return units.event(event), event.hash
end

---@param list table[] statements
---@param more table[] statements
---@return table[] list
function units.append(list, more)
    for _, statement in ipairs(more) do
        list[#list + 1] = statement
    end
    return list
end

--- The timer of an attempt; the row names it as `due`.
---@param attempt integer
---@param due_id integer
---@return table statement
function units.timer(attempt, due_id)
    return { "timer.insert", { due_id = due_id, kind = "attempt", object = attempt } }
end

--- The unit of a decision; empty when nothing changes.
---@param input table decision, payment, attempt (rows), fact, proof, actor, now, due? (id of the next timer)
---@return table[] statements
---@return string? hash new head of the payment's chain
function units.transition(input)
    local decision, payment, attempt = input.decision, input.payment, input.attempt
    if not decision.event then
        return {}
    end
    local event = {
        payment = payment.id, version = payment.version + 1, prev = payment.last_event,
        object = decision.event:find("^attempt%.") and attempt.id or payment.id,
        type = decision.event, actor = input.actor, at = input.now, data = units.event_data(input),
        hash = nil,
    }
    event.hash = chain.hash(payment.last_hash, event)
    local statement = payment_statement[decision.payment.to]
        or decision.payment.captured_amount and "payment.surplus" or "payment.note"
    local params = payment_params(decision.payment, payment, event.hash, input.now)
    local list = { { statement, params }, nil, nil, nil }
    if decision.attempt then
        list[#list + 1] = attempt_statement(attempt, decision.attempt, input.proof, input.now, input.due)
    end
    list[#list + 1] = units.event(event)
    if input.due and input.due > 0 then
        list[#list + 1] = units.timer(attempt.id, input.due)
    end
    return list, event.hash
end

--- Somebody wants the payment closed. What is done about it stands in the same unit, or comes after it.
---@param payment table row
---@param closing "merchant"|"expired"|"cancel"
---@param actor string
---@param now integer ms
---@return table[] statements
function units.closing(payment, closing, actor, now)
    local event, hash = units.next_event(payment, {
        type = "payment.updated", actor = actor, now = now, data = { payment = { closing = closing } },
    })
    return {
        { "payment.closing", { payment = payment.id, version_was = payment.version, hash = hash, now = now,
            closing = closing } },
        event,
    }
end

--- A payment that no open order is left of is closed.
---@param payment table row
---@param reason string
---@param actor string
---@param now integer ms
---@return table[] statements
function units.closed(payment, reason, actor, now)
    local event, hash = units.next_event(payment, {
        type = "payment.closed", actor = actor, now = now,
        data = { payment = payment_data({ to = "closed", reason = reason }, payment, now) },
    })
    return {
        { "payment.close", { payment = payment.id, version_was = payment.version, hash = hash, now = now,
            reason = reason } },
        event,
    }
end

--- The columns of a new attempt as the event holds them.
---@param row table of attempts, as it will be
---@return table
function units.order_columns(row)
    return {
        id = row.id, prev = row.prev, account = row.account, product = row.product, state = row.state,
        amount = row.amount, currency = row.currency, expires_at = row.expires_at,
    }
end

--- A new attempt with the timer that counts for it.
---@param row table of attempts, as it will be
---@return table statement
---@return table statement
function units.order(row)
    return { "attempt.insert", {
        attempt = row.id, payment = row.payment, prev_attempt = row.prev, account = row.account,
        product = row.product, attempt_state = row.state, amount = row.amount, currency = row.currency,
        expires_at = row.expires_at, now = row.updated_at, due = row.due,
    } }, units.timer(row.id, row.due)
end

---@param columns table order (row of the attempt; nil: none is made), merchant_order_id, request, state,
--- reason, amount, currency, counted?, counting? (statements) …
---@return table[] statements
---@return string data of the event
function units.creation(columns)
    local attempt = columns.order and columns.order.id
    local data = json.encode {
        payment = {
            merchant_order_id = columns.merchant_order_id, request = columns.request_hex,
            state = columns.state, reason = columns.reason,
            amount = columns.amount, currency = columns.currency, capture = columns.capture,
            parallel = columns.parallel, attempt = attempt, expires_at = columns.expires_at,
        },
        attempt = columns.order and units.order_columns(columns.order),
        details = columns.details,
    }
    local event = {
        payment = columns.payment, object = columns.payment, version = 1, type = "payment.created",
        actor = columns.actor, at = columns.now, data = data, hash = nil,
    }
    event.hash = chain.hash(nil, event)
    local list = { nil, nil, nil, nil, nil }
    if columns.key_digest then
        list[1] = { "idempotency.insert", { key_digest = columns.key_digest, object = columns.payment } }
    end
    list[#list + 1] = { "payment.insert", {
        payment = columns.payment, merchant_order_id = columns.merchant_order_id, request = columns.request,
        state = columns.state, reason = columns.reason, amount = columns.amount, currency = columns.currency,
        capture = columns.capture, parallel = columns.parallel, attempt = attempt,
        hash = event.hash, now = columns.now, expires_at = columns.expires_at, counted = columns.counted,
    } }
    local order, timer
    if columns.order then
        order, timer = units.order(columns.order)
        list[#list + 1] = order
    end
    list[#list + 1] = units.event(event)
    list[#list + 1] = timer
    return units.append(list, columns.counting or {}), data
end

return units
