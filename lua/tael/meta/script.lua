---@meta tael.script

--- Running text of others while it is loaded (C: engine/bind/script.c).
---@class tael.script
local script = {}

--- Like pcall, with an end: after 50 million instructions, or when the engine is to stop, whatever fn does
--- raises "FILE:LINE: …", inside a pcall of its own too. fn cannot wait.
---@param fn function
---@param ... any its arguments
---@return boolean ok
---@return any value fn's first result, or the error
function script.bounded(fn, ...) end

return script
