---@meta tael.log

--- The engine's log: one JSON object a line. Fields are written in byte order of their names; values under
--- secret names, keys and card numbers are hidden by the log itself.
---@class tael.log
local log = {}

---@alias tael.log.Fields table<string, string|integer|boolean> at most 32

---@param event string a stable word: "payment.created"
---@param fields? tael.log.Fields
function log.debug(event, fields) end

---@param event string
---@param fields? tael.log.Fields
function log.info(event, fields) end

---@param event string
---@param fields? tael.log.Fields
function log.warn(event, fields) end

---@param event string
---@param fields? tael.log.Fields
function log.error(event, fields) end

--- Are lines of this level written? For whoever would make their fields in vain.
---@param level "debug"|"info"|"warn"|"error"
---@return boolean
function log.wants(level) end

return log
