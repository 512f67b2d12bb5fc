--- The background work of the kernel, on worker 1: seals, due timers, retention. Each job is a task that
--- never ends; an error in one round is logged and the next round comes.
local log = require "tael.log"
local registry = require "tael.kernel.registry"
local retention = require "tael.kernel.retention"
local seals = require "tael.kernel.seals"
local store_fault = require "tael.kernel.store_fault"
local task = require "tael.task"
local timers = require "tael.kernel.timers"

local jobs = {}

local TIMERS_MS, RETENTION_MS = 250, 60000

local function seal()
    local sealed, err = seals.pass()
    if not sealed and not store_fault.is_told(err) then
        log.error("seal.failed", { code = err and err.code, statement = err and err.statement })
    end
end

local function run_timers()
    while timers.pass() do
        task.wait("timers.done", TIMERS_MS)
    end
end

--- Starts them. Worker 1, once the registry is loaded.
function jobs.start()
    if task.worker() ~= 1 then
        return
    end
    task.set_scope(0)
    task.keep("seals", registry.config.audit.seal_every, seal)
    task.keep("timers", TIMERS_MS, run_timers)
    timers.serve()
    task.keep("retention", RETENTION_MS, retention.pass)
end

return jobs
