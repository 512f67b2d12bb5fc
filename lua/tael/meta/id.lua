---@meta tael.id
--- Public ids: the number and half of an HMAC over prefix and number, in Crockford's base32 (C:
--- engine/bind/id.c). Nobody without the key can guess, count or make them; a wrong one is nil without a look
--- into the store.

---@class tael.id
local id = {}

--- Once; before it the other functions raise.
---@param key string|tael.Secret  16 to 1024 bytes
function id.set_key(key) end

---@param prefix string  1 to 16 letters a to z
---@param number integer
---@return string  "pay_" and 26 characters
function id.encode(prefix, number) end

---@param prefix string
---@param text any
---@return integer?  nil: no id of this kind
function id.decode(prefix, text) end

--- The 26 characters alone, for numbers that channels take.
---@param number integer
---@param prefix string
---@return string
function id.number(number, prefix) end

---@param prefix string
---@param text any
---@return integer?
function id.from_number(prefix, text) end

return id
