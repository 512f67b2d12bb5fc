--- Names of objects outside: "<prefix>_" and 26 characters that hold the int64 and a check made with the
--- id key. Sortable, not guessable, read back without an index; a wrong one is refused without a read.
local crypto = require "tael.crypto"
local id = require "tael.id"
local secrets = require "tael.kernel.secrets"

local ids = {}

--- Once per worker, after the keys folder is open.
function ids.open()
    id.set_key(crypto.hmac("sha256", secrets.get("ids"), "tael.ids.1"))
end

---@param prefix "pay"|"att"|"ref"|"evt"|"ntf"|"cal"|"key"
---@param number integer?
---@return string? text nil for nil
function ids.encode(prefix, number)
    return number and id.encode(prefix, number)
end

---@param prefix string
---@param text any
---@return integer? number nil: not a name of this kind made by this engine
function ids.decode(prefix, text)
    return type(text) == "string" and id.decode(prefix, text) or nil
end

--- What the channel calls our order or refund: its 26 characters alone.
---@param number integer of an attempt, or of the kind that is named
---@param prefix string? "att" when absent
---@return string
function ids.order_number(number, prefix)
    return id.number(number, prefix or "att")
end

---@param number any
---@return integer? attempt
function ids.attempt_of(number)
    return type(number) == "string" and id.from_number("att", number) or nil
end

---@param number any
---@return integer? refund
function ids.refund_of(number)
    return type(number) == "string" and id.from_number("ref", number) or nil
end

return ids
