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
local refund_hints = require "tael.kernel.refund_hints"
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

local ROUNDS = 64 -- a lost round is somebody else's unit of the same payment

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
    local record = run.verdict:copy()
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
        now = run.recorded_at or run.at, checks = checks_of(run, decision), raw_digest = run.message.digest,
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

--- The channel's form of it; a sender that comes too often, or in a bad moment, is told so in HTTP's.
---@param package tael.channel.Package
---@param record { verdict: string, effect: string, failed_check: string? }
---@return { status: integer, headers: table<string, string>, body: string }
local function answer_of(package, record)
    if record.failed_check == "source" then
        return { status = 429, headers = { ["content-type"] = "text/plain; charset=utf-8" },
            body = "too many requests" }
    end
    local answer = channel_steps.ack(package, outcome_of(record))
    if record.failed_check == "commit" then
        answer.status = 503 -- the store's trouble, over soon: not a fault of ours (500)
    end
    return answer
end

local passed = {} ---@type table<string, table<string, tael.kernel.Counter>> by channel and effect

local function counter_of(channel, record)
    return metrics.counter("tael_notifications_total", { channel = channel, verdict = record.verdict,
        check = record.failed_check or "", effect = record.effect })
end

local function count(channel, record)
    local by_effect = passed[channel]
    local counter = record.verdict == "pass" and by_effect and by_effect[record.effect]
    if not counter then
        counter = counter_of(channel, record)
        if record.verdict == "pass" then
            passed[channel] = by_effect or {}
            passed[channel][record.effect] = counter
        end
    end
    counter.count = counter.count + 1
end

local function finish(run, record)
    count(run.account.channel, record)
    return answer_of(run.package, record)
end

-- ---- before the signature holds: the ring ----

local function hex16(text)
    return crypto.hex.encode(crypto.digest("sha256", text)):sub(1, 16)
end

--- What the ring keeps, but for the bytes.
---@param run tael.kernel.Inbound
---@param refusal tael.channel.Refusal
---@return table entry
local function entry_of(run, refusal)
    return {
        id = run.id, merchant = run.account.merchant, account = run.account.id, verdict = "refused",
        failed_check = refusal.check, effect = "none", source = run.source, at = run.at,
        checks = run.verdict:encode(), key_text = refusal.key_id,
        digest = crypto.digest("sha256", run.request.body),
    }
end

local function refuse_unproved(run, refusal)
    local entry = entry_of(run, refusal)
    local bytes_allowed = refusal.check ~= "source" and refusal.check ~= "size"
    entry.raw = bytes_allowed and secrets.seal(run.request.body, place(run.id)) or nil
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

local function unproved(refusal)
    return { check = refusal.check, detail = refusal.detail, effect = "none", alarm = "fact_not_proved" }
end

local function admit_payment(run, fact)
    return evidence.admit { proof = run.proof, message = run.message, account = run.account,
        fact = fact, identity = run.claims.identity, stated = (run.package.stated or {}).notification,
        amounts = run.package.amounts }
end

--- Facts by kind, and those about refunds as hints. One that is not proved is left out, and alarmed.
local function sorted(run, facts)
    local payments, hints = { nil }, {}
    for _, fact in ipairs(facts) do
        if fact.kind == "payment" then
            payments[#payments + 1] = fact
        elseif fact.kind == "refund" then
            local hint, refusal = refund_hints.admit(run, fact)
            hints[#hints + 1] = hint
            if not hint then
                settle.alarm("fact_not_proved", { notification = ids.encode("ntf", run.id),
                    account = run.account.slug, detail = refusal.detail })
            end
        end
    end
    return payments, hints
end

--- What the message proves, admitted by the kernel: a fact about a payment, hints about its refunds, or both.
---@return { payment: table?, hints: table[] }?
---@return table? decision why nothing
local function proved_facts(run)
    local facts, refusal = channel_steps.facts(run.package, run.prepared, run.proof)
    if not facts then
        return nil, { check = "order", detail = refusal.detail, effect = "none", fault = true,
            alarm = "facts_failed" }
    end
    local payments, hints = sorted(run, facts)
    if #payments > 1 or #payments == 0 and #hints == 0 then
        return nil, { check = "order", effect = "none",
            detail = ("%d facts about a payment in one message"):format(#payments) }
    end
    if payments[1] then
        local good, why = admit_payment(run, payments[1])
        if not good then
            return nil, unproved(why)
        end
    end
    return { payment = payments[1], hints = hints }
end

local function unknown_order(detail)
    return { check = "order", detail = detail, effect = "unknown_order" }
end

--- Nobody else makes such numbers. Its payer's money is nowhere in these books.
local function lost_order(fact, attempt)
    local decision = unknown_order("an order of this engine's that is not in its store, or not of this "
        .. "merchant: is the store an older copy?")
    decision.alarm, decision.lost = fact.state == "succeeded" and "paid_order_missing" or nil, attempt
    return decision
end

--- The attempt that the channel's order number names, when it is this merchant's and this account's.
---@return table? attempt row
---@return table? payment row, or why there is none
---@return table? err of the store
local function find_attempt(run, fact)
    local number = fact.order_no == run.claims.order_no and run.claimed_attempt
        or ids.attempt_of(fact.order_no)
    if not number then
        return nil, unknown_order("the order number is none of ours")
    end
    local attempt, payment = settle.read(number)
    if attempt and attempt.account == run.account.id then
        return attempt, payment
    elseif attempt then
        return nil, unknown_order("there is no such order for this account")
    elseif payment.code == "not_found" then
        return nil, lost_order(fact, number)
    end
    return nil, nil, payment
end

--- A verdict without a move: one row.
local function record_only(run, decision)
    local done, err = settle.commit { row_statement(run, decision) }
    if not done then
        return nil, err
    end
    if decision.alarm then
        settle.alarm(decision.alarm, { notification = ids.encode("ntf", run.id), detail = decision.detail,
            account = run.account.slug, attempt = ids.encode("att", decision.lost) })
    end
    return decision
end

--- The row, and what the hints do, for one unit.
local function record_of(run, said, decision, payment, attempt)
    if #said.hints == 0 then
        return { row_statement(run, decision, payment, attempt) }
    end
    local list
    list, run.foreign = refund_hints.statements(said.hints, payment, attempt)
    table.insert(list, 1, row_statement(run, decision, payment, attempt))
    return list
end

--- Nothing about the payment itself: the row and the hints.
local function record_hints(run, said, attempt)
    local decision = { effect = "none", detail = "about a refund" }
    for _ = 1, ROUNDS do
        local row, payment = settle.read(attempt.id)
        if not row then
            return nil, payment
        end
        local done, err = settle.commit(record_of(run, said, decision, payment, row))
        if done then
            return decision, payment
        elseif err.code ~= "guard" or err.otherwise ~= "reread" then
            return nil, err
        end
    end
    return nil, { code = "busy" }
end

local function apply(run, said, attempt, payment)
    if not said.payment then
        return record_hints(run, said, attempt)
    end
    return settle.apply {
        attempt = attempt.id, row = attempt, payment = payment, fact = said.payment, actor = run.actor,
        proof = { kind = "ntf", id = run.id, digest = run.message.digest,
            key = evidence.key_number(run.proof) },
        extra = function(made, now_payment, now_attempt)
            return record_of(run, said, made, now_payment, now_attempt)
        end,
    }
end

--- What a proved message does. nil: the store did not take it.
---@param run tael.kernel.Inbound after inbound.check
---@return tael.kernel.Decision?
---@return table? err
local function act(run)
    local said, decision = proved_facts(run)
    if not said then
        return record_only(run, decision)
    end
    local attempt, payment, err = find_attempt(run, said.payment or said.hints[1])
    if not attempt then
        if err then
            return nil, err
        end
        return record_only(run, payment)
    end
    local made, before = apply(run, said, attempt, payment)
    if made and run.foreign then
        refund_hints.alarm(run, run.foreign, before)
    end
    return made, before
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
    local package = registry.package(account)
    if not package.notify then
        return NOT_FOUND
    end
    task.set_scope(account.merchant)
    local request = inbound_request.request
    return handle {
        id = store.next_id(), account = account, package = package, prepared = prepared, request = request,
        source = source.of(request.peer, request.headers["x-forwarded-for"], registry.proxies),
        at = time.now(), actor = "channel:" .. account.channel,
        verdict = verdict.new(time.micros),
        charset_declared = nil, message = nil, claims = nil, claimed_attempt = nil, proof = nil, sealed = nil,
    }
end

notifications.act, notifications.entry_of = act, entry_of
notifications.answer_of, notifications.place = answer_of, place

-- What can be seen and done afterwards stands in inspect.lua and replay.lua, which need this module first.

---@param text string "ntf_…"
---@param actor string who wants it
---@return table? view of what came of it
---@return table? err
function notifications.replay(text, actor)
    return require("tael.kernel.replay").run(text, actor)
end

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
