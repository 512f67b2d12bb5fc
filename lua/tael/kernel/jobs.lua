--- The background work of the kernel, on worker 1: seals, due timers, retention. Each job is a task that
--- never ends; an error in one round is logged and the next round comes.
local counters = require "tael.kernel.counters"
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
local COUNTERS_ID = 600000 << 22 -- of counters at once: a payment may have many

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

--- What is forgotten in one unit, with where the next one begins.
local function forget_between(old, from, to)
    local list = { { "setting.put", { name = old.name, value = (">i8"):pack(to) } } }
    for _, statement in ipairs(old.statements) do
        list[#list + 1] = { statement, { from_id = from, to_id = to, span = old.span } }
    end
    return settle.commit(list)
end

---@class tael.kernel.Old
---@field name string of the position that is kept
---@field keep integer ms
---@field statements string[]
---@field span integer? of counters
---@field step integer ids
---@field first integer? the oldest there is, where that is known

--- Forgets what is older, from where the last round ended. A store that was never cleaned begins now: it
--- is younger than what is kept.
local function forget(old)
    local from = position_of(old.name)
    local upto = time.now() - old.keep - EPOCH_MS << 22
    if not from or upto <= 0 then
        return
    elseif from == 0 then
        from = old.first or upto - old.step
    end
    from = math.max(from, old.first or 0)
    for _ = 1, STEPS do
        if from >= upto then
            return
        end
        local to = math.min(from + old.step, upto)
        if not forget_between(old, from, to) then
            return
        end
        from = to
    end
end

--- Counters of pieces of time that no window reaches any more; nothing where nobody counts.
local function forget_counters()
    local rows = store.query("counter.oldest")
    local oldest = rows and rows[1]
    for _, kept in ipairs(oldest and counters.KEPT or {}) do
        forget { name = "retention.counters." .. kept.name, keep = kept.keep,
            statements = { "counter.forget" }, span = kept.span, step = COUNTERS_ID, first = oldest.id }
    end
end

local function retain()
    local keep = registry.config.notifications.retention
    forget { name = "retention.raw", keep = keep, statements = { "notification.forget", "call.forget" },
        step = HOUR_ID }
    forget { name = "retention.idempotency", keep = registry.config.idempotency.retention,
        statements = { "idempotency.forget" }, step = HOUR_ID }
    forget_counters()
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
