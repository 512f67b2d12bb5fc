--- /v1/merchants/{slug}/api_keys: for the operator on this machine alone. A key's text is in one answer, that
--- of its making.
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local keys = require "tael.kernel.keys"
local lists = require "tael.api.lists"
local log = require "tael.log"
local problem = require "tael.api.problem"
local registry = require "tael.kernel.registry"
local schema = require "tael.api.schema"
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

M.keys_query = schema.list {}

local function merchant_of(call)
    local slug = call.params.slug
    local merchant = registry.merchant(slug)
    if not merchant or merchant.slug ~= slug then
        return nil, problem.new("not_found", "There is no merchant '" .. shown(slug, 64) .. "'.")
    end
    return merchant
end

local function moment(ms)
    return ms and time.rfc3339(ms) or json.null
end

---@param row tael.kernel.KeyRow
local function view_of(merchant, row)
    local scopes = json.array {}
    for scope in row.scopes:gmatch("%S+") do
        scopes[#scopes + 1] = scope
    end
    return {
        id = ids.encode("key", row.id), object = "api_key", merchant = merchant.slug,
        livemode = merchant.livemode, note = row.note or json.null, scopes = scopes,
        created_at = time.rfc3339(store.id_ms(row.id)), expires_at = moment(row.expires_at),
        revoked_at = moment(row.revoked_at),
    }
end

--- Who may come in, and since when no more, stands in the log with who has said so.
local function note(event, call, view)
    log.info(event, { merchant = view.merchant, key_id = view.id, actor = call.caller.actor })
end

--- A new API key. The answer holds its text; afterwards only a hash of it is there.
---@param call tael.api.Call
function M.create_key(call)
    local merchant, refused = merchant_of(call)
    if not merchant then
        return nil, refused
    end
    local scopes = table.concat(call.body.scopes or USUAL, " ")
    local text = keys.create(merchant.id, { note = call.body.note, scopes = scopes })
    if not text then
        return nil, problem.new("store_unavailable")
    end
    local view = view_of(merchant, { id = keys.parse(text).id, note = call.body.note, scopes = scopes })
    note("key.created", call, view)
    view.key = text
    return 201, view
end

---@param call tael.api.Call
function M.list_keys(call)
    local merchant, refused = merchant_of(call)
    if not merchant then
        return nil, refused
    end
    return lists.answer(call, function(before, count)
        return keys.list(merchant.id, before, count)
    end, function(row)
        return view_of(merchant, row)
    end)
end

--- The key that the path names. An operator who has found a key does not know whose it is, and is told.
local function find_key(merchant, name)
    local number, mode = keys.named(name)
    local row, err
    if number then
        row, err = keys.find(number)
    end
    if err then
        return nil, err
    elseif not row or mode and mode ~= row.mode then
        return nil, problem.new("not_found", "There is no such API key.")
    elseif row.merchant ~= merchant.id then
        return nil, problem.new("not_found", ("This is no API key of '%s' but of '%s'."):format(
            merchant.slug, registry.merchant(row.merchant).slug))
    end
    return row
end

---@param call tael.api.Call
function M.revoke_key(call)
    local merchant, err = merchant_of(call)
    local row, changed
    if merchant then
        row, err = find_key(merchant, call.params.key)
    end
    if row then
        row, err, changed = keys.revoke(merchant.id, row.id)
    end
    if not row then
        return nil, err
    end
    local view = view_of(merchant, row)
    if changed then
        note("key.revoked", call, view)
    end
    return 200, view
end

return M
