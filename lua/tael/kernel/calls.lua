--- One call to a channel, whatever it asks for. The call's row, and whatever belongs to it (a refund that is
--- now under way, a timer), is durable before a byte leaves; its end is written by whoever knows what the
--- answer does, in the unit that does it.
--- 1 A crash between the two leaves a row without a class: the order is asked about again, never guessed.
--- 2 Request and answer are kept sealed, with the place they belong to. 3 Nothing here moves a payment.
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
local task = require "tael.task"
local time = require "tael.time"

local calls = {}

local SLACK_MS = 2000

---@class tael.kernel.Asking
---@field op string "query", "create", "close", "cancel", "refund", "refund_query"
---@field object integer row that the call hangs on: an attempt, a refund
---@field payment table row
---@field attempt table row
---@field refund table? row, for refund operations
---@field details table? of the payment; read when it is not given
---@field account table? the attempt's when it is not given
---@field actor string? for the log
---@field built tael.kernel.Built? the request, when it was built before
---@field now integer? ms, what the request takes for now
---@field committed fun()? called when the call's row stands, before the request leaves
---@field with table[]? statements of the same unit, before the call's own: the one that decides stands first

---@class tael.kernel.Built
---@field request tael.channel.Request
---@field ctx tael.channel.Context
---@field prepared tael.channel.Account

---@class tael.kernel.Asked
---@field call integer id of its row
---@field op string
---@field answer table? of channel.call.send
---@field outcome tael.channel.Outcome
---@field ctx tael.channel.Context
---@field account table
---@field payment table row as it was before
---@field attempt table row as it was before

local function place(call, what)
    return ("cal:%d:%s"):format(call, what)
end

local function names(asking, call)
    return {
        call = ids.encode("cal", call), op = asking.op, payment = ids.encode("pay", asking.payment.id),
        attempt = ids.encode("att", asking.attempt.id),
        refund = asking.refund and ids.encode("ref", asking.refund.id), actor = asking.actor,
    }
end

local function report(asked, asking)
    local outcome, account = asked.outcome, asked.account
    metrics.count("tael_calls_total", { channel = account.channel, op = asking.op, class = outcome.class })
    local line = names(asking, asked.call)
    line.channel, line.class, line.reason = account.channel, outcome.class, outcome.reason
    line.ms = asked.answer and asked.answer.ms
    log.info("channel.call", line)
    if outcome.alarm then
        local fields = names(asking, asked.call)
        fields.account, fields.detail = account.slug, outcome.alarm
        settle.alarm("channel_" .. outcome.class, fields)
    end
end

--- The request, built from stored facts and the clock, in its turn: a signature takes long.
---@param asking tael.kernel.Asking
---@return tael.kernel.Built?
---@return table? err {code, channel?, field?, detail}
function calls.build(asking)
    local account = asking.account or registry.account(asking.attempt.account)
    local prepared = registry.prepared(account)
    if not prepared then
        return nil, { code = "no_channel_available", detail = "the account is no longer configured" }
    end
    local details, err = asking.details, nil
    if not details then
        details, err = details_of.read(asking.payment)
    end
    if not details then
        return nil, err
    end
    task.last(true) -- it will be signed
    local ctx = context.of(asking.payment, details, asking.attempt, account, asking.now or time.now(),
        asking.refund)
    local request
    request, err = channel_call.build(registry.package(account), asking.op, prepared, ctx)
    if not request then
        return nil, err
    elseif not request["local"] then -- leases, and when a call counts as over, follow from the limit alone
        local limit = calls.limit(account, asking.op)
        request.timeout_ms = math.min(request.timeout_ms or limit, limit)
    end
    return { request = request, ctx = ctx, prepared = prepared }
end

local function insert(asking, account, request)
    local call = store.next_id()
    local list = {}
    for i, statement in ipairs(asking.with or {}) do
        list[i] = statement
    end
    list[#list + 1] = { "call.insert", { call = call, object = asking.object, op = asking.op,
        account = account.id, request = secrets.seal(json.encode(request), place(call, "request")) } }
    local done, err = settle.commit(list)
    if not done then
        return nil, err
    end
    return call
end

--- Builds, commits the call's row with `with`, sends, interprets. nil: no byte has left; err is the build's
--- {code, field?, detail}, or the store's: a guard of `with` that failed is {code = "guard", otherwise}.
---@param asking tael.kernel.Asking
---@return tael.kernel.Asked?
---@return table? err
function calls.send(asking)
    local account = asking.account or registry.account(asking.attempt.account)
    local built, err = asking.built, nil
    if not built then
        built, err = calls.build(asking)
    end
    if not built then
        return nil, err
    elseif built.request["local"] then
        return nil, { code = "script_failed", channel = account.channel,
            detail = ("%s: %s.build made no request to send"):format(account.channel, asking.op) }
    end
    local call
    call, err = insert(asking, account, built.request)
    if not call then
        return nil, err
    end
    if asking.committed then
        asking.committed()
    end
    local answer, failure = channel_call.send(built.request)
    local asked = {
        call = call, op = asking.op, answer = answer, ctx = built.ctx, account = account,
        payment = asking.payment, attempt = asking.attempt,
        outcome = channel_call.interpret(registry.package(account), asking.op, built.prepared, answer,
            built.ctx, failure),
    }
    report(asked, asking)
    return asked
end

--- The statement that ends the call: of the unit that does what the answer proves.
---@param asked tael.kernel.Asked
---@return table statement
function calls.finish(asked)
    local outcome, answer = asked.outcome, asked.answer
    local result = outcome.result or {}
    return { "call.finish", {
        call = asked.call, class = outcome.class, http_status = answer and answer.status,
        code = result.channel_code or result.code, trace_no = result.trace_no, ms = answer and answer.ms,
        answer_digest = outcome.message and outcome.message.digest,
        answer = answer and secrets.seal(answer.raw, place(asked.call, "answer")),
    } }
end

--- Only the call's end is written: the answer moves nothing.
---@param asked tael.kernel.Asked
---@return tael.kernel.Decision? decision of effect "none", with the outcome's class
---@return table? err
function calls.close(asked)
    local done, err = store.commit { calls.finish(asked) }
    if not done then
        return nil, err
    end
    return { effect = "none", detail = asked.outcome.reason or asked.outcome.class,
        class = asked.outcome.class }
end

--- What an event names as its evidence; without a digest when no answer came.
---@param asked tael.kernel.Asked
---@return tael.kernel.Proof
function calls.proof(asked)
    local message = asked.outcome.message
    return {
        kind = "cal", id = asked.call, digest = message and message.digest,
        key = asked.outcome.evidence and evidence.key_number(asked.outcome.evidence),
    }
end

--- How long the channel is waited for at most, by its manifest or by the configuration.
---@param account table
---@param op string
---@return integer ms
function calls.limit(account, op)
    local package = registry.package(account)
    return package and package.timeouts_ms and package.timeouts_ms[op] or registry.config.client.total
end

--- How long a call of this kind takes at most: for whoever waits for one that is under way.
---@param account table
---@param op string
---@return integer ms
function calls.patience(account, op)
    return calls.limit(account, op) + SLACK_MS
end

--- Was it made within the last `ms`? A clock that was set back since makes a call look as if it were to come:
--- it is none to wait for.
local function is_within(call, ms)
    return math.abs(time.now() - store.id_ms(call)) < ms
end

--- Is somebody talking to the channel about this order at the moment? A call that a crash cut off counts for
--- no longer than it could have taken.
---@param attempt table row
---@return boolean
function calls.under_way(attempt)
    local rows = store.query("call.last", { object = attempt.id })
    local last = rows and rows[1]
    if not last or last.class then
        return false
    end
    return is_within(last.id, calls.patience(registry.account(attempt.account), last.op))
end

--- Was this object's channel called within the last `ms`?
---@param object integer
---@param op string? nil: whatever was asked
---@param ms integer
---@return boolean
function calls.recent(object, op, ms)
    local rows = store.query("call.last", { object = object, op = op })
    local last = rows and rows[1]
    return last ~= nil and is_within(last.id, ms)
end

return calls
