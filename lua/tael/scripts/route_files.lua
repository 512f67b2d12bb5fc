--- The operator's own endpoints as texts: all files of scripts/routes are one set.
local files_of = require "tael.scripts.files"
local globals = require "tael.scripts.globals"
local routes = require "tael.routes"

local route_files = {}

local FORM = "^[%l%d_][%l%d_-]*$"
local AT_ONCE = 16384 -- bytes: some milliseconds in which nobody else goes on
route_files.FORM = FORM

---@class tael.scripts.RouteGeneration
---@field id string
---@field set tael.routes.Set
---@field names string[] of the files

--- Loads them.
---@param files table<string, string> by path: "quote.lua"
---@param pause fun()? lets others go on in between; without it nobody waits
---@return tael.scripts.RouteGeneration?
---@return string? why not, with file and line where there is one
---@return string? kind of failure
---@return integer used steps; nobody counts them here
function route_files.load(files, pause)
    local wrong, path = files_of.wrong(files, FORM)
    if wrong then
        return nil, ("routes%s: %s"):format(path and "/" .. path or "", wrong), "shape", 0
    end
    local set, err = routes.set()
    if not set then
        return nil, "routes: " .. err.message, "memory", 0
    end
    local names, bytes = {}, 0
    for i, file in ipairs(files_of.paths(files)) do
        local name = file:match "^([^/]+)%.lua$"
        if not name then
            return nil, "routes/" .. file .. ": a route's file lies in the folder itself", "shape", 0
        end
        local added, why = set:add(name, files[file])
        if not added then
            return nil, why, "raised", 0
        end
        names[i], bytes = name, bytes + #files[file]
        if pause and bytes >= AT_ONCE then
            pause()
            bytes = 0
        end
    end
    return { id = files_of.digest(files):sub(1, 16), set = set, names = names }, nil, nil, 0
end

--- The same, and no name in them is nobody's: before they run for the first time.
---@param files table<string, string>
---@param pause fun()? as in load
---@return tael.scripts.RouteGeneration?
---@return string? why not
---@return nil specs
---@return string? kind of failure
---@return integer used steps
function route_files.check(files, pause)
    local generation, why, kind, used = route_files.load(files, pause)
    if generation then
        why, used = globals.wrong("routes", files)
        kind = why and "contract" or nil
    end
    return not why and generation or nil, why, nil, kind, used
end

return route_files
