--- Channels' packages read again while the engine runs, on every worker: this one first, so that what is
--- wrong is refused before anybody has it.
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

local last ---@type { number: integer, done: boolean, error: string? } what this worker was asked for last

local function renew(own)
    local changed, err = registry.renew_channels()
    own.done, own.error = true, err and err.message
    return changed, err
end

--- Begins when it is first asked, and says how far it is.
workers.answer("channels.renew", function(number)
    if not last or last.number ~= number then
        last = { number = number, done = false }
        local own = last
        task.spawn(function() renew(own) end)
    end
    return { done = last.done, error = last.error }
end)

--- Until every worker has ended; the first error of one.
local function all_others(number)
    local _, count = task.worker()
    local deadline = time.monotonic() + PATIENCE_MS
    repeat
        local ended, wrong = 0, nil
        for _, answer in ipairs(workers.ask("channels.renew", number)) do
            ended = ended + (answer.done and 1 or 0)
            wrong = wrong or answer.error
        end
        if wrong or ended == count then
            return wrong
        end
        task.wait("channels.renew.pause", PAUSE_MS)
    until time.monotonic() >= deadline
    return "a worker does not answer"
end

--- Has every worker use what the folder holds. In a task; waits.
---@return string[]? channels that have changed
---@return { code: string, message: string }? err nothing has changed; or what another worker met
function renewal.run()
    last = { number = store.next_id(), done = false }
    local changed, err = renew(last)
    local wrong = err and err.message or changed and all_others(last.number)
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
