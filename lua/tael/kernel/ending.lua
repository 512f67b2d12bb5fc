--- What an attempt needs next at its channel: to be asked about, to be sent again, to be ended there. Timers,
--- closes and syncs all come through here; every step leaves rows from which the next one follows, so a crash
--- anywhere is gone on with by the attempt's timer.
--- 1 An order is ended upstream before it is ended here, and only what the channel says afterwards ends it
--- here. 2 A cancel may have given money back: only its own signed answer says so, and until one does the
--- call's row is "unknown" or "pending". 3 Nobody has to be first: the channel's calls are repeatable, and
--- the SQL guards decide what counts.
local calls = require "tael.kernel.calls"
local due = require "tael.kernel.due"
local evidence = require "tael.kernel.evidence"
local ids = require "tael.kernel.ids"
local log = require "tael.log"
local orders = require "tael.kernel.orders"
local query = require "tael.kernel.query"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"
local states = require "tael.kernel.states"
local time = require "tael.time"
local units = require "tael.kernel.units"

local ending = {}

local CANCELS, PAUSE_MS = 3, 1000 -- while the channel wants the same cancel again

---@class tael.kernel.Ending
---@field attempt table row
---@field payment table row
---@field actor string
---@field fact table? what the last query proved

local function capability(attempt, op)
    local account = registry.account(attempt.account)
    local package = account and registry.package(account)
    return package ~= nil and package.capabilities[op] == true
end

--- The rows as they are now; false when there is nothing left to do.
local function refresh(work)
    local attempt, payment = settle.read(work.attempt.id)
    if not attempt then
        return false
    end
    work.attempt, work.payment = attempt, payment
    return states.attempt_open[attempt.state] == true and due.wants_end(attempt, payment, time.now())
end

local function ask(work)
    local decision, fact = query.attempt(work.attempt, work.payment, work.actor)
    work.fact = decision and fact
end

local function send(work, op, with)
    local asked, err = calls.send { op = op, object = work.attempt.id, payment = work.payment,
        attempt = work.attempt, actor = work.actor, with = with }
    if not asked and err.code ~= "guard" then -- a guard: somebody was faster, the timer looks again
        log.error("ending.failed", { attempt = ids.encode("att", work.attempt.id), op = op, code = err.code,
            detail = err.detail })
    end
    return asked
end

-- ---- closed ----

--- Its time is over: from now on the payment is being closed, whatever comes first.
local function expiry(work)
    local payment, now = work.payment, time.now()
    if payment.state == "pending" and not payment.closing and now >= work.attempt.expires_at then
        return units.closing(payment, "expired", work.actor, now)
    end
end

--- An order that waits for the payer is closed at the channel, then asked about.
local function close(work)
    local waits = work.fact and (work.fact.state == "waiting_payer" or work.fact.state == "processing")
    if not waits or not capability(work.attempt, "close") then
        return
    end
    local asked = send(work, "close", expiry(work))
    if not asked then
        return
    end
    calls.close(asked)
    if asked.outcome.class ~= "not_sent" then
        ask(work)
    end
end

-- ---- cancelled ----

--- What a cancel's answer proves: that the order is no more, and whether money went back.
local function cancelled_fact(asked, attempt)
    local result, package = asked.outcome.result, registry.package(asked.account)
    if asked.outcome.class ~= "ok" or result.state ~= "cancelled" then
        return nil
    end
    local fact = { kind = "payment", state = "cancelled", channel_state = result.channel_state,
        order_no = result.order_no, trade_no = result.trade_no, reversed = result.reversed,
        code = result.channel_state or result.channel_code or result.code }
    local good, refusal
    if fact.order_no == ids.order_number(attempt.id) then
        good, refusal = evidence.admit { proof = asked.outcome.evidence, message = asked.outcome.message,
            account = asked.account, fact = fact, stated = (package.stated or {}).cancel,
            amounts = package.amounts }
    else
        refusal = { check = "order", detail = "the answer is about another order" }
    end
    if good then
        return fact
    end
    asked.outcome.class = "unknown"
    settle.alarm("answer_refused", { call = ids.encode("cal", asked.call), check = refusal.check,
        attempt = ids.encode("att", attempt.id), detail = refusal.detail })
end

--- Before a byte leaves: the order is still open, and whoever settles it from now on sees the call's row.
local function lease(work)
    local attempt, now = work.attempt, time.now()
    local patience = calls.patience(registry.account(attempt.account), "cancel")
    local id = due.id(math.max(now + patience, due.of(attempt, work.payment, now) or 0))
    return {
        { "attempt.reverse", { attempt = attempt.id, attempt_state_was = attempt.state,
            due_was = attempt.due or 0, due = id } },
        units.timer(attempt.id, id),
    }
end

--- One cancel; true when the same one is wanted again.
local function cancel_once(work)
    local asked = send(work, "cancel", lease(work))
    if not asked then
        return false
    end
    local outcome = asked.outcome
    local fact = cancelled_fact(asked, work.attempt)
    if not fact then
        local again = outcome.class == "ok" and outcome.result.again == true
        outcome.class = again and "pending" or outcome.class
        calls.close(asked)
        return again
    end
    settle.apply {
        attempt = work.attempt.id, fact = fact, actor = work.actor, proof = calls.proof(asked),
        extra = function() return { calls.finish(asked) } end,
    }
    return false
end

--- Reversed, whether it was paid or not; then asked about. An order that the channel no longer reverses is
--- closed when it still waits.
local function cancel(work)
    for round = 1, CANCELS do
        local again = cancel_once(work)
        if not refresh(work) or not again then
            break
        end
        time.sleep(PAUSE_MS * round)
    end
    ask(work)
    if refresh(work) then
        close(work)
    end
end

--- A cancel is also for orders of which nobody knows what became; not for those that nobody has opened.
local function may_cancel(work)
    return work.payment.closing == "cancel" and capability(work.attempt, "cancel")
        and states.may(work.attempt.state, "cancelled")
        and not (work.fact and work.fact.state == "not_found")
end

-- ---- the next step ----

--- Looks at an open attempt, and does what it needs.
---@param attempt table row
---@param payment table row
---@param actor string
function ending.tend(attempt, payment, actor)
    if calls.under_way(attempt) or not registry.prepared(registry.account(attempt.account)) then
        return
    end
    local work = { attempt = attempt, payment = payment, actor = actor }
    if orders.unfinished(attempt) then
        work.fact = orders.drive(attempt, payment, actor)
    else
        ask(work)
    end
    if not refresh(work) then
        return
    elseif may_cancel(work) then
        cancel(work)
    else
        close(work)
    end
end

--- Asks about an attempt that has ended: what a message said of it may be out of date.
---@param attempt table row
---@param payment table row
---@param actor string
---@return boolean answered the channel has said how it stands
function ending.confirm(attempt, payment, actor)
    local decision, fact = query.attempt(attempt, payment, actor)
    return decision ~= nil and fact ~= nil
end

return ending
