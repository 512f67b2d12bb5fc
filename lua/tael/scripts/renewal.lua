--- What every worker holds in memory is replaced while the engine runs, in two steps: all of them ready what
--- there is, a version or what lies in the folder, and only when it is the same and right on all is it used.
--- 1 What is wrong anywhere is used nowhere. 2 What was activated later is not replaced by what was activated
--- before it, whoever is late.
local log = require "tael.log"
local owners = require "tael.scripts.owners"
local refusals = require "tael.scripts.refusals"
local sorted = require "tael.sorted"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local versions = require "tael.scripts.versions"
local workers = require "tael.kernel.workers"

local renewal = {}

local PATIENCE_MS = 10000
local KEPT_MS = 60000 -- longer than any renewal takes
local SILENT = "a worker does not answer"

---@class tael.scripts.Prepared
---@field changed string[] what is not as it was: names for people
---@field digests table<string, string> of texts, by what they are of: the same on all workers

---@class tael.scripts.Held
---@field prepare fun(files: table<string, string>?): tael.scripts.Prepared?, { message: string }? readies
--- these texts, or without them what the folder holds. In a task; may wait
---@field take fun(prepared: tael.scripts.Prepared) has it used from now on. Does not wait

---@class tael.scripts.Renewal
---@field at integer ms, monotonic
---@field done boolean
---@field error string?
---@field prepared tael.scripts.Prepared?

local held = {} ---@type table<string, tael.scripts.Held> by part
--- What is used here, by part: which activation says so, and the number of the renewal that brought it.
local taken = {} ---@type table<string, { activation: integer, number: integer }>
local renewals = {} ---@type table<integer, tael.scripts.Renewal> those that are under way, by number

--- At the start of a worker, when it has read what runs.
---@param part string of the operator's scripts
---@param what tael.scripts.Held
---@param activation integer that it has read; 0: there was none
function renewal.serve(part, what, activation)
    held[part], taken[part] = what, { activation = activation, number = 0 }
end

local function forget_old(now)
    for number, one in pairs(renewals) do
        if now - one.at > KEPT_MS then
            renewals[number] = nil
        end
    end
end

local function prepare(part, number)
    if not number then
        return held[part].prepare()
    end
    local version, err = versions.get(owners.operator(part), number)
    if not version then
        return nil, { message = "the version cannot be read: " .. (err and err.code or "it is not there") }
    end
    return held[part].prepare(version.files)
end

local function begin(asked)
    local one = { at = time.monotonic(), done = false }
    forget_old(one.at)
    renewals[asked.number] = one
    task.spawn(function()
        local ran, prepared, err = pcall(prepare, asked.part, asked.version)
        one.prepared = ran and prepared or nil
        one.error = not ran and tostring(prepared) or err and err.message or nil
        one.done = true
    end)
    return one
end

--- Begins when it is first asked, and says how far it is. A worker that is just starting says nothing yet.
workers.answer("renewal.prepare", function(asked)
    if not held[asked.part] then
        return nil
    end
    local one = renewals[asked.number] or begin(asked)
    return { done = one.done, error = one.error, digests = one.prepared and one.prepared.digests,
        changed = one.prepared and one.prepared.changed }
end)

local function is_newer(asked, known)
    if asked.activation ~= known.activation then
        return asked.activation > known.activation
    end
    return asked.number > known.number
end

workers.answer("renewal.take", function(asked)
    local one, known = renewals[asked.number], taken[asked.part]
    if is_newer(asked, known) and one and one.prepared then
        held[asked.part].take(one.prepared)
        known.activation, known.number = asked.activation, asked.number
    end
    renewals[asked.number] = nil
    return { done = not is_newer(asked, known) }
end)

--- Two of them have read different files.
local function differ(part, answers)
    local seen = {}
    for _, answer in ipairs(answers) do
        for name, digest in pairs(answer.digests or {}) do
            if seen[name] and seen[name] ~= digest then
                return part .. "/" .. name .. " was written meanwhile: once more"
            end
            seen[name] = digest
        end
    end
end

--- How many have done it, the first that is wrong, and what is not as it was on any of them.
local function ended_of(answers)
    local ended, wrong, names = 0, nil, {}
    for _, answer in ipairs(answers) do
        ended = ended + (answer.done and 1 or 0)
        wrong = wrong or answer.error
        for _, name in ipairs(answer.changed or {}) do
            names[name] = true
        end
    end
    return ended, wrong, sorted(names)
end

--- Asks until all have done it.
---@return integer workers that have
---@return string? wrong the first error of one
---@return string[] changed
local function all_of(topic, asked)
    local _, count = task.worker()
    local deadline = time.monotonic() + PATIENCE_MS
    local pauses = 0
    local ended, wrong, changed
    repeat
        local answers = workers.ask(topic, asked)
        ended, wrong, changed = ended_of(answers)
        wrong = wrong or differ(asked.part, answers)
        if wrong or ended == count then
            return ended, wrong, changed
        end
        pauses = workers.pause(pauses)
    until time.monotonic() >= deadline
    return ended, topic == "renewal.prepare" and SILENT or nil, changed
end

---@class tael.scripts.Renewed
---@field changed string[]
---@field workers integer that use it; fewer than there are when one does not answer for ten seconds

--- Has every worker use a version, or what the folder holds. In a task; waits.
---@param part string of the operator's scripts
---@param version integer? nil: the folder
---@param activation integer that says so
---@param commit (fun(): integer?, table?)? says so only now, when all have readied it: gives the activation
---@return tael.scripts.Renewed?
---@return { code: string, message: string? }? err nothing has changed, on any worker
function renewal.run(part, version, activation, commit)
    local asked = { part = part, number = store.next_id(), version = version }
    local ready, wrong, changed = all_of("renewal.prepare", asked)
    if wrong then
        renewals[asked.number] = nil
        return nil, { code = wrong == SILENT and "overloaded" or "script_refused", message = wrong }
    end
    local err
    asked.activation = activation
    if commit then
        asked.activation, err = commit()
    end
    if err then
        renewals[asked.number] = nil
        return nil, err
    elseif #changed > 0 or asked.activation ~= taken[part].activation then
        ready = all_of("renewal.take", asked)
    end
    renewals[asked.number] = nil
    return { changed = changed, workers = ready }
end

--- Has every worker use what counts: the version that was activated, else what the folder holds now.
---@param part string of the operator's scripts
---@return string[]? changed
---@return { code: string, message: string }? err nothing has changed, on any worker
function renewal.again(part)
    local version, err, activation = versions.running(owners.operator(part))
    local done
    if not err then
        done, err = renewal.run(part, version and version.id, activation)
    end
    if not done then
        err.message = err.message or "the version that runs cannot be read: " .. err.code
        refusals.note(part, err.message, "what ran before")
        return nil, { code = "script_refused", message = err.message }
    end
    refusals.clear(part)
    if #done.changed > 0 then
        log.info(part .. ".renewed", { [part] = table.concat(done.changed, " ") })
    end
    return done.changed
end

return renewal
