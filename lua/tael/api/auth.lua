--- Who calls: an API key over HTTP, an operator on the local socket, or the program that the engine lives in.
--- The merchant comes from the credential alone; only an operator names it (threats, trust boundary 6).
local crypto = require "tael.crypto"
local key_memory = require "tael.kernel.key_memory"
local keys = require "tael.kernel.keys"
local problem = require "tael.api.problem"
local registry = require "tael.kernel.registry"
local shown = require "tael.shown"

local auth = {}

local ALL_SCOPES = setmetatable({}, { __index = function() return true end })

---@class tael.api.Caller
---@field merchant integer  0: an operator who named none
---@field actor string      "key_…", "operator" or "host"
---@field scopes table<string, boolean>
---@field key_id integer?  of an API key

--- "Bearer KEY", or Basic with the key as user and no password.
local function key_of(header)
    local scheme, rest = (header or ""):match("^(%a+) +(%S+)$")
    scheme = scheme and scheme:lower()
    if scheme == "bearer" then
        return rest
    elseif scheme == "basic" then
        local plain = crypto.base64.decode(rest)
        return plain and plain:match("^([^:]*):$")
    end
    return nil
end

local function by_key(request)
    local header = request.headers["authorization"]
    if not header then
        return nil, problem.new("unauthenticated")
    end
    local known = key_memory.get(header)
    if known then
        return known
    end
    local key = key_of(header)
    if not key then
        return nil, problem.new("bad_token")
    end
    local found, err = keys.authenticate(key)
    if not found then
        return nil, problem.of(err)
    end
    key_memory.put(header, found)
    return found
end

--- The merchant that an operator or a host names, or the only one there is.
local function named(slug, actor, header)
    if slug then
        local merchant = registry.merchant(slug)
        if not merchant then
            return nil, problem.new("invalid_header", "There is no merchant '" .. shown(slug, 64) .. "'.", {
                errors = { { header = header, code = "invalid_header", detail = "not a merchant" } } })
        end
        return { merchant = merchant.id, actor = actor, scopes = ALL_SCOPES }
    end
    local all = registry.merchants()
    return { merchant = #all == 1 and all[1].id or 0, actor = actor, scopes = ALL_SCOPES }
end

---@param request table of the application contract
---@return tael.api.Caller?
---@return tael.api.Problem?
function auth.caller(request)
    if request.listener == "call" then
        return named(request.merchant, "host", "merchant")
    elseif request.listener == "local" then
        local slug = request.headers["tael-merchant"]
        return named(slug ~= "" and slug or nil, "operator", "Tael-Merchant")
    end
    return by_key(request)
end

return auth
