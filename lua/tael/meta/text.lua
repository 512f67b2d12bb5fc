---@meta tael.text

--- What a text may hold, looked at in C. Usable everywhere, in pure functions too.
---@class tael.text
local text = {}

--- A string of at most `max` bytes that is UTF-8 without control characters (0 to 31, 127).
---@param value any
---@param max integer? bytes; as many as there are
---@return boolean
function text.is_plain(value, max) end

return text
