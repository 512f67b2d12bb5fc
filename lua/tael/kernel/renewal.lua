--- Channels' packages read again while the engine runs, on every worker, in two steps: all of them load what
--- there is, and only when it is the same and right on all is it used.
local log = require "tael.log"
local refusals = require "tael.scripts.refusals"
local registry = require "tael.kernel.registry"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local workers = require "tael.kernel.workers"

local renewal = {}

local OWNER = "channels"
local PAUSE_MS, PATIENCE_MS = 5, 10000
local KEPT_MS = 60000 -- longer than any renewal takes

---@class tael.kernel.Renewal
---@field at integer ms, monotonic
---@field done boolean
---@field error string?
---@field prepared tael.kernel.PreparedChannels?

local renewals = {} ---@type table<integer, tael.kernel.Renewal> those that are under way, by number
local taken = 0 -- number of the newest that is used here

local function forget_old(now)
    for number, one in pairs(renewals) do
        if now - one.at > KEPT_MS then
            renewals[number] = nil
        end
    end
end

local function begin(number)
    local one = { at = time.monotonic(), done = false }
    forget_old(one.at)
    renewals[number] = one
    task.spawn(function()
        local err
        one.prepared, err = registry.prepare_channels()
        one.done, one.error = true, err and err.message
    end)
    return one
end

--- Begins when it is first asked, and says how far it is.
workers.answer("channels.prepare", function(number)
    local one = renewals[number] or begin(number)
    return { done = one.done, error = one.error, digests = one.prepared and one.prepared.digests }
end)

--- One that is older than what is used already is not used any more.
workers.answer("channels.take", function(number)
    local one = renewals[number]
    if one and one.prepared and number > taken then
        registry.take_channels(one.prepared)
        taken = number
    end
    return taken >= number
end)

--- Two of them have read different files.
local function differ(answers)
    local seen = {}
    for _, answer in ipairs(answers) do
        for name, digest in pairs(answer.digests or {}) do
            if seen[name] and seen[name] ~= digest then
                return "channels/" .. name .. " was written meanwhile: once more"
            end
            seen[name] = digest
        end
    end
end

--- Asks until all have done it; the first error of one.
local function all_of(topic, number, wrong_with)
    local _, count = task.worker()
    local deadline = time.monotonic() + PATIENCE_MS
    repeat
        local answers = workers.ask(topic, number)
        local ended, wrong = wrong_with(answers)
        if wrong or ended == count then
            return wrong
        end
        task.wait("channels.renew.pause", PAUSE_MS)
    until time.monotonic() >= deadline
    return "a worker does not answer"
end

local function prepared_by(answers)
    local ended, wrong = 0, nil
    for _, answer in ipairs(answers) do
        ended = ended + (answer.done and 1 or 0)
        wrong = wrong or answer.error
    end
    return ended, wrong or differ(answers)
end

local function taken_by(answers)
    local ended = 0
    for _, answer in ipairs(answers) do
        ended = ended + (answer == true and 1 or 0)
    end
    return ended
end

--- Has every worker use what the folder holds. In a task; waits.
---@return string[]? channels that have changed
---@return { code: string, message: string }? err nothing has changed, on any worker
function renewal.run()
    local number = store.next_id()
    local wrong = all_of("channels.prepare", number, prepared_by)
    local changed = not wrong and renewals[number].prepared.changed
    if changed and #changed > 0 then
        wrong = all_of("channels.take", number, taken_by)
    end
    renewals[number] = nil
    if wrong then
        refusals.note(OWNER, wrong, "the channels before")
        return nil, { code = "script_refused", message = wrong }
    end
    refusals.clear(OWNER)
    if #changed > 0 then
        log.info("channels.renewed", { channels = table.concat(changed, " ") })
    end
    return changed
end

return renewal
