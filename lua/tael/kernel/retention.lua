--- Rows that are no longer needed go: raw bytes of messages, idempotency keys, counters that no window
--- reaches. Each is found by its id, which rises with time; few rows go in one unit, and others come between
--- two, so that nobody waits for the writer. What is forgotten does not come back, so a jump of the clock is
--- not believed for a day.
local counters = require "tael.kernel.counters"
local due = require "tael.kernel.due"
local log = require "tael.log"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"
local store = require "tael.store"
local time = require "tael.time"

local retention = {}

local ROWS = 64       -- of a table in one unit: a millisecond of the writer
local UNITS = 16384   -- of one kind in one round
local PAUSE_MS = 4    -- between two
local JUMP_MS, WAIT_MS = 3600000, 86400000 -- of the clock; for somebody to put it right

local function position_of(name)
    local rows = store.query("setting.get", { name = name })
    if not rows then
        return nil
    end
    return rows[1] and (">i8"):unpack(rows[1].value) or math.mininteger
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
---@field steps string[] statements that say where so many rows end
---@field statements string[]
---@field span integer? of counters

--- Where a unit ends that begins here: no table has more than ROWS in it. nil: the store does not say.
local function end_of(old, from, upto)
    for _, step in ipairs(old.steps) do
        local rows = store.query(step, { from_id = from, to_id = upto, n = ROWS })
        if not rows then
            return nil
        end
        upto = rows[1] and rows[1].id or upto
    end
    return upto
end

--- Forgets what is older, from where the last round ended.
local function forget(old, now)
    local from = position_of(old.name)
    local upto = due.before(now - old.keep) -- of a hundred years, too
    if not from then
        return
    end
    for _ = 1, UNITS do
        if from >= upto then
            return
        end
        local to = end_of(old, from, upto)
        if not to or not forget_between(old, from, to) then
            return
        end
        from = to
        time.sleep(PAUSE_MS)
    end
end

--- Counters of pieces of time that no window reaches any more; nothing where nobody counts.
local function forget_counters(now)
    local rows = store.query "counter.oldest"
    for _, kept in ipairs(rows and rows[1] and counters.KEPT or {}) do
        forget({ name = "retention.counters." .. kept.name, keep = kept.keep, steps = { "counter.step" },
            statements = { "counter.forget" }, span = kept.span }, now)
    end
end

local offset     -- of the wall clock from the monotonic one
local jumps = {} ---@type { at: integer, by: integer }[] not believed yet; at: of the monotonic clock

--- The wall clock without the jumps ahead of the last day; what was asked for (time.advance) is none. That
--- of a machine that was stopped jumps as well: each has a day of its own, and rows go by the rest meanwhile.
local function believed_now()
    local now, moment = time.now(), time.monotonic()
    local found = now - moment - time.advanced()
    local by = found - (offset or found)
    offset = found
    if by > JUMP_MS then
        jumps[#jumps + 1] = { at = moment, by = by }
        log.warn("retention.clock_jumped", { by_ms = by, waits_ms = WAIT_MS })
    end
    while jumps[1] and moment - jumps[1].at >= WAIT_MS do
        table.remove(jumps, 1)
    end
    for _, jump in ipairs(jumps) do
        now = now - jump.by
    end
    return now
end

--- One round. Scope 0.
function retention.pass()
    local now = believed_now()
    forget({ name = "retention.raw", keep = registry.config.notifications.retention,
        steps = { "notification.step", "call.step" },
        statements = { "notification.forget", "call.forget" } }, now)
    forget({ name = "retention.idempotency", keep = registry.config.idempotency.retention,
        steps = { "idempotency.step" }, statements = { "idempotency.forget" } }, now)
    forget_counters(now)
end

return retention
