--- From a merchant's files to a generation that can be asked: loaded in an isolate, checked against the
--- contract, and by its own specs. Nothing here knows what runs.
local effects = require "tael.effects"
local files_of = require "tael.scripts.files"
local globals = require "tael.scripts.globals"
local isolate = require "tael.isolate"
local kinds = require "tael.scripts.kinds"
local own = require "tael.scripts.own"
local specs = require "tael.scripts.specs"

local loading = {}

--- Failures that may be over soon, and are no fault of these scripts.
loading.PASSING = { crashed = true, memory = true }

local TRIES = 3 -- of scripts whose process dies
loading.RULES = kinds.RULES

local isolation = "state" ---@type "state"|"process"

---@class tael.scripts.Generation
---@field id string 16 hexadecimal digits of SHA-256 over all paths and texts
---@field unit tael.isolate.Generation
---@field rules table<string, boolean> those that there are
---@field routes table? tree of paths; nil: there is no routes.lua
---@field route_keys string[] "POST /orders", sorted
---@field counting tael.scripts.Counting? what of the past the rules name; nil: they do not ask
---@field source string? text of rules.lua
---@field version integer? of the store; nil: the files of the folder

--- Before anything is loaded.
---@param lua_root string where the engine's own Lua lies
---@param where "state"|"process"|nil
function loading.open(lua_root, where)
    isolation = where or "state"
    own.open(lua_root)
end

---@param files table<string, string>
---@return string id
function loading.id(files)
    return files_of.digest(files):sub(1, 16)
end

local checks = 0

--- Whose process that is which ends with what is looked at: what runs must not end with it.
local function group_of(name)
    checks = checks + 1
    return ("%s, check %d"):format(name, checks)
end

local function load_once(merchant, files, runs)
    local id, name = loading.id(files), "merchants/" .. merchant
    local wrong, path = files_of.wrong(files)
    if wrong then
        return nil, ("%s%s: %s"):format(name, path and "/" .. path or "", wrong), "shape", 0
    end
    local all, key = own.beside(files), merchant .. "@" .. id
    local function unit_of(group)
        return isolate.generation { name = name, key = key, group = group, files = all, isolation = isolation,
            effects = effects.names }
    end
    local unit = unit_of()
    local looked_at <close> = runs and unit_of(group_of(name)) or nil
    local given, why, kind, used = kinds.given(looked_at or unit, name, files)
    local generation = given and { id = id, unit = unit, rules = given.rules, routes = given.routes,
        route_keys = given.route_keys, counting = given.counting, source = files[kinds.RULES] }
    return generation, why, kind, used
end

--- Loads one snapshot of a merchant's files and checks it against the contract. A process may have been
--- killed for what is no fault of these scripts: then once more.
---@param merchant string slug
---@param files table<string, string> texts by path
---@param runs boolean? others of this merchant's run, and go on whatever these do
---@return tael.scripts.Generation?
---@return string? why not, with file and line where there is one
---@return string? kind of failure, of those that asking knows
---@return integer used steps
function loading.load(merchant, files, runs)
    local generation, why, kind, more
    local used = 0
    for _ = 1, TRIES do
        generation, why, kind, more = load_once(merchant, files, runs)
        used = used + more
        if kind ~= "crashed" then
            break
        end
    end
    return generation, why, kind, used
end

--- A name that nothing has, which may be why it does not load.
local function misspelt(merchant, files, why)
    if why and not why:find("unknown global", 1, true) and not why:find("must not write", 1, true) then
        return nil, 0
    end
    return globals.wrong("merchants/" .. merchant, files)
end

--- The same, no name in it is nobody's, and its own specs pass.
---@param merchant string slug
---@param files table<string, string> texts by path
---@param runs boolean? as in load
---@param rehearsal (fun(generation: tael.scripts.Generation): tael.rehearsal.World)? where specs may ask for
--- the channels' sandboxes
---@return tael.scripts.Generation?
---@return string? why not, with file and line where there is one
---@return tael.scripts.Specs? specs nil: they were not run
---@return string? kind of failure, of those that asking knows
---@return integer used steps
function loading.check(merchant, files, runs, rehearsal)
    local generation, why, kind, used = loading.load(merchant, files, runs)
    local wrong, more = misspelt(merchant, files, why)
    used = used + more
    if not generation or wrong then
        return nil, wrong or why, nil, wrong and "contract" or kind, used
    end
    local result = specs.run("merchants/" .. merchant, files, isolation, group_of("merchants/" .. merchant),
        rehearsal and rehearsal(generation))
    why = specs.why(result)
    return not why and generation or nil, why, result, nil, used + result.used
end

--- As check, without its specs: for an engine that is there for these to be run.
function loading.unproven(merchant, files, runs)
    local generation, why, kind, used = loading.load(merchant, files, runs)
    return generation, why, nil, kind, used
end

return loading
