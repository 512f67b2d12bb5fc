--- The accepted input of a payment as it is stored: once, in the event that detail_event names. What
--- identifies a person is sealed; beside it stands the form that may be shown.
local crypto = require "tael.crypto"
local json = require "tael.json"
local secrets = require "tael.kernel.secrets"
local source = require "tael.kernel.source"
local store = require "tael.store"

local details = {}

local FIELDS = { "subject", "description", "return_url", "metadata", "channel_options" }

local function place(payment)
    return "payer:" .. payment
end

local function id_hint(payer)
    local id = payer.buyer_id or payer.openid or payer.buyer_open_id
    if type(id) ~= "string" or #id < 8 or id:find("[^\33-\126]") then
        return nil
    end
    return id:sub(1, 3) .. "…" .. id:sub(-3)
end

---@param input table of payments.create
---@param payment integer
---@param decision table who chose the channel
---@return table plain data for the event
function details.input(input, payment, decision)
    local out = { decision = decision, subject = nil, description = nil, return_url = nil, metadata = nil,
        channel_options = nil, payer = nil }
    for _, name in ipairs(FIELDS) do
        out[name] = input[name] ~= json.null and input[name] or nil
    end
    if input.payer then
        local sealed = secrets.seal(json.encode(input.payer), place(payment))
        out.payer = {
            sealed = crypto.base64.encode(sealed),
            shown = { id_hint = id_hint(input.payer), client_ip = source.hint(input.payer.client_ip) },
        }
    end
    return out
end

--- The payer's data in clear, for the channel. nil when none was given or it no longer opens.
---@param stored table
---@param payment integer
---@return table?
function details.payer(stored, payment)
    local sealed = stored.payer and crypto.base64.decode(stored.payer.sealed)
    local plain = sealed and secrets.open(sealed, place(payment))
    return plain and json.decode(plain) or nil
end

--- The details in an event's data.
---@param text string? canonical JSON; nil: there is no such event
---@return table? details
---@return table? err
function details.of_event(text)
    local data = text and json.decode(text)
    if not data or type(data.details) ~= "table" then
        return nil, { code = "damaged", message = "the event that holds the payment's details is not there" }
    end
    return data.details
end

---@param payment table row
---@return table? details
---@return table? err
function details.read(payment)
    local rows, err = store.query("event.get", { event = payment.detail_event })
    if not rows then
        return nil, err
    end
    return details.of_event(rows[1] and rows[1].data)
end

return details
