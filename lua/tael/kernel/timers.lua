--- Due work: an object is looked at when its timer fires. Timers are never cancelled; of all that an object
--- had, one counts, the one that its row names (`due`), and every other is only dropped. The fired timer
--- goes and the next one comes in one unit, so a crash in between only asks the channel once more.
--- 1 A channel that is slow holds up its own accounts, not others. 2 A fire that raises comes again after
--- ever longer pauses, and holds up nothing.
local at_once = require "tael.at_once"
local calls = require "tael.kernel.calls"
local due = require "tael.kernel.due"
local ending = require "tael.kernel.ending"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local log = require "tael.log"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"
local states = require "tael.kernel.states"
local store = require "tael.store"
local store_fault = require "tael.kernel.store_fault"
local task = require "tael.task"
local time = require "tael.time"

local timers = {}

local PAGE, PAGES = 256, 4               -- rows of one look at the table, looks of one pass
local AT_ONCE, PER_ACCOUNT = 64, 16      -- fires that run at the same time
local PAUSE_MS, PAUSE_MAX_MS = 1000, 600000 -- after a fire that raised
local TIMES_MAX = 8 -- raised one after the other: a person should know
local HELD_MAX = 1000
local RECENT_MS = 1000 -- between two calls about one order

---@class tael.kernel.Fired row of timer.due
---@field id integer
---@field merchant integer
---@field kind "attempt"|"refund"
---@field object integer
---@field state string?   of the attempt
---@field due integer?    the timer that counts
---@field account integer?

-- ---- attempts ----

local function drop(fired)
    return settle.commit { { "timer.drop", { fired_id = fired.id } } }
end

local function must(done, err)
    if not done then
        store_fault.raise(err)
    end
end

local function alarm(attempt)
    settle.alarm("unknown_too_long", { attempt = ids.encode("att", attempt.id),
        payment = ids.encode("pay", attempt.payment), state = attempt.state })
end

local function is_late(attempt, payment)
    local payments = registry.config.payments
    return due.too_long { attempt = attempt, payment = payment, now = time.now(), grace = payments.grace,
        alarm_after = payments.alarm_unknown }
end

--- An order that has ended is only here because something said of it has to be confirmed, money that came
--- perhaps.
---@return integer? ms when to come again
local function confirm(attempt, payment, now)
    if calls.recent(attempt.id, "query", RECENT_MS) then
        return now + RECENT_MS
    elseif registry.prepared(registry.account(attempt.account))
        and ending.confirm(attempt, payment, "timer") then
        return nil
    elseif now - attempt.updated_at > registry.config.payments.alarm_unknown then
        alarm(attempt)
    end
    return due.again(attempt.updated_at, now)
end

--- The fired timer goes; the next one comes, unless something else has set one meanwhile.
local function reschedule(fired, attempt, next_ms)
    if not next_ms or (attempt.due or fired.id) ~= fired.id then
        return must(drop(fired))
    end
    local id = due.id(next_ms)
    local done, err = settle.commit {
        { "attempt.due", { attempt = attempt.id, due_was = attempt.due or 0, due = id } },
        { "timer.drop", { fired_id = fired.id } },
        { "timer.insert", { due_id = id, kind = "attempt", object = attempt.id } },
    }
    if not done and err.code == "guard" then
        done, err = drop(fired)
    end
    must(done, err)
end

--- Does what the attempt needs.
---@return integer? ms when to come again, where that does not follow from the rows
local function tend(attempt, payment)
    local now = time.now()
    if not states.attempt_open[attempt.state] then
        return confirm(attempt, payment, now)
    end
    if not calls.recent(attempt.id, nil, RECENT_MS) then
        ending.tend(attempt, payment, "timer")
    end
end

--- Looks at an attempt, in a task of its merchant.
local function fire_attempt(fired)
    local attempt, payment = settle.read(fired.object)
    if not attempt then
        must(payment.code == "not_found", payment)
        return must(drop(fired))
    elseif not states.counts(attempt, fired.id) then
        return must(drop(fired))
    end
    local late = is_late(attempt, payment)
    local next_ms = tend(attempt, payment)
    attempt, payment = settle.read(fired.object)
    must(attempt, payment)
    if late and states.attempt_open[attempt.state] then -- after a long stop, looking may have settled it
        alarm(attempt)
    end
    reschedule(fired, attempt, next_ms or due.of(attempt, payment, time.now()))
end

local kinds = {
    attempt = { fire = fire_attempt, due = "attempt.due", prefix = "att" },
    refund = { fire = function(fired) require("tael.kernel.refunds").fire(fired) end, due = "refund.due",
        prefix = "ref" },
}

-- ---- one fire ----

local running = at_once.new(AT_ONCE, PER_ACCOUNT)
local failures, held, held_count = {}, {}, 0
local fired_total = 0

local function hold(id, ms)
    if held_count >= HELD_MAX then
        held, held_count = {}, 0 -- none of them is lost: they fire again, and may raise again
    end
    if not held[id] then
        held_count = held_count + 1
    end
    held[id] = time.monotonic() + ms
end

local function is_held(id)
    local until_ms = held[id]
    if until_ms and time.monotonic() >= until_ms then
        held[id], held_count = nil, held_count - 1
        return false
    end
    return until_ms ~= nil
end

local function report(err)
    if not store_fault.is_told(err) then
        log.error("timer.failed", { code = err and err.code })
    end
end

--- Later again, and each time later. Whatever the fire has set in place of this timer holds.
local function postpone(fired, message)
    local key = fired.kind .. fired.object
    local times = failures[key] or 0
    failures[key] = times + 1
    local pause = math.min(PAUSE_MS << math.min(times, 20), PAUSE_MAX_MS)
    log.error("timer.failed", { kind = fired.kind, object = fired.object, times = times + 1,
        message = message })
    if times + 1 >= TIMES_MAX then
        settle.alarm("timer_failed", { [fired.kind] = ids.encode(kinds[fired.kind].prefix, fired.object),
            detail = message })
    end
    local id = due.id(time.now() + pause)
    local done, err = settle.commit {
        { kinds[fired.kind].due, { [fired.kind] = fired.object, due_was = fired.due or 0, due = id } },
        { "timer.drop", { fired_id = fired.id } },
        { "timer.insert", { due_id = id, kind = fired.kind, object = fired.object } },
    }
    if not done and err.code == "guard" then
        done = drop(fired)
    end
    if not done then
        hold(fired.id, pause)
    end
end

local function run(fired)
    local ran, raised = pcall(kinds[fired.kind].fire, fired)
    if ran then
        failures[fired.kind .. fired.object] = nil
    elseif store_fault.is_told(raised) then
        hold(fired.id, PAUSE_MS) -- no other time can be stored
    elseif not pcall(postpone, fired, tostring(raised)) then
        hold(fired.id, PAUSE_MAX_MS)
    end
end

local function start(fired)
    running:start(fired.id, fired.account or 0, function()
        task.set_scope(fired.merchant)
        run(fired)
        task.wake("timers.done")
    end)
    fired_total = fired_total + 1
end

-- ---- what is due ----

--- "drop", "start", "wait" (for a place), "skip"
local function verdict(fired)
    if running:has(fired.id) or is_held(fired.id) then
        return "skip"
    elseif not kinds[fired.kind] then
        log.error("timer.failed", { kind = fired.kind, message = "no such kind" })
        hold(fired.id, PAUSE_MAX_MS)
        return "skip"
    elseif fired.kind == "attempt" and not states.counts(fired, fired.id)
        or fired.due and fired.due ~= fired.id then
        return "drop"
    elseif not running:has_room(fired.account or 0) then
        return "wait"
    end
    return "start"
end

local function drop_all(list)
    local units = {}
    for i, fired in ipairs(list) do
        units[i] = { "timer.drop", { merchant = fired.merchant, fired_id = fired.id } }
    end
    local done, err = settle.commit(units)
    if not done then
        report(err)
    end
end

local FIRST = math.mininteger -- ids are below zero before 2020: a clock that is not yet put right
local position = FIRST -- in the table: where the next look begins

--- One page; false when something has to wait for a place.
local function take(rows)
    local pointless, free = {}, true
    for _, fired in ipairs(rows) do
        local what = verdict(fired)
        if what == "start" then
            start(fired)
        elseif what == "drop" then
            pointless[#pointless + 1] = fired
        elseif what == "wait" then
            free = false
            if running:is_full() then
                position = fired.id - 1
                break
            end
        end
    end
    if #pointless > 0 then
        drop_all(pointless)
    end
    return free
end

--- Starts what is due, from where the last pass ended: what waits for a place at a slow channel is passed
--- over, and comes again. Worker 1, scope 0.
---@return boolean more there may be more that is due
function timers.pass()
    running:sweep()
    local before, waiting = due.before(time.now()), false
    for _ = 1, PAGES do
        local rows, err = store.query("timer.due", { after = position, due_id = before, n = PAGE })
        if not rows then
            report(err)
            return false
        end
        position = #rows < PAGE and FIRST or rows[PAGE].id
        waiting = not take(rows) or waiting
        if position == FIRST or running:is_full() then
            return waiting
        end
    end
    return true
end

-- ---- all at once ----

local function drain_here(ms)
    local ends, before = time.monotonic() + ms, fired_total
    repeat
        position = FIRST
        local was = fired_total
        local more = timers.pass()
        if not more and running.count == 0 and fired_total == was then
            break
        end
        task.wait("timers.done", 100)
    until time.monotonic() >= ends
    return fired_total - before
end

local DRAIN, IDLE_MS, PATIENCE_MS, AGAIN_MS = "timers.drain", 3600000, 250, 1
local asked = 0

--- Answers other workers that want what is due done now. Worker 1, once.
function timers.serve()
    task.keep("timers.drain", AGAIN_MS, function()
        while true do
            local text = task.wait(DRAIN, IDLE_MS)
            local question = text and json.decode(text)
            if question then
                task.spawn(function()
                    task.set_scope(0)
                    task.wake(question.reply, tostring(drain_here(question.ms)))
                end)
            end
        end
    end)
end

--- ⏸ Does what is due, until nothing is or the time is over: for a clock that was put forward.
---@param ms integer
---@return integer fired how many timers
function timers.drain(ms)
    local me = task.worker()
    asked = asked + 1
    local reply = ("timers.drained.%d.%d"):format(me, asked)
    local ends = time.monotonic() + ms
    repeat
        local left = math.max(ends - time.monotonic(), 1)
        task.wake(DRAIN, json.encode { reply = reply, ms = left })
        local answer = task.wait(reply, left + PATIENCE_MS)
        if answer then
            return math.tointeger(tonumber(answer))
        end
    until time.monotonic() >= ends
    return 0
end

return timers
