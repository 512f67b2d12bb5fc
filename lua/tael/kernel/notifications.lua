--- Inbound notifications: from the request's bytes to the channel's acknowledgement, and what can be seen
--- of it afterwards.
--- 1 The answer leaves only after the unit is durable, and never says which check failed. 2 Refused before
--- the signature held: only the ring remembers. From the signature on: a row with verdict and sealed bytes,
--- in the same unit as what it does. 3 A repeat is answered the same and changes nothing.
local channel_steps = require "tael.channel.notification"
local crypto = require "tael.crypto"
local evidence = require "tael.kernel.evidence"
local ids = require "tael.kernel.ids"
local inbound = require "tael.kernel.inbound"
local log = require "tael.log"
local metrics = require "tael.kernel.metrics"
local refused_store = require "tael.kernel.refused"
local registry = require "tael.kernel.registry"
local secrets = require "tael.kernel.secrets"
local settle = require "tael.kernel.settle"
local source = require "tael.kernel.source"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local verdict = require "tael.kernel.verdict"

local notifications = {}

local NOT_FOUND = { status = 404, headers = { ["content-type"] = "text/plain; charset=utf-8" },
    body = "not found" }

local function place(id)
    return "ntf:" .. id
end

-- ---- the row ----

local function verdict_of(decision)
    if decision.fault then
        return "error"
    end
    return decision.check and "refused" or "pass"
end

--- The checks as the row keeps them: nothing when all have passed.
local function checks_of(run, decision)
    if not decision.check then
        return nil
    end
    local record = verdict.new(time.micros)
    for i, check in ipairs(run.verdict.checks) do
        record.checks[i] = check
    end
    record.since = run.verdict.since
    record:fail(decision.check, decision.detail)
    return record:encode()
end

--- The row of a repeat names the first one with the same bytes and keeps none.
local function first_of(run, decision, payment)
    if decision.event or not payment then
        return nil
    end
    local rows = store.query("notification.first", { payment = payment.id, raw_digest = run.message.digest })
    return rows and rows[1] and rows[1].id
end

--- Sealed once, however many rounds the unit takes.
local function sealed_bytes(run)
    run.sealed = run.sealed or secrets.seal(run.message.raw, place(run.id))
    return run.sealed
end

local function row_statement(run, decision, payment, attempt)
    local first = first_of(run, decision, payment)
    return { "notification.insert", {
        notification = run.id, account = run.account.id, notified_payment = payment and payment.id,
        notified_attempt = attempt and attempt.id, verdict = verdict_of(decision),
        failed_check = decision.check,
        effect = decision.effect, first = first, key_id = evidence.key_number(run.proof), source = run.source,
        now = run.at, checks = checks_of(run, decision), raw_digest = run.message.digest,
        raw = not first and sealed_bytes(run) or nil,
    } }
end

-- ---- answers ----

--- What the channel is told, by the record alone: the same for the first and for every repeat.
---@param record { verdict: string, effect: string }
---@return "accepted"|"refused"|"failed"
local function outcome_of(record)
    if record.verdict == "error" then
        return "failed"
    elseif record.verdict == "refused" and record.effect ~= "review" then
        return "refused"
    end
    return "accepted"
end

--- The channel's form of it; a sender that comes too often is told so in HTTP's.
---@param package tael.channel.Package
---@param record { verdict: string, effect: string, failed_check: string? }
---@return { status: integer, headers: table<string, string>, body: string }
local function answer_of(package, record)
    if record.failed_check == "source" then
        return { status = 429, headers = { ["content-type"] = "text/plain; charset=utf-8" },
            body = "too many requests" }
    end
    return channel_steps.ack(package, outcome_of(record))
end

local function finish(run, record)
    metrics.count("tael_notifications_total", { channel = run.account.channel, verdict = record.verdict,
        check = record.failed_check or "", effect = record.effect })
    return answer_of(run.package, record)
end

-- ---- before the signature holds: the ring ----

local function hex16(text)
    return crypto.hex.encode(crypto.digest("sha256", text)):sub(1, 16)
end

local function refuse_unproved(run, refusal)
    local bytes_allowed = refusal.check ~= "source" and refusal.check ~= "size"
    local entry = {
        id = run.id, merchant = run.account.merchant, account = run.account.id, verdict = "refused",
        failed_check = refusal.check, effect = "none", source = run.source, at = run.at,
        checks = run.verdict:encode(), key_text = refusal.key_id,
        digest = crypto.digest("sha256", run.request.body),
        raw = bytes_allowed and secrets.seal(run.request.body, place(run.id)) or nil,
    }
    if refused_store.add(entry) then
        log.warn("notification.refused", { notification = ids.encode("ntf", run.id), check = refusal.check,
            channel = run.account.channel, account = run.account.slug, source = run.source,
            body = hex16(run.request.body), detail = refusal.detail })
    end
    local answer = finish(run, entry)
    answer.headers["retry-after"] = refusal.retry_s and tostring(refusal.retry_s)
    return answer
end

-- ---- after it: facts, and what they do ----

--- The one fact about a payment that the message proves, admitted by the kernel. What else it says (a refund
--- of the same trade) is on record with the bytes.
local function proved_fact(run)
    local facts, refusal = channel_steps.facts(run.package, run.prepared, run.proof)
    if not facts then
        return nil, { check = "order", detail = refusal.detail, effect = "none", fault = true,
            alarm = "facts_failed" }
    end
    local fact, count = nil, 0
    for _, stated in ipairs(facts) do
        if stated.kind == "payment" then
            fact, count = stated, count + 1
        end
    end
    if count ~= 1 then
        return nil, { check = "order", effect = "none",
            detail = ("%d facts about a payment in one message"):format(count) }
    end
    local good
    good, refusal = evidence.admit { proof = run.proof, message = run.message, account = run.account,
        fact = fact, identity = run.claims.identity, stated = (run.package.stated or {}).notification,
        amounts = run.package.amounts }
    if not good then
        return nil, { check = refusal.check, detail = refusal.detail, effect = "none",
            alarm = "fact_not_proved" }
    end
    return fact
end

local function unknown_order(detail)
    return { check = "order", detail = detail, effect = "unknown_order" }
end

--- The attempt that the channel's order number names, when it is this merchant's and this account's.
local function find_attempt(run, fact)
    local number = fact.order_no == run.claims.order_no and run.claimed_attempt
        or ids.attempt_of(fact.order_no)
    if not number then
        return nil, unknown_order("the order number is none of ours")
    end
    local rows, err = store.query("attempt.get", { attempt = number })
    if not rows then
        return nil, nil, err
    elseif not rows[1] or rows[1].account ~= run.account.id then
        return nil, unknown_order("there is no such order for this account")
    end
    return rows[1]
end

--- A verdict without a move: one row.
local function record_only(run, decision)
    local done, err = settle.commit { row_statement(run, decision) }
    if not done then
        return nil, err
    end
    if decision.alarm then
        settle.alarm(decision.alarm, { notification = ids.encode("ntf", run.id), detail = decision.detail,
            account = run.account.slug })
    end
    return decision
end

local function act(run)
    local fact, decision = proved_fact(run)
    if not fact then
        return record_only(run, decision)
    end
    local attempt, unknown, err = find_attempt(run, fact)
    if not attempt then
        if unknown then
            return record_only(run, unknown)
        end
        return nil, err
    end
    return settle.apply {
        attempt = attempt.id, row = attempt, fact = fact, actor = "channel:" .. run.account.channel,
        proof = { kind = "ntf", id = run.id, digest = run.message.digest,
        key = evidence.key_number(run.proof) },
        extra = function(made, payment, row)
            return { row_statement(run, made, payment, row) }
        end,
    }
end

local function handle(run)
    local refusal = inbound.check(run)
    if refusal then
        return refuse_unproved(run, refusal)
    end
    local decision, err = act(run)
    if not decision then
        log.error("notification.failed", { notification = ids.encode("ntf", run.id),
            account = run.account.slug, code = err and err.code })
        return finish(run, { verdict = "error", failed_check = "commit", effect = "none" })
    end
    return finish(run, { verdict = verdict_of(decision), failed_check = decision.check,
        effect = decision.effect })
end

--- POST /notify/<channel>/<account>. Sets the task's scope to the account's merchant.
---@param inbound_request { channel: string, account: string, request: table }
---@return { status: integer, headers: table<string, string>, body: string } response
function notifications.receive(inbound_request)
    local account = registry.account(inbound_request.account)
    local prepared = account and registry.prepared(account)
    if not prepared or account.channel ~= inbound_request.channel then
        return NOT_FOUND
    end
    local package = registry.package(account.channel)
    if not package.notify then
        return NOT_FOUND
    end
    task.set_scope(account.merchant)
    local request = inbound_request.request
    return handle {
        id = store.next_id(), account = account, package = package, prepared = prepared, request = request,
        source = source.of(request.peer, request.headers["x-forwarded-for"], registry.proxies),
        at = time.now(),
        verdict = verdict.new(time.micros),
    }
end

notifications.answer_of = answer_of
notifications.place = place

-- What can be seen afterwards stands in inspect.lua, which needs this module first.

---@param text string "ntf_…"
---@return table? view
---@return table? err
function notifications.get(text)
    return require("tael.kernel.inspect").get(text)
end

---@param filters table limit, before?, since?, payment? (number), channel?, verdict?, effect?
---@return table[]? views newest first
---@return integer|table|nil next, or err
function notifications.list(filters)
    return require("tael.kernel.inspect").list(filters)
end

---@param text string "ntf_…"
---@return table? view
---@return table? err
function notifications.explain(text)
    return require("tael.kernel.inspect").explain(text)
end

return notifications
