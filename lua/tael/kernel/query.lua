--- Asks a channel about an order. The call's row is durable before a byte leaves; what comes back moves the
--- payment only with evidence, by the same decision as a notification.
--- 1 No answer, no signature or a word nobody knows settles nothing. 2 An answer about another order, amount
--- or currency is refused. 3 Asking is harmless: it moves no money at the channel.
local channel_call = require "tael.channel.call"
local context = require "tael.kernel.context"
local details_of = require "tael.kernel.details"
local evidence = require "tael.kernel.evidence"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local log = require "tael.log"
local metrics = require "tael.kernel.metrics"
local registry = require "tael.kernel.registry"
local secrets = require "tael.kernel.secrets"
local settle = require "tael.kernel.settle"
local store = require "tael.store"
local time = require "tael.time"

local query = {}

local OP = "query"
local PAUSE_MS = 1000 -- between two queries of one order

local function place(call, what)
    return ("cal:%d:%s"):format(call, what)
end

--- What the outcome states about the order; nil when it states nothing that may act.
---@param outcome tael.channel.Outcome
---@param order_no string
---@return table? fact
function query.fact_of(outcome, order_no)
    local result = outcome.result
    if not outcome.evidence or not result then
        return nil
    elseif outcome.class == "not_found" then
        return { kind = "payment", state = "not_found", order_no = order_no, code = result.channel_code
            or result.code }
    elseif outcome.class ~= "ok" and not (outcome.class == "unknown" and result.state == "unknown") then
        return nil
    elseif not result.state then
        return nil
    end
    return {
        kind = "payment", state = result.state, channel_state = result.channel_state,
        order_no = result.order_no,
        trade_no = result.trade_no, amount = result.amount, currency = result.currency, at = result.at,
        code = result.channel_state or result.channel_code or result.code,
    }
end

--- "not found" names no order; everything else is held against what was signed.
local function admit(outcome, fact, account, order_no)
    if fact.state == "not_found" then
        return evidence.authentic(outcome.evidence, outcome.message, account)
    elseif fact.order_no ~= order_no then
        return nil, { check = "order", detail = "the answer is about another order" }
    end
    return evidence.admit { proof = outcome.evidence, message = outcome.message, account = account,
        fact = fact, stated = (registry.package(account.channel).stated or {}).query }
end

local function finish_statement(call, outcome, answer)
    local result = outcome.result or {}
    return { "call.finish", {
        call = call, class = outcome.class, http_status = answer and answer.status,
        code = result.channel_code or result.code, trace_no = result.trace_no, ms = answer and answer.ms,
        answer_digest = outcome.message and outcome.message.digest,
        answer = answer and secrets.seal(answer.raw, place(call, "answer")),
    } }
end

local function report(outcome, call, account)
    metrics.count("tael_calls_total", { channel = account.channel, op = OP, class = outcome.class })
    log.info("channel.call", { call = ids.encode("cal", call), channel = account.channel, op = OP,
        class = outcome.class, reason = outcome.reason })
    if outcome.alarm then
        settle.alarm("channel_" .. outcome.class, { call = ids.encode("cal", call), account = account.slug,
            detail = outcome.alarm })
    end
end

--- Builds and sends; the row stands before the bytes leave.
local function ask(payment, attempt, account, prepared)
    local details, err = details_of.read(payment)
    if not details then
        return nil, err
    end
    local package = registry.package(account.channel)
    local ctx = context.of(payment, details, attempt, account, time.now())
    local request
    request, err = channel_call.build(package, OP, prepared, ctx)
    if not request then
        return nil, err
    end
    local call = store.next_id()
    local done
    done, err = store.commit { { "call.insert", { call = call, attempt = attempt.id, op = OP,
        account = account.id, request = secrets.seal(json.encode(request), place(call, "request")) } } }
    if not done then
        return nil, err
    end
    local answer, failure = channel_call.send(request)
    return { call = call, answer = answer,
        outcome = channel_call.interpret(package, OP, prepared, answer, ctx, failure) }
end

--- Only the call's end is written: the answer moves nothing.
local function close_call(asked)
    local done, err = store.commit { finish_statement(asked.call, asked.outcome, asked.answer) }
    if not done then
        return nil, err
    end
    return { effect = "none", detail = asked.outcome.reason or asked.outcome.class,
        class = asked.outcome.class }
end

local function act(asked, attempt, account, actor)
    local order_no = ids.order_number(attempt.id)
    local fact = query.fact_of(asked.outcome, order_no)
    if not fact then
        return close_call(asked)
    end
    local good, refusal = admit(asked.outcome, fact, account, order_no)
    if not good then
        settle.alarm("answer_refused", { call = ids.encode("cal", asked.call), check = refusal.check,
            detail = refusal.detail })
        return close_call(asked)
    end
    local finish = finish_statement(asked.call, asked.outcome, asked.answer)
    return settle.apply {
        attempt = attempt.id, fact = fact, actor = actor,
        proof = { kind = "cal", id = asked.call, digest = asked.outcome.message.digest,
            key = evidence.key_number(asked.outcome.evidence) },
        extra = function() return { finish } end,
    }
end

--- Asks the channel about this attempt now, and settles what the answer proves.
---@param attempt table row, of the scope's merchant
---@param payment table row
---@param actor string
---@return tael.kernel.Decision?
---@return table? err
function query.attempt(attempt, payment, actor)
    local account = registry.account(attempt.account)
    local prepared = registry.prepared(account)
    if not prepared then
        return nil, { code = "no_channel_available", detail = "the account is no longer configured" }
    end
    local asked, err = ask(payment, attempt, account, prepared)
    if not asked then
        log.error("query.failed", { attempt = ids.encode("att", attempt.id), code = err.code,
            detail = err.detail })
        return nil, err
    end
    report(asked.outcome, asked.call, account)
    return act(asked, attempt, account, actor)
end

--- Was this order asked about within the last second?
---@param attempt integer
function query.is_recent(attempt)
    local calls = store.query("call.last", { object = attempt })
    local last = calls and calls[1]
    return last ~= nil and time.now() - store.id_ms(last.id) < PAUSE_MS
end

--- Asks about a payment's newest attempt, unless that was done within the last second.
---@param payment integer
---@param actor string
---@return boolean asked
function query.sync(payment, actor)
    local rows = store.query("payment.get", { payment = payment })
    local row = rows and rows[1]
    local attempts = row and row.attempt and store.query("attempt.get", { attempt = row.attempt })
    local attempt = attempts and attempts[1]
    if not attempt or query.is_recent(attempt.id) then
        return false
    end
    return query.attempt(attempt, row, actor) ~= nil
end

return query
