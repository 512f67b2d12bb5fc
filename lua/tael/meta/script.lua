---@meta tael.script

--- Text of others: running it while it is loaded, and what it takes for globals (C: engine/bind/script.c).
---@class tael.script
local script = {}

--- Like pcall, with an end: after 50 million instructions, or when the engine is to stop, whatever fn does
--- raises "FILE:LINE: …", inside a pcall of its own too. fn cannot wait.
---@param fn function
---@param ... any its arguments
---@return boolean ok
---@return any value fn's first result, or the error
function script.bounded(fn, ...) end

---@class tael.script.Global
---@field name string
---@field line integer where it stands first
---@field writes boolean it is assigned to there

--- The names that a text uses and declares nowhere, each once: those that are not known, or are written. By
--- Lua 5.4's rules of scope; what is read through _ENV, or while it is something else, is no global.
---@param text string
---@param known table<string, boolean> false: not there, as everybody knows who writes `table.unpack or unpack`
---@return tael.script.Global[]? list in their order, the first 100; nil: the text does not tell
---@return string[]? locals in scope at the first of them, the innermost last, 50 at most
function script.globals(text, known) end

return script
