--- The chain of a payment's events: each event's hash covers the hash before it. The payment's row holds
--- the head and its guarded update makes a new one, so two writers cannot fork a chain.
--- The encoding is unambiguous: fixed-width big-endian integers, texts with their length before them.
local crypto = require "tael.crypto"

local chain = {}

local FORMAT = ">s4 s4 i8 i8 s4 s4 i8 s4"

---@class tael.kernel.Link
---@field payment integer
---@field version integer
---@field type string
---@field actor string
---@field at integer
---@field data string canonical JSON, as stored

---@param before string? hash of the event before; nil for the first
---@param link tael.kernel.Link
---@return string hash 32 bytes
function chain.hash(before, link)
    return crypto.digest("sha256", FORMAT:pack("tael.event.1", before or "", link.payment, link.version,
        link.type,
        link.actor, link.at, link.data))
end

return chain
