--- API keys: tael_<mode>_<id 12><secret 30><check 6>, all base62. The id is the row's own; of the secret
--- only an HMAC under the pepper is stored. The key is shown once.
--- 1 The secret is compared in constant time, also when there is no such key. 2 A wrong key and a
--- missing one are told apart by nobody. 3 A key that was revoked stays that: when it was is never changed.
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

--- What of a key may be said of it: "tael_test_" with its id, without its secret.
---@param text any a whole key
---@return string? part nil: it is none
function keys.public_part(text)
    local key = keys.parse(text)
    return key and "tael_" .. key.mode .. "_" .. keys.base62(key.id, ID)
end

--- The key that an operator names: by its id, or by its public part.
---@param name string
---@return integer? id nil: neither
---@return string? mode of a public part
function keys.named(name)
    local mode, digits = name:match("^tael_(%l+)_(%w+)$")
    if not mode then
        return ids.decode("key", name)
    elseif #digits == ID then
        return keys.number(digits), mode
    end
end

local function hash_of(secret)
    return crypto.hmac("sha256", secrets.get("pepper"), secret)
end

--- What the store does for this merchant, whatever the task is about.
local function as_merchant(number, fn, ...)
    local scope <const> = task.scope()
    task.set_scope(number)
    local _ <close> = setmetatable({}, { __close = function() task.set_scope(scope) end })
    return fn(...)
end

--- Makes a key for a merchant. Its text is returned once and is not kept.
---@param merchant integer
---@param options { note: string?, scopes: string?, expires_at: integer? }
---@return string? text
---@return table? err
function keys.create(merchant, options)
    local owner = assert(registry.merchant(merchant), "no such merchant")
    local id, secret = store.next_id(), new_secret()
    local done, err = as_merchant(owner.id, store.commit, {
        { "key.insert", { key = id, key_hash = hash_of(secret), mode = owner.mode, note = options.note,
            scopes = options.scopes or SCOPES, expires_at = options.expires_at } },
    })
    if not done then
        return nil, err
    end
    return keys.format(owner.mode, id, secret)
end

---@class tael.kernel.KeyRow a key without what is secret of it
---@field id integer
---@field merchant integer
---@field mode "live"|"test"
---@field scopes string words
---@field note string?
---@field expires_at integer? ms
---@field revoked_at integer? ms

---@param id integer
---@return tael.kernel.KeyRow? row nil without err: there is none
---@return { code: string }? err
function keys.find(id)
    local rows = store.query("key.find", { key = id })
    if not rows then
        return nil, { code = "store_unavailable" }
    end
    local row = rows[1]
    if row then
        row.hash = nil
    end
    return row
end

--- Newest first. Waits.
---@param merchant integer
---@param before integer? id
---@param count integer
---@return tael.kernel.KeyRow[]?
---@return { code: string }? err
function keys.list(merchant, before, count)
    local rows = as_merchant(merchant, store.query, "key.list",
        { before = before or math.maxinteger, n = count })
    if not rows then
        return nil, { code = "store_unavailable" }
    end
    return rows
end

--- From when this answers no request is let in by the key any more; what was let in before goes on. Again:
--- nothing changes. Waits.
---@param merchant integer whose key it is
---@param id integer
---@return tael.kernel.KeyRow? row
---@return { code: string }? err
---@return boolean? changed
function keys.revoke(merchant, id)
    local done, failed = as_merchant(merchant, store.commit,
        { { "key.revoke", { key = id, now = time.now() } } })
    key_memory.forget(id) -- also when nobody knows whether it was stored, and when another is at it
    if not done and failed.code ~= "guard" then
        return nil, { code = "store_unavailable" }
    end
    local row, err = keys.find(id)
    return row, err, done ~= nil
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
