---@meta tael.limit

--- How often something may happen, by key, counted for all workers together (C: engine/base/meter.c). After a
--- pause n may come at once; from then on one every window/n. Nothing of it is kept over a restart. Memory is
--- fixed: among thousands of keys the one that has been idle longest is forgotten and begins anew.
---@class tael.limit
local limit = {}

--- Takes one; a refused one takes nothing. Keys of different limits need different names.
---@param key string
---@param n integer 1 to 1000000, and at most one a microsecond
---@param window_ms integer 1 to 86400000
---@return boolean allowed
---@return integer remaining further ones that would be allowed now
---@return integer reset_ms allowed: until all n are there again; refused: until the next one is
function limit.take(key, n, window_ms) end

return limit
