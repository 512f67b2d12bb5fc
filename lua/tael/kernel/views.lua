--- The JSON objects of the API, from rows. Absent is null, every field is always there; nothing sealed, no
--- internal number and no person's full data leaves here.
local context = require "tael.kernel.context"
local crypto = require "tael.crypto"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local registry = require "tael.kernel.registry"
local states = require "tael.kernel.states"
local store = require "tael.store"
local time = require "tael.time"

local views = {}

local null = json.null

local function or_null(value)
    if value == nil then
        return null
    end
    return value
end

local function moment(ms)
    return ms and time.rfc3339(ms) or null
end

local function named(prefix, number)
    return or_null(ids.encode(prefix, number))
end

--- What every object carries.
local function carry(view, kind, prefix, row, changed_at, version)
    local merchant = registry.merchant(row.merchant)
    view.id, view.object, view.merchant = ids.encode(prefix, row.id), kind, merchant.slug
    view.livemode, view.version, view.metadata = merchant.livemode, version, view.metadata or {}
    view.created_at, view.updated_at = moment(store.id_ms(row.id)), moment(changed_at)
    return view
end

local function object(...)
    return carry({
        id = nil, object = nil, merchant = nil, livemode = nil, version = nil, metadata = nil,
        created_at = nil, updated_at = nil,
    }, ...)
end

local function failure_of(payment, attempt)
    if payment.state ~= "failed" then
        return null
    end
    return {
        code = "declined", decline_code = or_null(payment.reason),
        channel_code = or_null(attempt and attempt.code),
        message = "the channel declined the payment",
    }
end

local function is_open(payment)
    return payment.state == "created" or payment.state == "pending"
end

--- The channel has not answered to the order yet: there is nothing to show, and it may come.
local WAIT = { type = "wait", poll_after_ms = 1000, hint = "unknown" }

--- What the payer was handed: stored where only the channel's answer held it, else rendered again from stored
--- facts.
local function stored_action(payment, details, attempt)
    if attempt.next_action then
        return json.decode(attempt.next_action)
    elseif attempt.state == "new" or attempt.state == "sent" then
        return WAIT
    end
    local action = context.next_action(payment, details, attempt)
    return action or attempt.state == "unknown" and WAIT or nil
end

--- Only while somebody can still pay.
local function next_action_of(payment, details, attempt, now)
    if not is_open(payment) or payment.closing then
        return null
    elseif not attempt or now >= attempt.expires_at or not states.attempt_open[attempt.state] then
        return null
    end
    return or_null(stored_action(payment, details, attempt))
end

--- A code to scan says until when, and has a picture too, for who cannot draw one.
local function with_picture(action, payment)
    if action == null or action.type ~= "qr_code" or action.svg_url then
        return action
    end
    local shown = {}
    for name, value in pairs(action) do
        shown[name] = value
    end
    shown.expires_at = shown.expires_at or moment(payment.expires_at)
    shown.svg_url = ("%s/qr/%s.svg"):format(registry.config.http.public_url, ids.encode("pay", payment.id))
    return shown
end

--- What the merchant's rule said when it was made.
local function risk_of(details)
    local risk = details.decision and details.decision.risk
    return risk and { by = risk.by, risk = risk.risk, reason = or_null(risk.reason),
        generation = or_null(risk.generation) } or null
end

---@param payment table row
---@param details table
---@param attempt table? row of the newest attempt
---@param next_action any what to show as next_action; json.null outside created and pending
---@return table
function views.payment_with(payment, details, attempt, next_action)
    local account = attempt and registry.account(attempt.account)
    local closing = payment.closing ~= nil and is_open(payment)
    return carry({ -- made with room for all: it grew three times for each create
        id = nil, object = nil, merchant = nil, livemode = nil, version = nil, created_at = nil,
        updated_at = nil,
        merchant_order_id = payment.merchant_order_id,
        state = payment.state, reason = or_null(payment.reason), late = payment.late == 1,
        amount = payment.amount, currency = payment.currency,
        captured_amount = payment.captured_amount, refunded_amount = payment.refunded_amount,
        authorized_amount = payment.authorized_amount,
        refundable_amount = payment.captured_amount - payment.refund_reserved,
        fee = or_null(details.fee), risk = risk_of(details),
        capture = payment.capture, parallel = payment.parallel,
        subject = details.subject, description = or_null(details.description),
        return_url = or_null(details.return_url),
        channel = or_null(account and account.channel), account = or_null(account and account.slug),
        product = or_null(attempt and attempt.product), attempt = named("att", payment.attempt),
        closing = closing, next_action = closing and null or with_picture(next_action, payment),
        failure = failure_of(payment, attempt),
        payer = details.payer and {
            id_hint = or_null(details.payer.shown.id_hint),
            client_ip = or_null(details.payer.shown.client_ip),
        } or null,
        expires_at = moment(payment.expires_at), paid_at = moment(payment.paid_at),
        closed_at = payment.state == "closed" and moment(payment.closed_at or payment.updated_at) or null,
        flow = null, generation = null,
        metadata = details.metadata,
    }, "payment", "pay", payment, payment.updated_at, payment.version)
end

---@param payment table row
---@param details table
---@param attempt table? row
---@return table
function views.payment(payment, details, attempt)
    local next_action = next_action_of(payment, details, attempt, time.now())
    return views.payment_with(payment, details, attempt, next_action)
end

local function call_view(row)
    return {
        id = ids.encode("cal", row.id), op = row.op, class = or_null(row.class),
        http_status = or_null(row.http_status), code = or_null(row.code), trace_no = or_null(row.trace_no),
        ms = or_null(row.ms), sent_at = moment(store.id_ms(row.id)),
    }
end

--- Evidence is a notification or a call; which, the tables say.
local function evidence_name(attempt)
    if not attempt.evidence then
        return null
    end
    local rows = store.query("notification.get", { notification = attempt.evidence })
    return named(rows and rows[1] and "ntf" or "cal", attempt.evidence)
end

---@param attempt table row
---@param calls table[]? rows; nil: the attempt as of an event, without them
---@param decision table? who chose the channel
---@return table
function views.attempt(attempt, calls, decision)
    local account = registry.account(attempt.account)
    local view = object("attempt", "att", attempt, attempt.updated_at, 1)
    view.payment, view.state, view.product = ids.encode("pay", attempt.payment), attempt.state,
        attempt.product
    view.channel, view.account = account.channel, account.slug
    view.order_no, view.trade_no = ids.order_number(attempt.id), or_null(attempt.trade_no)
    view.expires_at, view.amount, view.currency = moment(attempt.expires_at), attempt.amount, attempt.currency
    view.code, view.channel_code = or_null(attempt.code), or_null(attempt.code)
    view.decision = decision and {
        by = decision.by, reason = or_null(decision.reason), script = or_null(decision.script),
        generation = or_null(decision.generation), candidates = json.array {},
    } or null
    view.evidence = evidence_name(attempt)
    view.calls, view.polls = json.array {}, calls and 0 or null
    for _, row in ipairs(calls or {}) do
        view.calls[#view.calls + 1] = call_view(row)
        view.polls = view.polls + (row.op == "query" and 1 or 0)
    end
    return view
end

local function refund_failure(refund)
    if refund.state == "failed" then
        return {
            code = "declined", decline_code = or_null(refund.decline_code),
            channel_code = or_null(refund.code),
            message = "the channel declined the refund; its money may be given back by another one",
        }
    elseif refund.state == "abnormal" then
        return {
            code = "abnormal", decline_code = null, channel_code = or_null(refund.code),
            message = "the channel cannot do it for now; correct the cause, then retry the refund",
        }
    end
    return null
end

---@param refund table row
---@return table
function views.refund(refund)
    local view = object("refund", "ref", refund, refund.updated_at, refund.version)
    view.payment, view.attempt = ids.encode("pay", refund.payment), ids.encode("att", refund.attempt)
    view.merchant_refund_id, view.state = refund.merchant_refund_id, refund.state
    view.amount, view.currency, view.reason = refund.amount, refund.currency, or_null(refund.reason)
    view.refund_no = ids.order_number(refund.id, "ref")
    view.channel_refund_no, view.failure = or_null(refund.channel_refund_no), refund_failure(refund)
    view.succeeded_at = moment(refund.succeeded_at)
    return view
end

---@param row table of events
---@param data table the object as of the event
---@param seal integer? number of the seal that holds it
---@return table
function views.event(row, data, seal)
    local merchant = registry.merchant(row.merchant)
    return {
        id = ids.encode("evt", row.id), object = "event", type = row.type, timestamp = moment(row.at),
        api_version = "2026-11-01", merchant = merchant.slug, livemode = merchant.livemode,
        sequence = data.object == "refund" and data.version or row.version, actor = row.actor, data = data,
        chain = {
            version = row.version, prev = named("evt", row.prev), hash = crypto.hex.encode(row.hash),
            seal = or_null(seal),
        },
    }
end

---@param record table row of notifications, or an entry of the ring
---@param parts table checks, signed_text?, repeats, answered, key?, proved
---@return table
function views.notification(record, parts)
    local account = registry.account(record.account)
    local view = object("notification", "ntf", record, record.at, 1)
    local digest = crypto.hex.encode(record.digest)
    view.channel, view.account = account.channel, account.slug
    view.verdict, view.failed_check = record.verdict, or_null(record.failed_check)
    view.effect, view.checks = record.effect, parts.checks
    view.payment, view.attempt = named("pay", record.payment), named("att", record.attempt)
    view.key_id, view.source, view.raw_sha256 = or_null(parts.key), record.source, digest
    view.evidence = parts.proved and {
        key_id = or_null(parts.key), account = account.slug, raw_sha256 = digest, at = moment(record.at),
    } or null
    view.signed_text, view.first = or_null(parts.signed_text), named("ntf", record.first)
    view.repeats = json.array {}
    for i, repeated in ipairs(parts.repeats) do
        view.repeats[i] = ids.encode("ntf", repeated)
    end
    view.received_at = moment(record.at)
    view.answered = { status = parts.answered.status, body = parts.answered.body }
    return view
end

return views
