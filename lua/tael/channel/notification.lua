--- The steps of an inbound notification that the channel package knows about (threats §3, 4, 6, 7). The
--- kernel calls them one by one, cheapest first, and stops at the first refusal. None raises, waits or
--- reaches the store; each says on refusal which check failed and on what.
local meanings = require "tael.channel.meanings"
local message_module = require "tael.message"
local shapes = require "tael.channel.shapes"
local task = require "tael.task"

local notification = {}

local function refused(check, detail)
    return nil, { check = check, detail = detail }
end

local max_facts = 100 -- of one message

local checks = { decode = true, form = true, algorithm = true, identity = true, signature = true }

--- What a package says on refusal, as a refusal of `default` unless it names another check.
local function refusal_of(said, default)
    if type(said) == "table" then
        local check = rawget(said, "check")
        return { check = type(check) == "string" and checks[check] and check or default,
            detail = shapes.line(rawget(said, "detail")) }
    end
    return { check = default, detail = said == nil and default or shapes.line(said) }
end

--- What the message says of itself, when the fields that sign are there and the algorithm, which the message
--- never chooses, is the account's; nothing of it is proved.
---@return tael.channel.Claims?
---@return tael.channel.Refusal?
function notification.claims(package, prepared, message)
    local ran, claims, said = task.pure(package.notification.parse, prepared, message)
    if not ran then
        return refused("form", "parse raised: " .. shapes.line(claims))
    elseif claims == nil then
        return nil, refusal_of(said, "form")
    end
    local checked, wrong = shapes.claims(claims)
    if not checked then
        return refused("form", wrong)
    end
    return checked
end

--- Every identity that the message claims is the account's.
---@param claims tael.channel.Claims
---@return true?
---@return tael.channel.Refusal?
function notification.identity(package, prepared, claims)
    for name, claimed in pairs(claims.identity) do
        local field, ours = package.fields[name], prepared[name]
        if field and field.type ~= "key" and ours ~= nil and claimed ~= ours then
            return refused("identity", name .. " is not this account's")
        end
    end
    return true
end

local function signed_text(package, prepared, message)
    local signed = package.notification.signed
    if not signed then
        return nil
    end
    local ran, material = task.pure(signed, prepared, message)
    local known, text = pcall(function() return material:text() end)
    return ran and known and text or nil
end

local function verify_key(package, prepared)
    for name, field in pairs(package.fields) do
        if field.type == "key" and field.use == "verify" and prepared[name] then
            return prepared[name]:id()
        end
    end
end

--- The signature over exactly what was received.
---@return userdata? evidence
---@return tael.channel.Refusal?
function notification.verify(package, prepared, message)
    local ran, evidence, reason = task.pure(package.notification.verify, prepared, message)
    if ran and evidence ~= nil and message_module.check(evidence, message)
        and evidence.account == prepared.id then
        return evidence
    end
    local refusal = { check = "signature", key_id = verify_key(package, prepared) }
    if not ran then
        refusal.detail = "verify raised: " .. shapes.line(evidence)
    elseif evidence == nil then
        refusal.detail = reason == nil and "the signature does not fit" or shapes.line(reason)
        refusal.signed_text = signed_text(package, prepared, message)
    else
        refusal.detail = "evidence of another message or account"
    end
    return nil, refusal
end

--- A fact's state is the channel's word until here.
local function mapped(package, fact)
    fact.channel_state = fact.state
    local alarm
    if fact.kind == "refund" then
        fact.state, alarm = meanings.refund_state(package, fact.state)
    else
        fact.state, alarm = meanings.state(package, fact.state, fact.given_back)
    end
    fact.alarm = fact.alarm or alarm
    return fact
end

--- The facts that the signed part states, states mapped by the manifest.
---@param evidence userdata
---@return tael.channel.Fact[]?
---@return tael.channel.Refusal?
function notification.facts(package, prepared, evidence)
    local ran, facts, said = task.pure(package.notification.facts, prepared, evidence)
    if not ran then
        return refused("form", "facts raised: " .. shapes.line(facts))
    elseif type(facts) ~= "table" then
        return nil, refusal_of(said, "form")
    elseif rawlen(facts) > max_facts then
        return refused("form", "more than " .. max_facts .. " facts")
    end
    local list = { nil }
    for i = 1, rawlen(facts) do
        local fact, wrong = shapes.fact(rawget(facts, i))
        if not fact then
            return refused("form", wrong)
        end
        list[i] = mapped(package, fact)
    end
    return list
end

--- The answer of each outcome; one form of bytes per class.
---@param package tael.channel.Package
---@param outcome "accepted"|"refused"|"failed"
---@return table response
function notification.ack(package, outcome)
    local ack = package.notify.ack
    local status = outcome == "failed" and 500 or 200
    return {
        status = status,
        headers = { ["content-type"] = "text/plain; charset=utf-8" },
        body = outcome == "accepted" and ack[1] or ack[2],
    }
end

return notification
