--- /v1/merchants/{slug}/api_keys: for the operator on this machine alone.
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local keys = require "tael.kernel.keys"
local problem = require "tael.api.problem"
local registry = require "tael.kernel.registry"
local shown = require "tael.shown"
local store = require "tael.store"
local time = require "tael.time"

local M = {}

-- admin: a person who decides about payments under review; other work of an operator needs the socket.
-- scripts: merchants' own code; whoever pushes it decides where payments go.
local SCOPES = { "payments:read", "payments:write", "refunds:write", "scripts:read", "scripts:write",
    "admin" }
local USUAL = { "payments:read", "payments:write", "refunds:write" }

M.key_schema = {
    fields = {
        note = { type = "string", min = 1, max = 128, doc = "whose it is" },
        scopes = { type = "words", values = SCOPES,
            doc = "what it may do; without them payments and refunds" },
    },
    optional = true,
}

--- A new API key. The answer holds its text; afterwards only a hash of it is there.
---@param call tael.api.Call
function M.create_key(call)
    local merchant = registry.merchant(call.params.slug)
    if not merchant or merchant.slug ~= call.params.slug then
        return nil, problem.new("not_found", "There is no merchant '" .. shown(call.params.slug, 64) .. "'.")
    end
    local scopes = call.body.scopes or USUAL
    local text = keys.create(merchant.id, { note = call.body.note, scopes = table.concat(scopes, " ") })
    if not text then
        return nil, problem.new("store_unavailable")
    end
    local number = keys.parse(text).id
    return 201, {
        id = ids.encode("key", number), object = "api_key", merchant = merchant.slug,
        livemode = merchant.livemode, key = text, note = call.body.note or json.null,
        scopes = json.array { table.unpack(scopes) },
        created_at = time.rfc3339(store.id_ms(number)),
    }
end

return M
