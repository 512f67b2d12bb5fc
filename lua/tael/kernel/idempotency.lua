--- Keys of the Idempotency-Key header: which object a request that was sent before has made. The row is
--- inserted in the unit that makes the object, so its unique index decides races; here it is only read.
local crypto = require "tael.crypto"
local store = require "tael.store"
local task = require "tael.task"

local idempotency = {}

--- A key means one thing for a merchant and an operation: another operation may use it again.
---@param operation string "payments.create", "refunds.create"
---@param key string as it was sent
---@return string digest 16 bytes
function idempotency.digest(operation, key)
    local text = (">s4 i8 s4 s4"):pack("tael.key.1", task.scope(), operation, key)
    return crypto.digest("sha256", text):sub(1, 16)
end

--- The object that the key leads to. nil without err: the key was not used yet.
---@param key_digest string
---@return integer? object
---@return table? err of the store
function idempotency.object(key_digest)
    local rows, err = store.query("idempotency.get", { key_digest = key_digest })
    if not rows then
        return nil, err
    end
    return rows[1] and rows[1].object
end

--- A key that came with a request whose natural key had already made the object: from now on it leads there.
---@param key_digest string
---@param object integer
---@return table? done
---@return table? err of the store; a guard's: somebody used the key meanwhile
function idempotency.keep(key_digest, object)
    return store.commit { { "idempotency.insert", { key_digest = key_digest, object = object } } }
end

return idempotency
