--- Payments that somebody wants closed, reversed, or asked about now. The wish is durable before the channel
--- hears of it, with a timer for each open order, so that it is carried out whoever goes away or crashes. The
--- caller waits for the channel for a while; what is still uncertain then settles by itself.
--- 1 Money that came first stays: the payment is paid then. 2 Repeating a wish is harmless. 3 An order that
--- no payer has opened cannot be closed at the channel: it is watched until its time is over.
local calls = require "tael.kernel.calls"
local change = require "tael.kernel.change"
local counters = require "tael.kernel.counters"
local due = require "tael.kernel.due"
local ending = require "tael.kernel.ending"
local events_wake = require "tael.kernel.events_wake"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local log = require "tael.log"
local payments = require "tael.kernel.payments"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"
local states = require "tael.kernel.states"
local task = require "tael.task"
local time = require "tael.time"
local units = require "tael.kernel.units"

local closing = {}

local PATIENCE_MS = 10000
local PAUSE_MS = 1000 -- between two questions about one order

local ALLOWED = json.array { "created", "pending" }

local function is_open(payment)
    return payment.state == "pending" or payment.state == "created"
end

-- ---- the channel is asked, in a task that no client can end ----

local function tend(attempt, payment, actor)
    if states.attempt_open[attempt.state] then
        ending.tend(attempt, payment, actor)
    else
        ending.confirm(attempt, payment, actor)
    end
end

--- What is still open is looked at by its timer, soon.
local function pass_on(id)
    local attempt, payment = settle.read(id)
    local at = attempt and due.of(attempt, payment, time.now())
    if at and due.ms(attempt.due or 0) > at then
        local timer = due.id(at)
        settle.commit {
            { "attempt.due", { attempt = id, due_was = attempt.due, due = timer } },
            units.timer(id, timer),
        }
    end
end

--- One after the other: each may have moved the payment. A wish that is new is carried out; one that comes
--- again adds no second question to the one just asked.
local function tend_all(list, actor, new)
    for _, row in ipairs(list) do
        local attempt, payment = settle.read(row.id)
        if attempt and (new or not calls.recent(attempt.id, "query", PAUSE_MS)) then
            tend(attempt, payment, actor)
            pass_on(row.id)
        end
    end
end

local started = 0

--- ⏸ For at most a few seconds of the caller's time.
local function work(list, actor, new)
    started = started + 1
    local key = ("closing.%d.%d"):format((task.worker()), started)
    local done = false
    task.spawn(function()
        local ran, message = pcall(tend_all, list, actor, new)
        if not ran then
            log.error("closing.failed", { message = tostring(message) })
        end
        done = true
        task.wake(key)
    end)
    local ends = time.monotonic() + PATIENCE_MS
    while not done and time.monotonic() < ends do
        task.wait(key, math.max(ends - time.monotonic(), 1))
    end
end

local function result(payment)
    local row, err = payments.row_of(payment.id)
    if not row then
        return nil, err
    end
    local view
    view, err = payments.view_of(row)
    if not view then
        return nil, err
    end
    return { payment = view, closing = is_open(row) and row.closing ~= nil }
end

-- ---- the wish ----

local function open_attempts(payment)
    local list, err = payments.attempts_of(payment)
    if not list then
        return nil, err
    end
    local open = {}
    for _, attempt in ipairs(list) do
        if states.attempt_open[attempt.state] then
            open[#open + 1] = attempt
        end
    end
    return open
end

--- The wish, and for each open order the timer that sees to it when this task does not.
local function wish_unit(payment, open, wish, actor)
    local now = time.now()
    local list = units.closing(payment, wish, actor, now)
    for i, attempt in ipairs(open) do
        local id = due.id(now + calls.patience(registry.account(attempt.account), "query") + i)
        list[#list + 1] = { "attempt.due", { attempt = attempt.id, due_was = attempt.due or 0, due = id } }
        list[#list + 1] = units.timer(attempt.id, id)
    end
    return list
end

--- No order is open: nothing can be paid any more.
local function close_unit(payment, actor)
    local reason = payment.closing == "expired" and "expired" or "merchant"
    return units.append(units.closed(payment, reason, actor, time.now()),
        counters.moved(payment, { to = "closed" }))
end

--- What has to be written for the wish; nil when it is known already.
local function unit_of(payment, open, wish, actor)
    if #open == 0 then
        return close_unit(payment, actor)
    elseif states.closing[payment.closing or "none"][wish] then
        return wish_unit(payment, open, wish, actor)
    end
end

local function announce(payment, actor, wish, open)
    local closed = #open == 0
    log.info(closed and "payment.closed" or "payment.closing", { payment = ids.encode("pay", payment.id),
        closing = not closed and wish or nil, actor = actor, version = payment.version + 1 })
    task.wake("payment:" .. payment.id)
    events_wake.announce(payment.merchant)
    if closed then
        payments.entered(payment, "closed")
    end
end

--- Writes the wish.
---@return table[]? open
---@return boolean|table new the wish was not known; or err of the store
local function write(payment, wish, actor)
    local open, err = open_attempts(payment)
    if not open then
        return nil, err
    end
    local list = unit_of(payment, open, wish, actor)
    if not list then
        return open, false
    end
    local done
    done, err = settle.commit(list)
    if not done then
        return nil, err
    end
    announce(payment, actor, wish, open)
    return open, true
end

local function conflict(payment)
    return nil, { code = "state_conflict", detail = "the payment is " .. payment.state,
        members = { state = payment.state, allowed = ALLOWED } }
end

local function carry_out(id_text, wish, actor)
    return change.payment(id_text, function(payment)
        if payment.state == "paid" or payment.state == "closed" then
            return result(payment)
        elseif not is_open(payment) then
            return conflict(payment)
        end
        local open, new = write(payment, wish, actor)
        if not open then
            return nil, new
        end
        work(open, actor, new)
        return result(payment)
    end)
end

---@alias tael.kernel.Closed { payment: table, closing: boolean }

--- Closes a payment: its orders are closed at their channels, and it is closed once they say so. Money that
--- came first makes it paid.
---@param id_text string "pay_…"
---@param actor string
---@return tael.kernel.Closed? closing: still uncertain, settles by itself
---@return table? err {code, detail, members?}: not_found, state_conflict …
function closing.close(id_text, actor)
    return carry_out(id_text, "merchant", actor)
end

--- Reverses a payment of which nobody knows what became: what was taken goes back.
---@param id_text string "pay_…"
---@param actor string
---@return tael.kernel.Closed?
---@return table? err
function closing.cancel(id_text, actor)
    return carry_out(id_text, "cancel", actor)
end

--- Asks the channel now: about the open orders, or, when none is, about the newest.
---@param id_text string "pay_…"
---@param actor string
---@return tael.kernel.Closed?
---@return table? err
function closing.sync(id_text, actor)
    local payment, err = payments.row_of(ids.decode("pay", id_text) or 0)
    if not payment then
        return nil, err
    end
    local list
    list, err = payments.attempts_of(payment)
    if not list then
        return nil, err
    end
    local asked = {}
    for i, attempt in ipairs(list) do
        if i == 1 or states.attempt_open[attempt.state] then
            asked[#asked + 1] = attempt
        end
    end
    work(asked, actor)
    return result(payment)
end

return closing
