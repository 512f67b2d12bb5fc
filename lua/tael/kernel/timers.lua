--- Due work: an open attempt is looked at when its timer fires. Timers are never cancelled; when one fires,
--- the attempt says whether it still matters. The fired timer goes and the next one comes in one unit, so a
--- crash in between only asks the channel once more.
local due = require "tael.kernel.due"
local ids = require "tael.kernel.ids"
local log = require "tael.log"
local query = require "tael.kernel.query"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"
local states = require "tael.kernel.states"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"

local timers = {}

local PAGE = 64
local AT_ONCE = 8 -- channel calls that run at the same time

local function product_of(attempt)
    local account = registry.account(attempt.account)
    local package = account and registry.package(account.channel)
    return package and package.products[attempt.product] or {}
end

local function alarm_when_late(attempt, now)
    local payments = registry.config.payments
    if due.too_long { attempt = attempt, now = now, grace = payments.grace,
        alarm_after = payments.alarm_unknown } then
        settle.alarm("unknown_too_long", { attempt = ids.encode("att", attempt.id), state = attempt.state })
    end
end

--- The fired timer goes; the next one comes while the attempt is open.
local function reschedule(fired, attempt)
    local now = time.now()
    local list = { { "timer.drop", { fired_id = fired.id } } }
    local next_ms = attempt and due.next {
        attempt = attempt, created = store.id_ms(attempt.id), now = now,
        grace = registry.config.payments.grace,
        poll = registry.config.payments.poll, query_after = product_of(attempt).query_after_ms,
    }
    if next_ms then
        alarm_when_late(attempt, now)
        list[2] = { "timer.insert", { due_id = due.id(next_ms), kind = "attempt", object = attempt.id } }
    end
    local done, err = settle.commit(list)
    if not done then
        log.error("timer.failed", { code = err.code })
    end
end

--- One fired timer, in a task of its merchant.
local function fire(fired)
    local attempt, payment = settle.read(fired.object)
    if not attempt then
        if payment.code == "not_found" then
            reschedule(fired, nil)
        end
        return
    end
    if states.attempt_open[attempt.state] and registry.prepared(registry.account(attempt.account))
        and not query.is_recent(attempt.id) then
        query.attempt(attempt, payment, "timer")
        attempt = settle.read(fired.object) or attempt
    end
    reschedule(fired, attempt)
end

local running, count = {}, 0

local function start(fired)
    running[fired.id], count = true, count + 1
    task.spawn(function()
        task.set_scope(fired.merchant)
        local ran, message = pcall(fire, fired)
        running[fired.id], count = nil, count - 1
        if not ran then
            log.error("timer.failed", { message = tostring(message) })
        end
        task.wake("timers.done")
    end)
end

--- Starts what is due, a few at a time. Worker 1, scope 0.
---@return boolean more there may be more that is due
function timers.pass()
    local rows, err = store.query("timer.due", { due_id = due.before(time.now()), n = PAGE })
    if not rows then
        log.error("timer.failed", { code = err and err.code })
        return false
    end
    for _, fired in ipairs(rows) do
        if count >= AT_ONCE then
            return true
        elseif not running[fired.id] then
            start(fired)
        end
    end
    return false
end

return timers
