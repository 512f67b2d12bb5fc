--- The steps of an inbound notification that the channel package knows about (threats §3, 4, 6, 7). The
--- kernel calls them one by one, cheapest first, and stops at the first refusal. None raises, waits or
--- reaches the store; each says on refusal which check failed and on what.
local call = require "tael.channel.call"
local message_module = require "tael.message"
local task = require "tael.task"

local notification = {}

local function refused(check, detail)
    return nil, { check = check, detail = detail }
end

local checks = { decode = true, form = true, algorithm = true, identity = true, signature = true }

--- What a package says on refusal, as a refusal of `default` unless it names another check.
local function refusal_of(said, default)
    if type(said) == "table" then
        return { check = checks[said.check] and said.check or default, detail = tostring(said.detail) }
    end
    return { check = default, detail = tostring(said or default) }
end

local function parse(package, prepared, message)
    local ran, claims, said = task.pure(package.notification.parse, prepared, message)
    if not ran then
        return refused("form", "parse raised: " .. tostring(claims))
    elseif type(claims) ~= "table" or type(claims.identity) ~= "table" then
        return nil, refusal_of(said, "form")
    end
    return claims
end

--- Presence and shape of the fields that sign, and the algorithm, which the message never chooses.
---@return true?
---@return tael.channel.Refusal?
function notification.form(package, prepared, message)
    local claims, refusal = parse(package, prepared, message)
    if not claims then
        return nil, refusal
    end
    return true
end

--- What the message says of itself; nothing of it is proved.
---@return tael.channel.Claims?
---@return tael.channel.Refusal?
function notification.claims(package, prepared, message)
    return parse(package, prepared, message)
end

--- Every identity that the message claims is the account's.
---@param claims tael.channel.Claims
---@return true?
---@return tael.channel.Refusal?
function notification.identity(package, prepared, claims)
    for name, field in pairs(package.fields) do
        local claimed, ours = claims.identity[name], prepared[name]
        if field.type ~= "key" and claimed ~= nil and ours ~= nil and claimed ~= ours then
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
    local refusal = { check = "signature", key_id = verify_key(package, prepared) }
    if not ran then
        refusal.detail = "verify raised: " .. tostring(evidence)
    elseif evidence == nil then
        refusal.detail = tostring(reason or "the signature does not fit")
        refusal.signed_text = signed_text(package, prepared, message)
    elseif not message_module.is_evidence(evidence) or not message_module.check(evidence, message)
        or evidence.account ~= prepared.id then
        refusal.detail = "evidence of another message or account"
    else
        return evidence
    end
    return nil, refusal
end

local integers = { amount = true, at = true }
local texts = {
    order_no = true, refund_no = true, trade_no = true, state = true, currency = true, seller = true,
}

local function check_fact(package, fact)
    if type(fact) ~= "table" or type(fact.kind) ~= "string" then
        return "a fact has no kind"
    end
    for name, value in pairs(fact) do
        if integers[name] and math.type(value) ~= "integer"
            or texts[name] and type(value) ~= "string" then
            return "a fact has a wrong " .. name
        end
    end
    local alarm
    fact.channel_state = fact.state
    fact.state, alarm = call.state(package, fact.state)
    fact.alarm = fact.alarm or alarm
end

--- The facts that the signed part states, states mapped by the manifest.
---@param evidence userdata
---@return tael.channel.Fact[]?
---@return tael.channel.Refusal?
function notification.facts(package, prepared, evidence)
    local ran, facts, said = task.pure(package.notification.facts, prepared, evidence)
    if not ran then
        return refused("form", "facts raised: " .. tostring(facts))
    elseif type(facts) ~= "table" then
        return nil, refusal_of(said, "form")
    end
    for _, fact in ipairs(facts) do
        local wrong = check_fact(package, fact)
        if wrong then
            return refused("form", wrong)
        end
    end
    return facts
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
