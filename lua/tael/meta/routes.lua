---@meta tael.routes

--- Scripts that answer requests (lua/tael/meta/route.lua), given as texts (C: engine/bind/routes.c). An engine
--- with routes reads them from its folder, as they are saved, until a set is used.
---@class tael.routes
local routes = {}

--- Scripts in one isolate, 16 MiB for all of them. One that was used is never changed.
---@class tael.routes.Set: userdata
---@field add fun(self: tael.routes.Set, name: string, text: string): true?, string? loads one; why not, with
--- file and line

--- An empty one.
---@return tael.routes.Set?
---@return tael.Error? err
function routes.set() end

--- On this worker a set answers from the next request on; without one the folder's files do, as they are then.
--- Whoever is in a call ends on what it began with. Raises where the engine has no routes.
---@param set tael.routes.Set?
function routes.use(set) end

return routes
