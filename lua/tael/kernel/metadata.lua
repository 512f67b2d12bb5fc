--- A payment's metadata, amended after its creation. The accepted input stands once, in the event that
--- detail_event names; an amendment is a new event with the whole of it. Whoever reads an event of the
--- payment reads its chain: what has changed often enough changes no more.
local change = require "tael.kernel.change"
local details_of = require "tael.kernel.details"
local events_wake = require "tael.kernel.events_wake"
local json = require "tael.json"
local payments = require "tael.kernel.payments"
local settle = require "tael.kernel.settle"
local task = require "tael.task"
local time = require "tael.time"
local units = require "tael.kernel.units"

local metadata = {}

local MEMBERS_MAX, BYTES_MAX = 20, 4096
local EVENTS_MAX = 500 -- of the payment; its chain may then be some 2 MiB

--- Old and new together; null removes a member.
local function merged(old, patch)
    local out, changed = {}, false
    for name, value in pairs(old or {}) do
        out[name] = value
    end
    for name, value in pairs(patch) do
        local wanted = value ~= json.null and value or nil
        changed = changed or out[name] ~= wanted
        out[name] = wanted
    end
    return out, changed
end

local function too_much(map)
    local members, bytes = 0, 0
    for name, text in pairs(map) do
        members, bytes = members + 1, bytes + #name + #text
    end
    return members > MEMBERS_MAX and "metadata would have more than 20 members"
        or bytes > BYTES_MAX and "metadata would have more than 4 KiB in all"
end

local function unit(payment, details, actor)
    local now = time.now()
    local event, hash = units.next_event(payment, {
        type = "payment.updated", actor = actor, now = now, data = { details = details },
    })
    return {
        { "payment.annotate", { payment = payment.id, version_was = payment.version, hash = hash,
            now = now } },
        event,
    }
end

local function amend(payment, patch, actor)
    local details, err = details_of.read(payment)
    if not details then
        return nil, err
    end
    local changed
    details.metadata, changed = merged(details.metadata, patch)
    local wrong = too_much(details.metadata)
    if wrong then
        return nil, { code = "invalid_field", pointer = "/metadata", detail = wrong }
    elseif not changed then
        return true
    elseif payment.version >= EVENTS_MAX then
        return nil, { code = "state_conflict", detail = ("the payment has %d events: from %d on its metadata "
            .. "stays as it is; keep what changes often with yourself"):format(payment.version, EVENTS_MAX) }
    end
    return settle.commit(unit(payment, details, actor))
end

--- Merges the patch into a payment's metadata, in any state.
---@param id_text string "pay_…"
---@param patch table<string, any> texts by name, json.null removes
---@param actor string
---@return table? view of the payment
---@return table? err {code, detail, pointer?}: not_found, invalid_field, state_conflict …
function metadata.merge(id_text, patch, actor)
    return change.payment(id_text, function(payment)
        local done, err = amend(payment, patch, actor)
        if not done then
            return nil, err
        end
        events_wake.announce(task.scope())
        return payments.get(id_text)
    end)
end

return metadata
