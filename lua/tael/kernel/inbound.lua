--- The checks of an inbound message up to its evidence: source size decode form algorithm window identity
--- signature decrypt, in this order, cheapest first, stopping at the first that fails (threats §3). Nothing
--- here reads or writes the store. What comes after evidence is notifications.lua.
--- 1 Until the signature holds, every byte is hostile and nothing is kept but in the ring. 2 The message
--- never chooses: algorithm, charset, key and account come from the configuration of the path.
local evidence = require "tael.kernel.evidence"
local form = require "tael.form"
local ids = require "tael.kernel.ids"
local message = require "tael.message"
local limits = require "tael.kernel.limits"
local steps = require "tael.channel.notification"
local store = require "tael.store"
local time = require "tael.time"

local inbound = {}

local CLOCK_SKEW_MS = 600000
local SIGN_MAX = 1024

inbound.media = { form = "application/x-www-form-urlencoded", json = "application/json" }

---@class tael.kernel.Inbound
---@field account table
---@field package table
---@field prepared table
---@field request table
---@field source string
---@field at integer ms, when it was received
---@field actor string whom its events name
---@field replayed boolean? stored bytes once more: received before, recorded now
---@field recorded_at integer? ms, of a replay
---@field verdict table of verdict.new
---@field message? userdata
---@field claims? table
---@field proof? userdata

local SOURCE, SIZE, DECODE, FORM = { "source" }, { "size" }, { "decode" }, { "form", "algorithm" }
local WINDOW, IDENTITY, SIGNATURE, DECRYPT = { "window" }, { "identity" }, { "signature" }, { "decrypt" }
local PLAIN = { "decrypt", word = "skipped", detail = "this channel does not encrypt" }

local function refused(check, detail)
    return { check = check, detail = detail }
end

local function check_source(run)
    if run.replayed then
        return run.verdict:skip("source", "the bytes were stored here")
    end
    local allowed, retry_s = limits.notify(run.source)
    if not allowed then
        local refusal = refused("source", "more messages from this address than limits.notify_address allows")
        refusal.retry_s = retry_s
        return refusal
    end
    run.verdict:mark(SOURCE)
end

--- "application/json; charset=utf-8" -> "application/json", "utf-8"
local function read_content_type(header)
    local kind, parameters = header:lower():match("^%s*([^;%s]+)%s*;?(.*)$")
    local charset = parameters and parameters:match('charset%s*=%s*"?([%w%-_]+)"?')
    return { kind = kind, charset = charset }
end

-- Channels write the same few headers; anybody may write others.
local TYPES_MAX = 64
local types, type_count = {}, 0

local function content_type(header)
    local known = types[header or ""]
    if not known then
        if type_count == TYPES_MAX then
            types, type_count = {}, 0
        end
        known = read_content_type(header or "")
        types[header or ""], type_count = known, type_count + 1
    end
    return known.kind, known.charset
end

local function among(list, word)
    for i = 1, #list do
        if list[i] == word then
            return true
        end
    end
    return false
end

local function check_size(run)
    local notify, request = run.package.notify, run.request
    local headers = request.headers
    local kind, charset = content_type(headers["content-type"])
    if not among(notify.methods, request.method) then
        return refused("size", "method " .. request.method .. " is not used by this channel")
    elseif kind ~= inbound.media[notify.content] then
        return refused("size", "content type is not " .. inbound.media[notify.content])
    elseif (headers["content-encoding"] or "identity") ~= "identity" then
        return refused("size", "the body is compressed")
    elseif #request.body == 0 then
        return refused("size", "the body is empty")
    elseif #request.body > notify.max_body then
        return refused("size", ("the body is longer than %d bytes"):format(notify.max_body))
    end
    run.charset_declared = charset
    run.verdict:mark(SIZE)
end

--- A name in the address and in the body could be read either way.
local function check_query(run)
    local query = run.request.query
    if not query or query == "" then
        return nil
    end
    local fields, err = form.decode(query)
    if not fields then
        return refused("decode", "query: " .. err.code)
    end
    for name in pairs(run.message.form or {}) do
        if fields[name] then
            return refused("decode", "a parameter stands in the address and in the body")
        end
    end
end

local FORM_LIMITS = { sign = SIGN_MAX }

local function check_decode(run)
    local notify, is_form = run.package.notify, run.package.notify.content == "form"
    local charset, declared = notify.charset or "utf-8", run.charset_declared
    if declared and declared ~= charset and declared ~= charset:lower() then
        return refused("decode", "charset " .. declared .. " is not the configured one")
    end
    local made, err = message.new { account = run.account.id, raw = run.request.body,
        headers = run.request.headers, at = run.at, content = notify.content,
        charset = is_form and charset or nil, limits = is_form and FORM_LIMITS or nil }
    if not made then
        local where = err.field and (" in " .. err.field) or ""
        return refused("decode", tostring(err.message or err.code) .. where)
    elseif notify.content == "json" and made.json == nil then
        return refused("decode", "not valid JSON")
    end
    run.message = made
    local failed = check_query(run)
    if failed then
        return failed
    end
    run.verdict:mark(DECODE)
end

--- Presence and shape of what signs, and the algorithm, which are one step of the package.
local function check_form(run)
    local claims, refusal = steps.claims(run.package, run.prepared, run.message)
    if not claims then
        return refusal
    end
    run.claims = claims
    run.verdict:mark(FORM)
end

--- Both clocks are named: one of them is wrong, and a person has to see which.
local function out_of_window(why, claimed, here)
    return refused("window", ("the message's time, %s, %s; here it is %s"):format(time.rfc3339(claimed), why,
        time.rfc3339(here)))
end

--- Where the channel signs a time of delivery, that time is bounded. Where it repeats for a day, nothing
--- can be older than the order that it names.
local function check_window(run)
    local claims = run.claims
    local window_ms = (run.package.notify.window_s or 0) * 1000
    if window_ms > 0 and not claims.at then
        return refused("window", "the message has no time")
    elseif window_ms > 0 and math.abs(run.at - claims.at) > window_ms then
        return out_of_window(("is more than %d s away"):format(window_ms // 1000), claims.at, run.at)
    elseif claims.at and claims.at > run.at + CLOCK_SKEW_MS then
        return out_of_window("lies in the future", claims.at, run.at)
    end
    local attempt = ids.attempt_of(claims.order_no)
    run.claimed_attempt = attempt
    -- ids never go back: after the clock was, new orders seem to be of the future
    local ordered = attempt and math.min(store.id_ms(attempt), run.at)
    if claims.at and ordered and claims.at < ordered - CLOCK_SKEW_MS then
        return out_of_window("is before its order was made, " .. time.rfc3339(ordered), claims.at, run.at)
    end
    run.verdict:mark(WINDOW)
end

local function check_identity(run)
    local good, refusal = steps.identity(run.package, run.prepared, run.claims)
    if not good then
        return refusal
    end
    run.verdict:mark(IDENTITY)
end

local function check_signature(run)
    local proof, refusal = steps.verify(run.package, run.prepared, run.message)
    if not proof then
        return refusal
    end
    local good
    good, refusal = evidence.authentic(proof, run.message, run.account)
    if not good then
        return refusal
    end
    run.proof = proof
    run.verdict:mark(SIGNATURE)
    run.verdict:mark(run.package.notification.open and DECRYPT or PLAIN)
end

local checks = {
    check_source, check_size, check_decode, check_form, check_window, check_identity, check_signature,
}

--- Runs the checks. Afterwards run.proof is there, or a refusal is returned and recorded.
---@param run tael.kernel.Inbound
---@return tael.channel.Refusal? refusal
function inbound.check(run)
    for i = 1, #checks do
        local refusal = checks[i](run)
        if refusal then
            run.verdict:fail(refusal.check, refusal.detail)
            return refusal
        end
    end
end

--- The text that its sender should have signed, from stored bytes; nil when they cannot be read as a message.
---@param package table
---@param prepared table
---@param account table
---@param raw string
---@param at integer ms
---@return string? text
---@return table<string, string>? fields
function inbound.signed_text(package, prepared, account, raw, at)
    local notify = package.notify
    local made = message.new { account = account.id, raw = raw, at = at, content = notify.content,
        charset = notify.content == "form" and (notify.charset or "utf-8") or nil }
    local signed = package.notification.signed
    if not made or not signed then
        return nil
    end
    local ran, material = pcall(signed, prepared, made)
    return ran and material and material:text() or nil, made.form
end

return inbound
