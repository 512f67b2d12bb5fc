--- Rows that are no longer needed go: raw bytes of messages, idempotency keys, counters that no window
--- reaches. Each is found by its id, which rises with time; at most an hour of ids in one unit, so that the
--- writer is never held long. What is forgotten does not come back, so a clock that has just jumped is not
--- believed.
local counters = require "tael.kernel.counters"
local due = require "tael.kernel.due"
local log = require "tael.log"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"
local store = require "tael.store"
local time = require "tael.time"

local retention = {}

local HOUR_ID = 3600000 << 22 -- ids that an hour spans
local STEPS = 48 -- in one round
local JUMP_MS, WAIT_MS = 3600000, 86400000 -- of the clock; for somebody to put it right
local MINUTE_ID = 60000 << 22 -- of counters, of which a payment may have many

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
---@field oldest string? statement that gives it, where it is not

--- Where a store begins that was never cleaned: it may have kept all for long. nil: it cannot be read.
local function beginning(old, upto)
    if old.first then
        return old.first
    end
    local rows = store.query(old.oldest)
    return rows and math.min(rows[1].id or upto, upto - old.step)
end

--- Forgets what is older, from where the last round ended.
local function forget(old)
    local from = position_of(old.name)
    local upto = due.before(time.now() - old.keep) -- of a hundred years, too
    if from == 0 and upto > 0 then
        from = beginning(old, upto)
    end
    if not from or upto <= 0 then
        return
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
            statements = { "counter.forget" }, span = kept.span, step = MINUTE_ID, first = oldest.id }
    end
end

local offset, jumped_at -- of the wall clock from the monotonic one; ms of the latter

--- Has the wall clock, but for what was asked for, kept its pace for a while?
local function is_steady()
    local now = time.monotonic()
    local found = time.now() - now - time.advanced()
    if offset and math.abs(found - offset) > JUMP_MS then
        jumped_at = now
        log.warn("retention.clock_jumped", { by_ms = found - offset, waits_ms = WAIT_MS })
    end
    offset = found
    return not jumped_at or now - jumped_at >= WAIT_MS
end

--- One round. Scope 0.
function retention.pass()
    if not is_steady() then
        return
    end
    local keep = registry.config.notifications.retention
    forget { name = "retention.raw", keep = keep, statements = { "notification.forget", "call.forget" },
        step = HOUR_ID, oldest = "notification.oldest" }
    forget { name = "retention.idempotency", keep = registry.config.idempotency.retention,
        statements = { "idempotency.forget" }, step = HOUR_ID, oldest = "idempotency.oldest" }
    forget_counters()
end

return retention
