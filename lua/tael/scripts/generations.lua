--- Which generation of somebody's scripts runs on this worker, a merchant's or the operator's jobs, and how
--- a new one comes in: from the version that was activated, else from the folder; loaded, checked, and only
--- then put in the place of the old one.
--- 1 What is wrong changes nothing: the old generation goes on, and the log and /readyz say file, line and
--- why. 2 Whoever has begun on a generation ends on it. 3 Owners know nothing of each other: what one saves
--- concerns its own scripts alone. 4 In development files are looked at as they are asked for;
--- otherwise one worker reads them for all, at the start, on a reload, and when the folder is activated: what
--- is saved in between runs nowhere. 5 Once another version was activated,
--- nobody begins on the one before it. 6 A worker that meets what is wrong goes on with the newest that was
--- right on any worker: it may not have been asked for a while. 7 A restart changes nothing of that: what
--- passed last is kept in the store, and goes on where the folder is broken when an engine starts.
local folder = require "tael.folder"
local ids = require "tael.kernel.ids"
local isolate = require "tael.isolate"
local loading = require "tael.scripts.loading"
local log = require "tael.log"
local owners = require "tael.scripts.owners"
local refusals = require "tael.scripts.refusals"
local task = require "tael.task"
local time = require "tael.time"
local versions = require "tael.scripts.versions"
local workers = require "tael.kernel.workers"

local generations = {}

local LOOK_MS, RETRY_MS = 10, 1000
local ALL_MS = 10000

---@class tael.scripts.Slot
---@field owner tael.scripts.Owner
---@field active tael.scripts.Generation? nil: there are no scripts, or none that ever passed
---@field since integer? ms, monotonic: when it became active here
---@field files table<string, string>? its texts, where they came from the folder
---@field refused string? why the newest ones do not run
---@field tried string? id of what was looked at last
---@field stamps string? where the folder was read here
---@field read integer? ms, monotonic: when the folder was read that this is of, on whichever worker
---@field reads boolean? the folder is to be read here, whoever has read it
---@field found tael.scripts.Found? what is to be taken for what the folder holds, once
---@field looked integer? ms, monotonic; nil: to be looked at
---@field busy boolean? somebody is looking
---@field known boolean? somebody has looked before
---@field told boolean? another worker may have read it later than what was found here
---@field failed boolean? the last look came to no end
---@field stored boolean? a version runs, and not the folder; nil: the store has to be read
---@field wanted integer how often this worker was told to look
---@field reached integer how many of these the last look knew of

---@class tael.scripts.Found
---@field at integer ms, monotonic: when it was read
---@field files table<string, string>? nil: there is nothing
---@field stamps string?
---@field recent boolean?

local slots = {} ---@type table<string, tael.scripts.Slot> by the key of its owner
local opened, watched -- has somebody said where scripts are; are files looked at again and again
local check = "check" ---@type "check"|"unproven"

local function clear(slot)
    slot.refused = nil
    refusals.clear(slot.owner.name)
end

local function refuse(slot, why)
    slot.refused = why
    refusals.note(slot.owner.name, why, slot.active and slot.active.id)
end

--- In development the first worker tells for all.
local function put(slot, generation, about)
    slot.active, slot.tried, slot.since = generation, generation.id, time.monotonic()
    slot.files = about.files
    clear(slot)
    log[watched and task.worker() ~= 1 and "debug" or "info"]("scripts.loaded", {
        owner = slot.owner.name, generation = generation.id, version = about.version,
        jobs = generation.jobs and #generation.jobs, specs = about.specs, ms = about.ms,
        first = not slot.known or nil,
    })
end

-- ---- the folder ----

--- What passes goes on over a restart.
local function keep(slot, files)
    if slot.owner.number then
        versions.keep(slot.owner, files)
    end
end

--- A folder that is broken when nothing of it runs yet: what passed last, before this start. Its specs are
--- not in the way.
local function take_kept(slot)
    local owner = slot.owner
    local files = not slot.active and owner.number and versions.kept(owner)
    local generation = files and owner.load(files)
    if generation then
        slot.active, slot.files, slot.since = generation, files, 0 -- older than whatever runs on any worker
        log.warn("scripts.kept", { owner = owner.name, generation = generation.id })
    end
end

workers.answer("scripts.right", function(key)
    local slot = slots[key]
    local active = slot and slot.active
    return active and slot.files and { id = active.id, since = slot.since, files = slot.files } or nil
end)

--- The newest of what the workers have, by the moment that is so called.
local function newest_of(topic, slot, moment)
    local newest
    for _, one in ipairs(workers.ask(topic, slot.owner.key)) do
        if not newest or one[moment] > newest[moment] then
            newest = one
        end
    end
    return newest
end

--- What was right last on any worker is what goes on here.
local function take_newest(slot)
    local newest = newest_of("scripts.right", slot, "since")
    if not newest or slot.active and (slot.active.id == newest.id or slot.since >= newest.since) then
        return
    end
    local generation = slot.owner.load(newest.files, slot.active ~= nil)
    if generation then
        slot.active, slot.since, slot.files = generation, newest.since, newest.files
    end
end

-- ---- the folder, as it was read ----

--- The first worker finds what nobody has read, so that there is one reading for all.
workers.answer("scripts.read", function(key)
    if task.worker() == 1 then
        generations.find(key)
    end
    local slot = slots[key]
    local found = slot and slot.found
    if found then -- and nobody has tried it
        return { at = found.at, files = found.files, untried = true }
    end
    return slot and slot.read and { at = slot.read, files = slot.active and slot.files,
        refused = slot.refused } or nil
end)

--- What one worker has read runs on all. False: none has read it yet.
local function take_reading(slot)
    local read = newest_of("scripts.read", slot, "at")
    if not read or read.at == slot.read then
        return read ~= nil
    elseif read.untried then
        slot.found = slot.found or { at = read.at, files = read.files }
        return false
    end
    local active = slot.active
    if not read.files then
        slot.active = nil
    elseif active and active.id == loading.id(read.files) then
        active.version = nil
    else
        local generation, why = slot.owner.load(read.files, active ~= nil)
        if not generation then
            error(why, 0)
        end
        slot.active, slot.since = generation, time.monotonic()
    end
    slot.files, slot.refused, slot.read = read.files, read.refused, read.at
    return true
end

--- What it holds is tried. False: it may still be being written, which the next look tells.
local function try(slot, found)
    local id = loading.id(found.files)
    if slot.active and slot.active.id == id then
        clear(slot)
        if slot.active.version then
            keep(slot, found.files)
        end
        slot.tried, slot.files, slot.active.version = id, found.files, nil
        return true
    elseif slot.tried == id then
        if slot.refused then
            take_newest(slot) -- of what came in between
        end
        return true
    end
    local begun = time.monotonic()
    local generation, why, specs, kind = slot.owner[check](found.files, slot.active ~= nil)
    if loading.PASSING[kind] then
        error(why, 0)
    elseif generation then
        put(slot, generation, { specs = specs and specs.passed, ms = time.monotonic() - begun,
            files = found.files })
        keep(slot, found.files)
        return true
    elseif found.recent and watched then
        return false
    end
    slot.tried = id
    take_newest(slot)
    take_kept(slot)
    refuse(slot, why)
    return true
end

--- A folder is gone, and so is the one it was in: a disk that is not there takes nobody's rules away.
local function is_lost(slot)
    local owner = slot.owner
    local above = owner.folder:match("^(.*)/[^/]+$")
    return above and folder.changed(above, "")
        and (slot.active or owner.number and versions.kept(owner)) ~= nil, above
end

local function read_folder(slot)
    local found = slot.found
    slot.found = nil
    if found then
        return found.files and found, { code = "not_found" }
    end
    return folder.read(slot.owner.folder)
end

local function try_what(slot, found, err)
    local owner = slot.owner
    local lost, above = false, nil
    if not found and err.code == "not_found" and not watched then
        lost, above = is_lost(slot)
    end
    if found then
        slot.stamps = try(slot, found) and not found.recent and found.stamps or nil
    elseif err.code == "not_found" and not lost then
        if slot.active then
            log.info("scripts.removed", { owner = owner.name, generation = slot.active.id })
        end
        if slot.active or not slot.known then
            keep(slot, nil)
        end
        slot.active, slot.tried, slot.stamps = nil, nil, nil
        clear(slot)
    else
        slot.stamps = nil
        take_kept(slot)
        local why = lost and ("%s: %s is not there"):format(owner.name, above)
            or owner.name .. "/" .. err.message
        if slot.refused ~= why then
            refuse(slot, why)
        end
    end
end

--- Who is told to read meanwhile reads once more. A look that fails, or for which nobody waits any more,
--- leaves the same to be read.
local function try_folder(slot)
    local wanted, found, ended = slot.wanted, slot.found, false
    slot.reads = nil
    local _ <close> = setmetatable({}, { __close = function()
        if not ended and slot.wanted == wanted then
            slot.reads, slot.found = true, found
        end
    end })
    try_what(slot, read_folder(slot))
    slot.read, ended = time.monotonic(), true
end

--- The first worker reads what nobody has read.
local function look_at_folder(slot)
    local first = task.worker() == 1 and not slot.known and not slot.told
    if watched or slot.reads or first or not take_reading(slot) then
        try_folder(slot)
    end
end

-- ---- the store ----

--- It was checked, its specs too, before it was activated.
local function take_version(slot, version)
    slot.read, slot.found, slot.reads = nil, nil, nil
    if slot.active and slot.active.version == version.id then
        clear(slot)
        return
    end
    local generation, why, kind = slot.owner.load(version.files, slot.active ~= nil)
    if loading.PASSING[kind] then
        error(why, 0)
    elseif generation then
        generation.version = version.id
        put(slot, generation, { version = ids.encode("scr", version.id) })
    else
        refuse(slot, why)
    end
end

--- The version that was activated; nil: none is, the folder holds what runs.
local function activated(owner)
    local version, err = nil, nil
    if owner.number then
        version, err = versions.running(owner)
    end
    if err then
        error("the version that runs cannot be read: " .. err.code, 0)
    end
    return version
end

--- `wanted`: what this worker had been told when the look began. What it is told meanwhile the next one does.
local function look(slot, wanted)
    local stored = slot.stored
    if stored == nil then
        local version = activated(slot.owner)
        if version then
            take_version(slot, version)
        end
        stored = version ~= nil
        slot.tried, slot.stamps = nil, nil
        if slot.wanted == wanted then
            slot.stored = stored
        end
    end
    if not stored then
        look_at_folder(slot)
    end
end

-- ---- when ----

local function is_due(slot)
    if slot.busy then
        return false
    elseif not slot.looked then
        return true
    elseif slot.failed then
        return time.monotonic() - slot.looked >= RETRY_MS
    elseif not watched or slot.stored then
        return false
    end
    local now = time.monotonic()
    if now - slot.looked < LOOK_MS then
        return false
    end
    slot.looked = now
    return not slot.stamps or folder.changed(slot.owner.folder, slot.stamps)
end

local LOOKED, WAIT_MS = "scripts.looked.", 100
local LOOK_WAITS = 10 -- a second: specs may take long, and what ran before is there

--- Looks once, whatever ends it: a task may be ended while it waits, and then nobody has looked.
local function look_once(slot)
    local ended, wanted = false, slot.wanted
    slot.busy, slot.looked = true, time.monotonic()
    local _ <close> = setmetatable({}, { __close = function()
        slot.busy = nil
        if not ended then
            slot.looked = nil
        end
    end })
    local ran, raised = pcall(look, slot, wanted)
    ended, slot.failed, slot.known = true, not ran, true
    if ran then
        slot.reached = wanted
    else
        refuse(slot, tostring(raised))
    end
end

--- Somebody is looking, and what runs until then is not to be begun on.
local function has_to_wait(slot)
    return slot.busy and (slot.reached ~= slot.wanted or not slot.active and not slot.refused)
end

local function slot_of(key)
    local slot = slots[key]
    if not slot then
        slot = { owner = owners.of(key), wanted = 0, reached = 0 }
        slots[key] = slot
    end
    return slot
end

--- What runs for this owner now. In a task: it may wait, while what is new is loaded, and waits while the
--- first ones are. In development it waits a while for whoever is looking: what was saved before is asked.
---@param key string slug of a merchant, "/jobs"
---@return tael.scripts.Generation? generation nil: there is none
---@return boolean broken there are scripts, of which none ever passed
function generations.of(key)
    if not opened then
        return nil, false
    end
    local slot = slot_of(key)
    local waits = 0
    while has_to_wait(slot) or watched and slot.busy and waits < LOOK_WAITS do
        waits = waits + 1
        task.wait(LOOKED .. key, WAIT_MS)
    end
    if is_due(slot) then
        look_once(slot)
        task.wake(LOOKED .. key)
    end
    return slot.active, slot.refused ~= nil
end

--- Has this worker, if it has ever been asked for them, looked at what was activated last?
---@param key string of their owner
---@return boolean
function generations.settled(key)
    local slot = slots[key]
    return slot ~= nil and not slot.busy and slot.reached == slot.wanted
end

local function look_again(slot)
    slot.looked, slot.stored, slot.wanted = nil, nil, slot.wanted + 1
end

--- Those who are asked on one worker alone try for themselves what was read for them, or read. What was found
--- before counts no more.
workers.answer("scripts.activated", function(asked)
    local slot = slots[asked.key] or task.worker() == 1 and slot_of(asked.key) -- finds nothing more by itself
    if slot then
        slot.reads, slot.told = slot.reads or asked.reads, true
        slot.found = asked.found and { at = time.monotonic(), files = asked.found.files }
        look_again(slot)
    end
    return true
end)

--- Until all know.
local function tell(asked)
    local _, count = task.worker()
    local ends = time.monotonic() + ALL_MS
    local known
    repeat
        known = #workers.ask("scripts.activated", asked)
    until known == count or time.monotonic() >= ends
    return known
end

--- Another version was activated, or other files of the folder are to run: whoever is asked from now on, on
--- any worker, runs it. Waits.
---@param key string of its owner
---@param files table<string, string>|false|nil where the folder is to run: what was read of it; false: there
--- is none
---@return integer workers that know; fewer than there are when one does not answer for ten seconds
function generations.activated(key, files)
    local reads = files ~= nil and not owners.of(key).slug
    if files ~= nil and not reads then
        local slot = slot_of(key)
        slot.reads, slot.found = true, { at = time.monotonic(), files = files or nil }
        look_again(slot)
        generations.of(key)
    end
    return tell { key = key, reads = reads, found = reads and { files = files or nil } or nil }
end

--- Has those who are asked on one worker alone read their folder again.
---@param key string "/jobs"
function generations.reread(key)
    tell { key = key, reads = true }
end

--- Reads what a folder holds that nobody was asked for yet: that is what runs when somebody is.
local function find(slot)
    local found, err = folder.read(slot.owner.folder)
    if found or err.code == "not_found" then
        found = found or {}
        slot.found = { at = time.monotonic(), files = found.files, stamps = found.stamps,
            recent = found.recent }
    end
end

--- The same, once, and not where another worker has read it: what was saved since then is nobody's yet.
---@param key string slug of a merchant
function generations.find(key)
    local slot = slot_of(key)
    if not slot.known and not slot.busy and not slot.found and not slot.told then
        find(slot)
    end
end

--- What its folder's files were like when they were read. nil: it has to be read, or is not what runs.
local function stamps_of(slot)
    if slot.failed then
        return nil
    elseif slot.known then
        return not slot.stored and slot.stamps or nil
    end
    return slot.found and not slot.found.recent and slot.found.stamps or nil
end

--- What was activated runs, whatever its folder holds.
local function is_stored(slot)
    return slot.known and slot.stored and not slot.failed
end

--- In whose folders there may be anything new.
---@param keys string[] slugs of merchants
---@return string[] of these, in their order
function generations.doubtful(keys)
    local stamps, doubtful, list = {}, {}, {}
    for _, key in ipairs(keys) do
        local slot = slot_of(key)
        stamps[key] = stamps_of(slot)
        doubtful[key] = not stamps[key] and not is_stored(slot)
    end
    folder.differing(owners.folder(), stamps)
    for _, key in ipairs(keys) do
        if doubtful[key] or stamps[key] then
            list[#list + 1] = key
        end
    end
    return list
end

local function differs(slot)
    local was = slot.found
    find(slot)
    local is = slot.found
    return (is.files and loading.id(is.files)) ~= (was.files and loading.id(was.files))
end

--- Is there anything new in its folder, as far as it counts?
local function has_changed(slot)
    local stamps = stamps_of(slot)
    if is_stored(slot) or stamps and not folder.changed(slot.owner.folder, stamps) then
        return false
    elseif slot.failed or stamps and slot.known then
        return true
    elseif slot.known then
        return slot.active ~= nil or slot.refused ~= nil or not folder.changed(slot.owner.folder, "")
    elseif slot.found then
        return differs(slot)
    end
    generations.find(slot.owner.key)
    return slot.found == nil
end

--- Reads a folder again where there is anything new in it, and has that run on every worker. What is wrong is
--- among the refusals. In a task; waits.
---@param key string slug of a merchant
---@return boolean changed does another generation run now?
---@return tael.scripts.Generation? generation
---@return string owner its name
function generations.read_again(key)
    local slot = slot_of(key)
    if slot.told and not slot.known then
        generations.of(key) -- what another worker has read: with that it is compared
    end
    if not has_changed(slot) then
        return false, slot.active, slot.owner.name
    end
    local was = slot.active
    slot.reads = true
    look_again(slot)
    local active = generations.of(key)
    tell { key = key }
    return active ~= was, active, slot.owner.name
end

---@class tael.scripts.Options
---@field folder string of all merchants
---@field own string? of the operator's jobs and routes
---@field channels string? of the channels' packages
---@field lua_root string where the engine's own Lua lies
---@field watch boolean are files looked at as they are asked for
---@field memory integer bytes of all isolates of this worker
---@field memory_each integer? bytes of each
---@field isolation "state"|"process" where they run
---@field processes integer most that are kept
---@field specs boolean? false: what runs need not have passed them

--- At the start of a worker. Raises {code, message} where processes are wanted and cannot be had.
---@param options tael.scripts.Options
function generations.open(options)
    opened, watched, slots = true, options.watch, {}
    check = options.specs == false and "unproven" or "check"
    owners.open { merchants = options.folder, own = options.own, channels = options.channels }
    loading.open(options.lua_root, options.isolation)
    isolate.ceiling(options.memory, options.memory_each)
    if options.isolation == "process" then
        local ready, err = isolate.processes { max = options.processes }
        if not ready then
            err.message = "scripts.isolation = \"process\": " .. err.message
            error(err, 0)
        end
    end
end

return generations
