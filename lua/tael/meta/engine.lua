---@meta tael.engine

--- The engine that this state belongs to (C: engine/bind/engine.c).
---@class tael.engine
local engine = {}

---@class tael.engine.Reloaded
---@field certificates integer listeners whose certificate was read again

---@class tael.engine.Error
---@field code string
---@field message string names the file

--- Reads again what can be replaced while it runs: the certificates of the listeners. One that cannot be
--- read leaves the old one in use. Files that change are noticed by themselves, within seconds.
---@return tael.engine.Reloaded?
---@return tael.engine.Error? err
function engine.reload() end

---@class tael.engine.Certificate
---@field listener string
---@field serial string hexadecimal
---@field not_before integer ms since 1970 UTC
---@field not_after integer ms since 1970 UTC

--- What the listeners with TLS show now.
---@return tael.engine.Certificate[]
function engine.certificates() end

return engine
