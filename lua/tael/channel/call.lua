--- One call to a channel, as the kernel makes it: build, send, interpret. Between build and send the kernel
--- commits that the call is going out; after interpret it compares order, amount and currency and commits
--- the move. Nothing here touches the store.
---
--- 1 What is not known is "unknown": a lost answer, an answer whose signature is missing or wrong, a word
--- that is not mapped, a package that raises. 2 Only evidence made from this very answer leads to anything
--- else. 3 "not_sent" is said only when it is certain that no byte left.
local http = require "tael.http"
local limits = require "tael.channel.limits"
local meanings = require "tael.channel.meanings"
local message_module = require "tael.message"
local shapes = require "tael.channel.shapes"
local task = require "tael.task"
local time = require "tael.time"

local call = {}

-- ---- context ----

--- now is an argument, not the clock: the same stored facts give the same signed bytes again.
---@param parts tael.channel.ContextParts
---@return tael.channel.Context
function call.context(parts)
    return {
        payment = parts.payment,
        attempt = parts.attempt,
        refund = parts.refund,
        now = parts.now,
        time = {
            cst = time.format(parts.now, "+08:00"),
            rfc3339 = time.rfc3339(parts.now),
            unix = parts.now // 1000,
        },
        notify_url = parts.notify_url,
        return_url = parts.return_url,
        options = parts.options or {},
    }
end

-- ---- build ----

--- Why a package made no request: a field of the input that it cannot take, or a fault of its own.
local function unbuilt(package, op, said)
    if type(said) == "table" and type(rawget(said, "field")) == "string" then
        return limits.refusal(package, "invalid_field", rawget(said, "field"),
            shapes.line(rawget(said, "message")))
    end
    return limits.refusal(package, "script_failed", nil, op .. ".build gave no request")
end

--- Checks the manifest's limits (create only), then lets the package build.
---@param package tael.channel.Package
---@param op string
---@param prepared tael.channel.Account
---@param ctx tael.channel.Context
---@return tael.channel.Request?
---@return tael.channel.BuildError? err
function call.build(package, op, prepared, ctx)
    local operation = package[op]
    if not operation then
        return limits.refusal(package, "not_implemented_by_channel", nil, op .. " is not implemented")
    end
    if op == "create" then
        local fits, err = limits.check(package, ctx)
        if not fits then
            return nil, err
        end
    end
    local ran, request, said = task.pure(operation.build, prepared, ctx)
    if not ran then
        return limits.refusal(package, "script_failed", nil, op .. ".build raised: " .. shapes.line(request))
    elseif type(request) ~= "table" then
        return unbuilt(package, op, said)
    end
    local checked, wrong = shapes.request(request)
    if not checked then
        return limits.refusal(package, "script_failed", nil, op .. ".build gave a request " .. wrong)
    elseif not checked["local"] then
        checked.timeout_ms = checked.timeout_ms or package.timeouts_ms and package.timeouts_ms[op]
        checked.pool = package.name .. ":" .. prepared.slug -- an account that waits holds up no other
    end
    return checked
end

-- ---- send ----

--- What a client raises about a request that it does not even begin (a header that is ours to set, an
--- address that is none): the package's fault, and nothing left.
local function refused_request(err)
    local what = type(err) == "string" and err:match("http%.request: (.*)")
    if not what or what == "out of memory" then
        error(err, 0)
    end
    return nil, { code = "request", sent = false, message = shapes.line(what) }
end

--- Sends what build gave. Waits.
---@param request tael.channel.Request
---@return table? answer {status, headers, raw, ms, at}
---@return table? err {code, sent, message}
function call.send(request)
    local began, answer, err = pcall(http.request, {
        method = request.method, url = request.url, headers = request.headers,
        form = request.form, json = request.json, body = request.body,
        timeout_ms = request.timeout_ms, pool = request.pool,
    })
    if not began then
        return refused_request(answer)
    elseif not answer then
        return nil, { code = err.code, sent = err.sent ~= false, message = err.message }
    end
    return {
        status = answer.status, headers = answer.headers, raw = answer.raw, ms = answer.ms,
        at = time.now(),
    }
end

-- ---- interpret ----

local function unknown(reason, more)
    local outcome = more or {}
    outcome.class, outcome.reason = "unknown", reason
    return outcome
end

--- What an answer says that nobody signed. It proves nothing and moves nothing; whoever runs the engine has
--- to hear of it, because a wrong key or application id is answered so.
local function hearsay(package, op, code)
    local meaning = meanings.of(package, op, code)
    local advice = type(meaning) == "table" and meaning[1] ~= "declined" and meaning[2]
        or "an answer without a signature proves nothing"
    return ("%s: unsigned answer %s: %s"):format(package.name, code, advice)
end

local function unproved(package, op, said)
    if type(said) ~= "table" then
        return "answer not verified: " .. (said == nil and "signature" or shapes.line(said))
    end
    local code, alarm = rawget(said, "code"), rawget(said, "alarm")
    local reason = "answer not verified: " .. shapes.line(rawget(said, "reason") or "signature")
    if type(code) == "string" and code:find("^[%w%.%-_]+$") and #code <= 64 then
        return reason, hearsay(package, op, code)
    end
    return reason, type(alarm) == "string" and package.name .. ": " .. shapes.line(alarm) or nil
end

--- The answer's signature, by the package; evidence of anything but this answer counts for nothing.
---@return userdata? evidence
---@return string? reason
---@return string? alarm
local function evidence_of(package, op, prepared, answer, message)
    if not package.verify_answer then
        return nil, "answer not verified: the package has no verify_answer"
    end
    local about = { op = op, status = answer.status }
    local ran, evidence, said = task.pure(package.verify_answer, prepared, message, about)
    if not ran then
        return nil, "verify_answer raised: " .. shapes.line(evidence)
    elseif evidence == nil then
        return nil, unproved(package, op, said)
    elseif not message_module.is_evidence(evidence) or not message_module.check(evidence, message)
        or evidence.account ~= prepared.id then
        return nil, "answer not verified: evidence of something else"
    end
    return evidence
end

--- The result that the package reads out of what was signed, or what is wrong with it.
local function parsed(package, op, prepared, outcome, ctx)
    local parse = package[op] and package[op].parse
    if not parse then
        return nil, op .. " expects no answer"
    end
    local ran, value = task.pure(parse, prepared, outcome.evidence, outcome.message, ctx)
    if not ran then
        return nil, op .. ".parse raised: " .. shapes.line(value)
    end
    return shapes.result(op, value)
end

--- An order that was taken over has to say how the payer goes on.
local function has_no_way_on(op, result)
    return op == "create" and not result.next_action and not result.state
end

local function judge(package, op, outcome, ctx)
    local result = outcome.result
    meanings.classify(package, op, package.products[ctx.attempt.product], outcome)
    if outcome.class ~= "ok" then
        result.channel_state, result.state = result.channel_state or result.state, nil
        return outcome
    elseif has_no_way_on(op, result) then
        return unknown("create.parse gave neither next_action nor state", outcome)
    end
    meanings.settle(package, op, outcome)
    return outcome
end

-- what waiting does not cure: an address that may not be asked, a request that is none, a certificate
local for_people = { address = true, request = true, tls = true }

local function silence(package, err)
    local code = err and err.code or "no answer"
    local outcome = { class = "not_sent", reason = code }
    if for_people[code] then
        outcome.alarm = ("%s: no request can be made: %s"):format(package.name, tostring(err.message or code))
    end
    if err and err.sent == false then
        return outcome
    end
    return unknown(code, outcome)
end

--- What an answer, or its absence, means. Never raises.
---@param package tael.channel.Package
---@param op string
---@param prepared tael.channel.Account
---@param answer table? of call.send
---@param ctx tael.channel.Context
---@param err table? of call.send
---@return tael.channel.Outcome
function call.interpret(package, op, prepared, answer, ctx, err)
    if not answer then
        return silence(package, err)
    end
    local message, refused = message_module.new {
        account = prepared.id, raw = answer.raw, headers = answer.headers, at = answer.at,
    }
    if not message then
        return unknown("answer refused: " .. tostring(refused and refused.code))
    end
    local outcome = { message = message }
    local evidence, reason, alarm = evidence_of(package, op, prepared, answer, message)
    if not evidence then
        outcome.alarm = alarm
        return unknown(reason, outcome)
    end
    outcome.evidence = evidence
    local result, wrong = parsed(package, op, prepared, outcome, ctx)
    if not result then
        return unknown(wrong, outcome)
    end
    outcome.result = result
    return judge(package, op, outcome, ctx)
end

return call
