--- One call to a channel, as the kernel makes it: build, send, interpret. Between build and send the kernel
--- commits that the call is going out; after interpret it compares order, amount and currency and commits
--- the move. Nothing here touches the store.
---
--- 1 What is not known is "unknown": a lost answer, an answer whose signature is missing or wrong, a word
--- that is not mapped, a package that raises. 2 Only evidence made from this very answer leads to "ok".
--- 3 "not_sent" is said only when it is certain that no byte left.
local http = require "tael.http"
local message_module = require "tael.message"
local task = require "tael.task"
local time = require "tael.time"

local call = {}

-- ---- context ----

--- now is an argument, not the clock: the same stored facts give the same signed bytes again.
---@param parts table {now, payment, attempt, notify_url?, return_url?, options?, nonce?}
---@return tael.channel.Context
function call.context(parts)
    return {
        payment = parts.payment,
        attempt = parts.attempt,
        now = parts.now,
        time = {
            cst = time.format(parts.now, "+08:00"),
            rfc3339 = time.rfc3339(parts.now),
            unix = parts.now // 1000,
        },
        notify_url = parts.notify_url,
        return_url = parts.return_url,
        options = parts.options or {},
        nonce = parts.nonce,
    }
end

-- ---- build ----

local function refusal(package, code, field, detail)
    detail = package.name .. ": " .. detail
    return nil, { code = code, channel = package.name, field = field, detail = detail }
end

local function check_text(package, field, text, limit)
    if limit == nil or text == nil then
        return true
    end
    local max = type(limit) == "table" and limit.max or limit
    local refuse = type(limit) == "table" and limit.refuse or ""
    local length = utf8.len(text)
    if not length then
        return refusal(package, "invalid_field", field, field .. " is not UTF-8")
    elseif length > max then
        return refusal(package, "invalid_field", field,
            ("%s must not be longer than %d characters"):format(field, max))
    end
    for _, code in utf8.codes(refuse) do
        local character = utf8.char(code)
        if text:find(character, 1, true) then
            return refusal(package, "invalid_field", field,
                ("%s must not hold '%s'"):format(field, character))
        end
    end
    return true
end

local function check_needs(package, product, ctx)
    for _, path in ipairs(product.needs or {}) do
        local value = ctx.payment
        for name in path:gmatch("[^.]+") do
            value = type(value) == "table" and value[name] or nil
        end
        if value == nil then
            return refusal(package, "missing_field", path, path .. " is needed")
        end
    end
    return true
end

-- between the request, which says how long, and the order's number, which says when, some ms pass
local life_slack_ms = 1000

local function check_life(package, product, ctx)
    local life = ctx.attempt.expires_at and ctx.attempt.expires_at - ctx.now
    local shortest = product.expires_ms[1] - life_slack_ms
    local longest = product.expires_ms[2] + life_slack_ms
    if life and (life < shortest or life > longest) then
        return refusal(package, "invalid_field", "expires_in",
            ("an order must live %s to %s"):format(product.expires[1], product.expires[2]))
    end
    return true
end

--- The manifest's limits of the product that is being created.
local function check_limits(package, ctx)
    local attempt = ctx.attempt
    local product = package.products[attempt.product]
    if not product then
        return refusal(package, "product_not_supported", "product",
            "product '" .. tostring(attempt.product) .. "' is not supported")
    elseif not product.currencies[attempt.currency] then
        return refusal(package, "currency_not_supported", "currency",
            "currency " .. tostring(attempt.currency) .. " is not supported")
    elseif attempt.amount < product.min or attempt.amount > product.max then
        return refusal(package, "amount_out_of_range", "amount",
            ("amount must lie in %d … %d minor units"):format(product.min, product.max))
    end
    local checks = {
        { check_text, "subject", ctx.payment.subject, product.subject },
        { check_text, "description", ctx.payment.description, product.description },
        { check_needs, product, ctx },
        { check_life, product, ctx },
    }
    for _, check in ipairs(checks) do
        local fits, err = check[1](package, table.unpack(check, 2, 4))
        if not fits then
            return nil, err
        end
    end
    return true
end

--- Checks the manifest's limits (create only), then lets the package build.
---@param package tael.channel.Package
---@param op string
---@param prepared tael.channel.Account
---@param ctx tael.channel.Context
---@return tael.channel.Request?
---@return table? err {code, channel, field?, detail}
function call.build(package, op, prepared, ctx)
    local operation = package[op]
    if not operation then
        return refusal(package, "not_implemented_by_channel", nil, op .. " is not implemented")
    end
    if op == "create" then
        local fits, err = check_limits(package, ctx)
        if not fits then
            return nil, err
        end
    end
    local ran, request, why = task.pure(operation.build, prepared, ctx)
    if not ran then
        return refusal(package, "script_failed", nil, op .. ".build raised: " .. tostring(request))
    elseif type(request) == "table" then
        return request
    elseif type(why) == "table" and why.field then
        return refusal(package, "invalid_field", why.field, tostring(why.message))
    end
    return refusal(package, "script_failed", nil, op .. ".build gave no request")
end

-- ---- send ----

--- Sends what build gave. Waits.
---@param request tael.channel.Request
---@return table? answer {status, headers, raw, ms, at}
---@return table? err {code, sent}
function call.send(request)
    local answer, err = http.request {
        method = request.method, url = request.url, headers = request.headers,
        form = request.form, json = request.json, body = request.body,
        timeout_ms = request.timeout_ms or 10000,
    }
    if not answer then
        return nil, { code = err.code, sent = err.sent ~= false }
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

--- The answer's signature, by the package; evidence of anything but this answer counts for nothing.
local function evidence_of(package, op, prepared, answer, message)
    local about = { op = op, status = answer.status }
    local ran, evidence, reason = task.pure(package.verify_answer, prepared, message, about)
    if not ran then
        return nil, "verify_answer raised: " .. tostring(evidence)
    elseif evidence == nil then
        return nil, "answer not verified: " .. tostring(reason or "signature")
    elseif not message_module.is_evidence(evidence) or not message_module.check(evidence, message)
        or evidence.account ~= prepared.id then
        return nil, "answer not verified: evidence of something else"
    end
    return evidence
end

local integers = { amount = true, at = true }
local texts = {
    code = true, channel_code = true, message = true, state = true, trade_no = true, order_no = true,
    currency = true,
}

--- A package's result with the members that the kernel may rely on; what has a wrong shape is named.
local function checked_result(result)
    if type(result) ~= "table" then
        return nil, "parse gave no result"
    end
    for name, value in pairs(result) do
        if integers[name] and math.type(value) ~= "integer"
            or texts[name] and type(value) ~= "string" then
            return nil, "parse gave a wrong " .. name
        end
    end
    if not result.code then
        return nil, "the answer has no code"
    end
    return result
end

--- Maps the channel's state word; a word that the manifest does not list is unknown and alarms.
---@param package tael.channel.Package
---@param word string?
---@return string? state
---@return string? alarm
function call.state(package, word)
    if word == nil then
        return nil
    end
    local state = package.states[word]
    if not state then
        return "unknown", package.name .. ": the state '" .. word .. "' is not mapped"
    elseif state == "unknown" then
        return state, package.name .. ": the state '" .. word .. "' needs a person"
    end
    return state
end

local function classify(package, product, result, outcome)
    local meaning = package.codes[result.code]
    local words = result.channel_code or result.code
    if meaning == nil then
        outcome.alarm = package.name .. ": the code '" .. words .. "' is not mapped"
        return unknown(outcome.alarm, outcome)
    elseif type(meaning) == "table" and meaning[1] == "config" then
        outcome.class, outcome.reason = "config", meaning[2]
        outcome.alarm = package.name .. ": " .. words .. ": " .. meaning[2]
        return outcome
    elseif type(meaning) == "table" then
        outcome.class, outcome.decline_code, outcome.reason = "declined", meaning[2], words
        return outcome
    elseif meaning == "unknown" or meaning == "retry" then
        return unknown("the channel answered " .. words, outcome)
    elseif meaning == "not_found" then
        outcome.class, outcome.reason = "not_found", words
        outcome.waiting = product ~= nil and product.not_found == "waiting"
        return outcome
    end
    outcome.class = meaning
    return outcome
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
        local code = err and err.code or "no answer"
        if err and err.sent == false then
            return { class = "not_sent", reason = code }
        end
        return unknown(code)
    end
    local message, refused = message_module.new {
        account = prepared.id, raw = answer.raw, headers = answer.headers, at = answer.at,
    }
    if not message then
        return unknown("answer refused: " .. tostring(refused and refused.code))
    end
    local outcome = { message = message }
    local evidence, reason = evidence_of(package, op, prepared, answer, message)
    if not evidence then
        return unknown(reason, outcome)
    end
    outcome.evidence = evidence
    local parse = package[op] and package[op].parse
    if not parse then
        return unknown(op .. " expects no answer", outcome)
    end
    local ran, parsed = task.pure(parse, prepared, evidence, message, ctx)
    if not ran then
        return unknown(op .. ".parse raised: " .. tostring(parsed), outcome)
    end
    local result, wrong = checked_result(parsed)
    if not result then
        return unknown(wrong, outcome)
    end
    outcome.result = result
    classify(package, package.products[ctx.attempt.product], result, outcome)
    if outcome.class ~= "ok" then
        result.channel_state, result.state = result.state, nil
        return outcome
    end
    result.channel_state = result.state
    local alarm
    result.state, alarm = call.state(package, result.state)
    outcome.alarm = outcome.alarm or alarm
    if result.state == "unknown" then
        return unknown(alarm, outcome)
    end
    return outcome
end

return call
