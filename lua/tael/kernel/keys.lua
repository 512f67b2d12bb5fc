--- API keys: tael_<mode>_<id 12><secret 30><check 6>, all base62. The id is the row's own; of the secret
--- only an HMAC under the pepper is stored. The key is shown once.
--- 1 The secret is compared in constant time, also when there is no such key. 2 A wrong key and a
--- missing one are told apart by nobody.
local crypto = require "tael.crypto"
local ids = require "tael.kernel.ids"
local key_memory = require "tael.kernel.key_memory"
local registry = require "tael.kernel.registry"
local secrets = require "tael.kernel.secrets"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"

local keys = {}

local DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
local ID, SECRET, CHECK = 12, 30, 6
local SCOPES = "payments:read payments:write refunds:write"
local PATTERN = "^(tael_(%l+)_(%w+))$"

---@param number integer not negative
---@param width integer
---@return string
function keys.base62(number, width)
    local digits = {}
    for i = width, 1, -1 do
        local digit = number % 62
        digits[i] = DIGITS:sub(digit + 1, digit + 1)
        number = number // 62
    end
    return table.concat(digits)
end

---@param text string
---@return integer? number nil: another character, or more than 63 bits
function keys.number(text)
    local number = 0
    for i = 1, #text do
        local digit = DIGITS:find(text:sub(i, i), 1, true)
        if not digit or number > (math.maxinteger - digit + 1) // 62 then
            return nil
        end
        number = number * 62 + digit - 1
    end
    return number
end

--- 30 digits without bias: bytes from 248 up are thrown away.
local function new_secret()
    local digits = {}
    while #digits < SECRET do
        for byte in crypto.random(64):gmatch(".") do
            local value = byte:byte()
            if value < 248 and #digits < SECRET then
                digits[#digits + 1] = DIGITS:sub(value % 62 + 1, value % 62 + 1)
            end
        end
    end
    return table.concat(digits)
end

local function check_of(text)
    return keys.base62(crypto.crc32(text), CHECK)
end

---@param mode "test"|"live"
---@param id integer
---@param secret string
---@return string
function keys.format(mode, id, secret)
    local text = "tael_" .. mode .. "_" .. keys.base62(id, ID) .. secret
    return text .. check_of(text)
end

--- Takes a key's text apart; the check tells a mistyped key without a read.
---@param text any
---@return { mode: string, id: integer, secret: string }?
function keys.parse(text)
    local whole, mode, tail = tostring(text):match(PATTERN)
    if not whole or (mode ~= "test" and mode ~= "live") or #tail ~= ID + SECRET + CHECK
        or check_of(whole:sub(1, -CHECK - 1)) ~= whole:sub(-CHECK) then
        return nil
    end
    local id = keys.number(tail:sub(1, ID))
    return id and { mode = mode, id = id, secret = tail:sub(ID + 1, ID + SECRET) }
end

local function hash_of(secret)
    return crypto.hmac("sha256", secrets.get("pepper"), secret)
end

--- Makes a key for a merchant. Its text is returned once and is not kept.
---@param merchant integer
---@param options { note: string?, scopes: string?, expires_at: integer? }
---@return string? text
---@return table? err
function keys.create(merchant, options)
    local owner = assert(registry.merchant(merchant), "no such merchant")
    local id, secret = store.next_id(), new_secret()
    local scope = task.scope()
    task.set_scope(owner.id)
    local done, err = store.commit {
        { "key.insert", { key = id, key_hash = hash_of(secret), mode = owner.mode, note = options.note,
            scopes = options.scopes or SCOPES, expires_at = options.expires_at } },
    }
    task.set_scope(scope)
    if not done then
        return nil, err
    end
    return keys.format(owner.mode, id, secret)
end

---@param id integer of the scope's merchant
---@return boolean done
function keys.revoke(id)
    local done = store.commit { { "key.revoke", { key = id, now = time.now() } } } ~= nil
    if done then
        key_memory.forget(id)
    end
    return done
end

---@class tael.kernel.Key
---@field merchant integer
---@field key_id integer
---@field actor string "key_…"
---@field mode "live"|"test"
---@field scopes table<string, true>
---@field expires_at integer? ms

--- The same for all that are none: nobody learns which there are.
local UNKNOWN = { code = "unauthenticated", detail = "This API key is not known to this engine." }

--- Whose key is this? Runs before a merchant is known.
---@param text string
---@return tael.kernel.Key?
---@return { code: string, detail: string? }? err unauthenticated, key_revoked, key_expired, store_unavailable
function keys.authenticate(text)
    local key = keys.parse(text)
    if not key then
        return nil, UNKNOWN
    end
    local rows = store.query("key.find", { key = key.id })
    if not rows then
        return nil, { code = "store_unavailable" }
    end
    local row, hash = rows[1], hash_of(key.secret)
    local same = crypto.equal(hash, row and row.hash or hash)
    if not row or not same or row.mode ~= key.mode then
        return nil, UNKNOWN
    elseif row.revoked_at then
        return nil, { code = "key_revoked" }
    elseif row.expires_at and row.expires_at <= time.now() then
        return nil, { code = "key_expired" }
    end
    local scopes = {}
    for scope in row.scopes:gmatch("%S+") do
        scopes[scope] = true
    end
    return { merchant = row.merchant, key_id = row.id, actor = ids.encode("key", row.id), mode = row.mode,
        scopes = scopes, expires_at = row.expires_at }
end

return keys
