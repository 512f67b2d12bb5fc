--- Which of the operator's own endpoints answer on this worker: those of the version that runs; while none
--- does, the engine reads the folder itself, as it is saved (engine/engine_route_files.c).
local log = require "tael.log"
local owners = require "tael.scripts.owners"
local refusals = require "tael.scripts.refusals"
local renewal = require "tael.scripts.renewal"
local route_files = require "tael.scripts.route_files"
local routes = require "tael.routes"
local task = require "tael.task"
local versions = require "tael.scripts.versions"

local held_routes = {}

local running -- id of the set that this worker uses; nil: it reads the folder

--- As tael.scripts.Held.
---@param files table<string, string>? without them the engine reads the folder
---@param at_once boolean? outside a task nobody can wait
---@return tael.scripts.Prepared?
---@return { message: string }? err
function held_routes.prepare(files, at_once)
    local generation, why
    if files then
        generation, why = route_files.load(files, not at_once and task.last or nil)
        if not generation then
            return nil, { message = why }
        end
    end
    local id = generation and generation.id
    return { changed = id ~= running and { id or "folder" } or {}, digests = { routes = id },
        set = generation and generation.set, id = id }
end

function held_routes.take(prepared)
    routes.use(prepared.set)
    running = prepared.id
end

--- At the start of a worker: what the store says that runs. Where it does not load any more nothing answers,
--- and the folder's files, which nobody has activated, neither.
---@param files table<string, string>? of the version
---@param version string? its id
function held_routes.open(files, version)
    running = nil
    if not files then
        return
    end
    local prepared, err = held_routes.prepare(files, true)
    if not prepared then
        refusals.note("routes", err.message)
        prepared = { set = assert(routes.set()), id = "" }
    else
        log.info("scripts.loaded", { owner = "routes", generation = prepared.id, version = version,
            first = true })
    end
    held_routes.take(prepared)
end

--- The version that runs, on every worker: one may not have had it. What is wrong is among the refusals.
function held_routes.again()
    local version = versions.running(owners.operator "routes")
    if version then
        renewal.again "routes"
    end
end

return held_routes
