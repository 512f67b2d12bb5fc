--- How another version of somebody's scripts comes to run: checked, kept in the store, activated on what
--- its author has seen running, and told to every worker. What is wrong is refused, and nothing has changed.
local generations = require "tael.scripts.generations"
local ids = require "tael.kernel.ids"
local jobs = require "tael.scripts.jobs"
local log = require "tael.log"
local owners = require "tael.scripts.owners"
local renewal = require "tael.scripts.renewal"
local refusals = require "tael.scripts.refusals"
local shares = require "tael.scripts.shares"
local shown = require "tael.shown"
local task = require "tael.task"
local time = require "tael.time"
local versions = require "tael.scripts.versions"

local activation = {}

--- One thing that is wrong, with its place where the text begins with one.
local function error_of(text, code)
    local file, line, rest = text:match("^([%w_./-]+%.lua):(%d+): (.*)$")
    return { file = file, line = file and math.tointeger(tonumber(line)) or nil, code = code,
        detail = shown(rest or text) }
end

local checking = {} ---@type table<string, true> by the key of the owner, on this worker

local function later(seconds, detail)
    return { code = "rate_limited", headers = { ["retry-after"] = tostring(seconds) }, detail = detail }
end

--- Specs may take a while of a worker's time: one check of an owner's at a time, and no more of a merchant's
--- than its share allows.
local function too_soon(owner)
    local over, ms = false, 0
    if owner.slug then
        over, ms = shares.over("checks", owner.slug)
    end
    if checking[owner.key] then
        return later(1, "Another check of these scripts is under way: one at a time.")
    elseif over then
        return later((ms + 999) // 1000, "The checks of these scripts have taken more than the "
            .. "merchant's share of a worker (scripts.share): faster specs are checked more often.")
    end
end

local STEPS_PER_BYTE = 3 -- reading JSON takes time too

--- May scripts of this size be read, to be checked? They count, whatever comes of them.
---@param owner tael.scripts.Owner
---@param bytes integer
---@return true?
---@return table? err rate_limited
function activation.admit(owner, bytes)
    local err = too_soon(owner)
    if not err and owner.slug then
        shares.charge("checks", owner.slug, bytes * STEPS_PER_BYTE)
    end
    return not err or nil, err
end

--- To be closed.
local function begin_check(owner)
    local err = too_soon(owner)
    if err then
        return nil, err
    end
    task.detach() -- who goes away has his check charged all the same
    checking[owner.key] = true
    return setmetatable({}, { __close = function() checking[owner.key] = nil end })
end

---@class tael.scripts.Check
---@field generation tael.scripts.Generation? nil: refused
---@field specs tael.scripts.Specs? nil: they were not run
---@field errors { file: string?, line: integer?, code: string, detail: string }[]

---@param owner tael.scripts.Owner
---@param files table<string, string>
---@param ran boolean? they ran before: their specs are not run again
---@param back boolean? to go back waits for nobody and is never too much
---@return tael.scripts.Check?
---@return table? err rate_limited
function activation.check(owner, files, ran, back)
    local under_way <close>, err = begin_check(owner)
    if not under_way and not back then
        return nil, err
    end
    local generation, why, specs, used, _
    if ran then
        generation, why, _, used = owner.load(files, true)
    else
        generation, why, specs, _, used = owner.check(files, true)
    end
    if owner.slug then
        shares.charge("checks", owner.slug, used)
    end
    local errors = {}
    if not generation and specs then
        for i, failure in ipairs(specs.failures) do
            errors[i] = error_of(failure.error, "spec_failed")
            errors[i].detail = failure.name .. ": " .. errors[i].detail
        end
    elseif not generation then
        errors[1] = error_of(why, "script_refused")
    end
    return { generation = generation, specs = specs, errors = errors }
end

local function refuse(owner, check)
    local code, first = check.errors[1].code, check.errors[1]
    log.warn("scripts.push_refused", { owner = owner.name, code = code,
        error = (first.file and ("%s:%d: "):format(first.file, first.line) or "") .. first.detail })
    return nil, { code = code, errors = check.errors, detail = code == "spec_failed"
        and ("%d of the scripts' own specs failed."):format(check.specs.failed) or nil }
end

--- Keeps a version; the same texts again are the same version.
---@param owner tael.scripts.Owner
---@param new { files: table<string, string>, base: integer?, author: string, actor: string, message: string }
---@return tael.scripts.Version?
---@return table? err script_refused, spec_failed, rate_limited, store_unavailable
---@return boolean? made
function activation.push(owner, new)
    local check, late = activation.check(owner, new.files)
    if not check then
        return nil, late
    elseif not check.generation then
        return refuse(owner, check)
    end
    local version, err, made = versions.add(owner, new)
    if made then
        log.info("scripts.pushed", { owner = owner.name, version = ids.encode("scr", version.id),
            actor = new.actor, generation = check.generation.id })
    end
    return version, err, made
end

local function check_again(owner, files, ran, back)
    local check, late = activation.check(owner, files, ran, back)
    if not check then
        return nil, late
    elseif not check.generation then
        return refuse(owner, check)
    end
    return check.generation.id
end

--- What is to run is right, here and now. A version that ran before has to load; its specs are not in the way
--- of going back. What the folder holds nobody has seen yet. Its generation, "" where there are no files.
---@return string? generation
---@return table? err
---@return table<string, string>|false|nil files of the folder; false: there are none
local function check_target(owner, version, back)
    if version then
        return check_again(owner, version.files, back, back)
    end
    local files, why = owners.folder_of(owner)
    if why then
        return nil, { code = "script_refused", errors = { error_of(why, "script_refused") } }
    elseif not files then
        return "", nil, false
    end
    local generation, err = check_again(owner, files, false, back)
    if err and err.errors then
        err.errors[1].detail = "in the folder, whose files would run: " .. err.errors[1].detail
    end
    return generation, err, files
end

---@class tael.scripts.Activated
---@field version integer? nil: the files of the folder
---@field generation string "": it has no scripts
---@field workers integer that run it for whoever asks from now on
---@field ms integer from the commit until all of them knew

--- What every worker holds is readied by all of them before it is said that it runs.
local function exchange(owner, new, commit)
    local done, err = renewal.run(owner.part, new.version, new.was, commit)
    if done then
        refusals.clear(owner.name)
        return done.workers
    elseif err.code == "script_refused" then
        return refuse(owner, { errors = { error_of(err.message, err.code) } })
    end
    return nil, err
end

--- What is asked for is looked at anew by whoever is asked next.
local function tell(owner, new, commit)
    local done, err = commit()
    if not done then
        return nil, err
    end
    local workers = generations.activated(owner.key, new.files)
    if owner.part == "jobs" and not jobs.taken() then
        return workers - 1 -- the one that runs them
    end
    return workers
end

--- What ran when it was asked for, if it does by now: its check has taken a while.
local function still_runs(owner, new)
    local active, err = versions.active(owner)
    if err then
        return nil, err
    elseif (active and active.id or 0) ~= new.was then
        return nil, { code = "generation_conflict", detail = "Another one was activated meanwhile." }
    end
    return new.was
end

local function begin_running(owner, new, generation)
    local begun
    local function commit()
        begun = time.monotonic()
        if new.runs then -- else it would be what ran before itself
            return still_runs(owner, new)
        end
        return versions.activate(owner, new)
    end
    local workers, err = (owner.held and exchange or tell)(owner, new, commit)
    if not workers then
        return nil, err
    end
    local version = new.version and ids.encode("scr", new.version) or "folder"
    log.info("scripts.activated", { owner = owner.name, version = version, actor = new.actor,
        generation = generation, rollback = new.restored ~= nil or nil })
    return { version = new.version, generation = generation, workers = workers,
        ms = time.monotonic() - begun }
end

local function get_version(owner, id)
    local version, err = versions.get(owner, id)
    if not version then
        return nil, err or { code = "not_found", detail = "There is no such version of these scripts." }
    end
    return version
end

local function run(owner, new)
    local version, err, generation
    if new.version then
        version, err = get_version(owner, new.version)
        if not version then
            return nil, err
        end
    end
    generation, err, new.files = check_target(owner, version, new.restored ~= nil)
    if not generation then
        return nil, err
    end
    return begin_running(owner, new, generation)
end

--- Has a version run, or the folder's files.
---@param owner tael.scripts.Owner
---@param wish { version: integer?, expected: integer|false|nil, actor: string } expected: what its author has
--- seen running, false for the folder; nil: whatever runs
---@return tael.scripts.Activated?
---@return table? err generation_conflict, script_refused, spec_failed, not_found, store_unavailable
function activation.activate(owner, wish)
    local active, err = versions.active(owner)
    if err then
        return nil, err
    elseif wish.expected ~= nil and (active and active.version or false) ~= wish.expected then
        return nil, { code = "generation_conflict", detail = active and active.version
            and ids.encode("scr", active.version) .. " runs by now: look at it and decide anew."
            or "The folder's files run: look at them and decide anew." }
    end
    return run(owner, { version = wish.version, was = active and active.id or 0, actor = wish.actor,
        runs = (active and active.version) == wish.version })
end

--- Has that run again that ran before; once more, what ran before that.
---@param owner tael.scripts.Owner
---@param wish { actor: string }
---@return tael.scripts.Activated?
---@return table? err generation_conflict: there is nothing before; and those of activate
function activation.rollback(owner, wish)
    local active, err = versions.active(owner)
    local from = active and (active.restored or active.id)
    if err then
        return nil, err
    elseif not from or from == 0 then
        return nil, { code = "generation_conflict", detail = active
            and "There is nothing further back: this is what ran before the first version was activated."
            or "There is nothing to go back to: no version of these scripts was ever activated." }
    end
    local before
    before, err = versions.active_before(owner, from)
    if err then
        return nil, err
    end
    return run(owner, { version = before and before.version, was = active.id, actor = wish.actor,
        restored = before and (before.restored or before.id) or 0 })
end

return activation
