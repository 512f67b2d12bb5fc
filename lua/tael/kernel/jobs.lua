--- The background work of the kernel, on worker 1: seals, due timers, retention. Each job is a task that
--- never ends; an error in one round is logged and the next round comes.
local log = require "tael.log"
local registry = require "tael.kernel.registry"
local seals = require "tael.kernel.seals"
local settle = require "tael.kernel.settle"
local store = require "tael.store"
local store_fault = require "tael.kernel.store_fault"
local task = require "tael.task"
local time = require "tael.time"
local timers = require "tael.kernel.timers"

local jobs = {}

local TIMERS_MS, RETENTION_MS = 250, 60000
local HOUR_ID = 3600000 << 22 -- ids that an hour spans
local EPOCH_MS = 1577836800000
local STEPS = 48 -- in one round

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

-- ---- retention: at most an hour of ids in one unit, so that the writer is never held long ----

local function position_of(name)
    local rows = store.query("setting.get", { name = name })
    if not rows then
        return nil
    end
    return rows[1] and (">i8"):unpack(rows[1].value) or 0
end

--- Forgets what is older, from where the last round ended. A store that was never cleaned begins now: it
--- is younger than what is kept.
local function forget(name, keep_ms, statements)
    local from = position_of(name)
    local upto = time.now() - keep_ms - EPOCH_MS << 22
    if not from or upto <= 0 then
        return
    elseif from == 0 then
        from = upto - HOUR_ID
    end
    for _ = 1, STEPS do
        if from >= upto then
            return
        end
        local to = math.min(from + HOUR_ID, upto)
        local list = { { "setting.put", { name = name, value = (">i8"):pack(to) } } }
        for _, statement in ipairs(statements) do
            list[#list + 1] = { statement, { from_id = from, to_id = to } }
        end
        if not settle.commit(list) then
            return
        end
        from = to
    end
end

local function retain()
    local keep = registry.config.notifications.retention
    forget("retention.raw", keep, { "notification.forget", "call.forget" })
    forget("retention.idempotency", registry.config.idempotency.retention, { "idempotency.forget" })
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
    task.keep("retention", RETENTION_MS, retain)
end

return jobs
