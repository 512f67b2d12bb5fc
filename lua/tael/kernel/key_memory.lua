--- Whose key a credential was found to be: the key's row is not read again for every request.
--- 1 A credential is remembered by a digest, never by its text. 2 Only what was let in is remembered, and for
--- no longer than a second: what changes the row of a key in any other way counts from then on. 3 Whoever
--- revokes a key answers after every worker has forgotten it.
local crypto = require "tael.crypto"
local task = require "tael.task"
local time = require "tael.time"
local workers = require "tael.kernel.workers"

local key_memory = {}

local LIFE_MS = 1000
local CREDENTIALS_MAX = 1024 -- on one worker

local found, count = {}, 0 ---@type table<string, { key: table, until_ms: integer }>, integer

---@param credential string as it was sent
---@return table? key of keys.authenticate
function key_memory.get(credential)
    local known = found[crypto.digest("sha256", credential)]
    return known and time.monotonic() < known.until_ms and known.key or nil
end

---@param credential string as it was sent
---@param key table of keys.authenticate
function key_memory.put(credential, key)
    local life = math.min(LIFE_MS, (key.expires_at or math.maxinteger) - time.now())
    local digest = crypto.digest("sha256", credential)
    if count == CREDENTIALS_MAX then
        found, count = {}, 0
    end
    count = count + (found[digest] and 0 or 1)
    found[digest] = { key = key, until_ms = time.monotonic() + life }
end

local function forget(id)
    for digest, known in pairs(found) do
        if known.key.key_id == id then
            found[digest], count = nil, count - 1
        end
    end
    return true
end

workers.answer("keys.forget", forget)

--- A key has been revoked: no worker lets it in any more. Waits for the other workers, and for one that does
--- not answer as long as it may remember.
---@param id integer
function key_memory.forget(id)
    local begun = time.monotonic()
    local answers, _, all = workers.ask("keys.forget", id), task.worker()
    local left = LIFE_MS - (time.monotonic() - begun)
    if #answers < all and left > 0 then
        task.wait("keys.forgotten", left)
    end
end

return key_memory
