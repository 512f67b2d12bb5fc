--- Which generation of a merchant's scripts runs on this worker, and how a new one comes in: read, loaded in
--- an isolate, checked against the contract, and only then put in the place of the old one.
--- 1 What is wrong changes nothing: the old generation goes on, and the log and /readyz say file, line and
--- why. 2 Whoever has begun on a generation ends on it. 3 Merchants know nothing of each other: what one
--- saves concerns its own scripts alone. 4 In development files are looked at as they are asked for;
--- otherwise they are read when they are first needed, and on a reload.
local contract = require "tael.scripts.contract"
local crypto = require "tael.crypto"
local folder = require "tael.folder"
local isolate = require "tael.isolate"
local log = require "tael.log"
local task = require "tael.task"
local time = require "tael.time"
local workers = require "tael.kernel.workers"

local generations = {}

local LOOK_MS = 10
local LOAD_STEPS = 2000000
local CHECKS = 3 -- of scripts whose process dies
generations.RULES = "rules.lua"

---@class tael.scripts.Generation
---@field id string 16 hexadecimal digits of SHA-256 over all paths and texts
---@field unit tael.isolate.Generation
---@field rules table<string, boolean> those that there are

---@class tael.scripts.Slot
---@field active tael.scripts.Generation? nil: the merchant has no scripts, or none that ever passed
---@field refused string? why the newest ones do not run
---@field tried string? id of what was looked at last
---@field stamps table<string, string>?
---@field looked integer? ms, monotonic
---@field busy boolean? somebody is looking

local slots = {} ---@type table<string, tael.scripts.Slot> by merchant
local root, watched -- folder of all merchants; are files looked at again and again
local isolation = "state" ---@type "state"|"process"

local function identify(files)
    local paths, parts = {}, {}
    for path in pairs(files) do
        paths[#paths + 1] = path
    end
    table.sort(paths)
    for _, path in ipairs(paths) do
        parts[#parts + 1] = ("s4s4"):pack(path, files[path])
    end
    return crypto.hex.encode(crypto.digest("sha256", table.concat(parts))):sub(1, 16)
end

--- Loads and checks one snapshot of a merchant's files.
---@param merchant string slug
---@param files table<string, string> texts by path
---@return tael.scripts.Generation?
---@return string? why not, with file and line where there is one
---@return string? kind of failure, of those that asking knows
function generations.check(merchant, files)
    local id, name = identify(files), "merchants/" .. merchant
    local unit = isolate.generation {
        name = name, key = merchant .. "@" .. id, files = files, isolation = isolation,
    }
    local generation = { id = id, unit = unit, rules = {} }
    if not files[generations.RULES] then
        return generation
    end
    local described = unit:ask(generations.RULES, { { "" } }, {}, LOAD_STEPS)[1]
    if not described[1] then
        return nil, described[3], described[2]
    end
    local wrong = contract.wrong(described[2])
    if wrong then
        return nil, ("%s/%s: %s"):format(name, generations.RULES, wrong)
    end
    for rule in pairs(described[2]) do
        generation.rules[rule] = true
    end
    return generation
end

local refused = {} ---@type table<string, string> why, by merchant: what any worker has met

workers.answer("scripts.refused", function(note)
    refused[note.merchant] = note.error or nil
end)

local function clear(slot, merchant)
    if slot.refused or refused[merchant] then
        slot.refused = nil
        workers.ask("scripts.refused", { merchant = merchant, error = false })
    end
end

local function refuse(slot, merchant, why)
    slot.refused = why
    workers.ask("scripts.refused", { merchant = merchant, error = why })
    log.error("scripts.refused", { merchant = merchant, error = why,
        runs = slot.active and slot.active.id or "nothing" })
end

--- A process may have been killed for what is no fault of these scripts.
local function check_again(merchant, files)
    local generation, why, kind
    for _ = 1, CHECKS do
        generation, why, kind = generations.check(merchant, files)
        if kind ~= "crashed" then
            break
        end
    end
    return generation, why
end

--- What the folder holds is tried. False: it may still be being written, which the next look tells.
local function try(slot, merchant, found)
    local id = identify(found.files)
    if slot.active and slot.active.id == id then
        clear(slot, merchant)
        slot.tried = id
        return true
    elseif slot.tried == id then
        return true
    end
    local generation, why = check_again(merchant, found.files)
    if generation then
        slot.active, slot.tried = generation, id
        clear(slot, merchant)
        log.info("scripts.loaded", { merchant = merchant, generation = id })
        return true
    elseif found.recent and watched then
        return false
    end
    slot.tried = id
    refuse(slot, merchant, why)
    return true
end

local function look(slot, merchant)
    local path = root .. "/" .. merchant
    local found, err = folder.read(path)
    if found then
        slot.stamps = try(slot, merchant, found) and not found.recent and found.stamps or nil
    elseif err.code == "not_found" then
        if slot.active then
            log.info("scripts.removed", { merchant = merchant, generation = slot.active.id })
        end
        slot.active, slot.tried, slot.stamps = nil, nil, nil
        clear(slot, merchant)
    else
        slot.stamps = nil
        if slot.refused ~= err.message then
            refuse(slot, merchant, "merchants/" .. merchant .. "/" .. err.message)
        end
    end
end

local function is_due(slot, merchant)
    if slot.busy then
        return false
    elseif not slot.looked then
        return true
    elseif not watched then
        return false
    end
    local now = time.monotonic()
    if now - slot.looked < LOOK_MS then
        return false
    end
    slot.looked = now
    return not slot.stamps or folder.changed(root .. "/" .. merchant, slot.stamps)
end

local LOOKED, WAIT_MS = "scripts.looked.", 100

--- Looks once, whatever ends it: a task may be ended while it waits, and then nobody has looked.
local function look_once(slot, merchant)
    local done = false
    slot.busy, slot.looked = true, time.monotonic()
    local _ <close> = setmetatable({}, { __close = function()
        slot.busy, slot.looked = nil, done and slot.looked or nil
    end })
    local ran, raised = pcall(look, slot, merchant)
    done = true
    if not ran then
        refuse(slot, merchant, tostring(raised))
    end
end

--- What runs for this merchant now. In a task: it may wait, while what is new is loaded, and waits while the
--- first ones are.
---@param merchant string slug
---@return tael.scripts.Generation? generation nil: there is none
---@return boolean broken there are scripts, of which none ever passed
function generations.of(merchant)
    local slot = slots[merchant]
    if not root then -- nobody has said where scripts are
        return nil, false
    elseif not slot then
        slot = {}
        slots[merchant] = slot
    end
    while slot.busy and not slot.active and not slot.refused do
        task.wait(LOOKED .. merchant, WAIT_MS)
    end
    if is_due(slot, merchant) then
        look_once(slot, merchant)
        task.wake(LOOKED .. merchant)
    end
    return slot.active, slot.refused ~= nil
end

--- Those whose newest scripts do not run, in the order of their names.
---@return { merchant: string, error: string }[]
function generations.refused()
    local list = {}
    for merchant, why in pairs(refused) do
        list[#list + 1] = { merchant = merchant, error = why }
    end
    table.sort(list, function(a, b) return a.merchant < b.merchant end)
    return list
end

workers.answer("scripts.look", function()
    for _, slot in pairs(slots) do
        slot.looked = nil
    end
end)

--- What has changed on the disk is taken up by every worker when it is next asked for.
function generations.look_again()
    workers.ask("scripts.look")
end

---@class tael.scripts.Options
---@field folder string of all merchants
---@field watch boolean are files looked at as they are asked for
---@field memory integer bytes of all isolates of this worker
---@field isolation "state"|"process" where they run
---@field processes integer most that are kept

--- At the start of a worker. Raises {code, message} where processes are wanted and cannot be had.
---@param options tael.scripts.Options
function generations.open(options)
    root, watched, slots, isolation = options.folder, options.watch, {}, options.isolation
    isolate.ceiling(options.memory)
    if isolation == "process" then
        local ready, err = isolate.processes { max = options.processes }
        if not ready then
            err.message = "scripts.isolation = \"process\": " .. err.message
            error(err, 0)
        end
    end
end

return generations
