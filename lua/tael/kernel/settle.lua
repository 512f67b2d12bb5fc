--- Carries out what a verified statement does: read, decide, commit, and read again when somebody was
--- faster. Notifications, queries and timers all end here.
--- Nothing is answered before the unit is durable; whoever waits for the payment is woken after it.
local alarms = require "tael.kernel.alarms"
local counters = require "tael.kernel.counters"
local decide = require "tael.kernel.decide"
local due = require "tael.kernel.due"
local events_wake = require "tael.kernel.events_wake"
local ids = require "tael.kernel.ids"
local log = require "tael.log"
local metrics = require "tael.kernel.metrics"
local policies = require "tael.kernel.policies"
local registry = require "tael.kernel.registry"
local states = require "tael.kernel.states"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local units = require "tael.kernel.units"

local settle = {}

local ROUNDS = 64 -- a lost round is somebody else's unit of the same payment: parallel refunds make many
local STAMPS = 8

--- A person should know.
settle.alarm = alarms.raise

---@param attempt integer
---@return table? attempt row
---@return table|string|nil payment row, or err
function settle.read(attempt)
    local rows, err = store.query("attempt.with_payment", { attempt = attempt })
    local row = rows and rows[1]
    if not row then
        return nil, err or { code = "not_found" }
    end
    local payment = row.of
    row.of = nil
    return row, payment
end

--- The other attempts of the same payment through which money may still come.
---@return table[]? rows nil: they cannot be read, and nothing may be decided
---@return table? err of the store
local function others_of(attempt, newest)
    local open, at = {}, newest
    while at do
        local row = attempt
        if at ~= attempt.id then
            local rows, err = store.query("attempt.get", { attempt = at })
            row = rows and rows[1]
            if not row then
                return nil, err or { code = "damaged" }
            elseif states.attempt_open[row.state] then
                open[#open + 1] = row
            end
        end
        at = row.prev
    end
    return open
end

--- Classes of a cancel that has not ended for good: it may still be carried out, or is wanted again.
local not_ended = { unknown = true, pending = true }

--- A cancel that is not sent again any more: an answer counts that was asked for when it was over.
local function asked_before_its_end(input, attempt, cancel)
    local calls = require "tael.kernel.calls"
    local patience = calls.patience(registry.account(attempt.account), "cancel")
    return input.proof.kind ~= "cal" or store.id_ms(input.proof.id) < store.id_ms(cancel.id) + patience
end

--- May our own cancel of this order still give its money back, or may it have done so after this was asked?
--- Also where nobody wants that any more: another order has paid the payment meanwhile.
local function is_reversing(input, payment, attempt)
    local reversed, wanted = states.went_back(attempt), payment.closing == "cancel"
    if input.fact.state ~= "succeeded" and not input.fact.given_back then
        return nil
    elseif reversed then
        return input.proof.id < payment.last_event -- by what came first: the clock may have gone back since
    elseif not wanted and (payment.state == "pending" or not states.attempt_open[attempt.state]) then
        return nil
    end
    local rows = store.query("call.last", { object = attempt.id, op = "cancel" })
    local last = rows and rows[1]
    local open = not rows or last ~= nil and (last.class == nil or not_ended[last.class] == true)
    if open and last and not wanted and input.fact.state == "succeeded" then
        return asked_before_its_end(input, attempt, last)
    end
    return open
end

local function case_of(input, payment, attempt, now)
    local others, err = others_of(attempt, payment.attempt)
    if not others then
        return nil, err
    end
    return {
        payment = payment, attempt = attempt, fact = input.fact, by = input.proof.kind, now = now,
        asked = input.proof.kind == "cal" and store.id_ms(input.proof.id) or nil,
        grace = registry.config.payments.grace,
        waits_unopened = registry.product(attempt).not_found == "waiting",
        others = others, others_open = #others > 0, reversing = is_reversing(input, payment, attempt),
        policy = payment.state ~= "pending" and input.fact.state == "succeeded"
            and attempt.state ~= "succeeded" -- what is in time, or said once more, needs none
            and policies.of(payment, attempt, now) or nil,
    }
end

--- The next look at the attempt after this move, in place of the one that is planned. nil: that one holds.
local function next_look(decision, payment, attempt, now)
    local to = decision.attempt and decision.attempt.to
    if not to or to == "succeeded" then
        return nil
    elseif not states.attempt_open[to] then
        return 0
    elseif to == "unknown" or attempt.state == "sent" then
        local after = setmetatable({ state = to, updated_at = now }, { __index = attempt })
        return due.id(due.of(after, payment, now))
    end
end

--- The attempt is looked at at once, whatever becomes of this task. Timers of one unit have times of their
--- own, so that each stays with its attempt when one needs another stamp.
local function look_now(attempt, at)
    local id = due.id(at)
    return {
        { "attempt.due", { attempt = attempt.id, due_was = attempt.due or 0, due = id } },
        units.timer(attempt.id, id),
    }
end

--- What was paid too late, or twice, goes back in the unit that learns of it.
local function refund_statements(input, decision, payment, attempt, now, hash)
    local change = decision.payment
    local after = setmetatable({
        state = change.to or payment.state, version = payment.version + 1, last_hash = hash,
        captured_amount = change.captured_amount or payment.captured_amount,
    }, { __index = payment })
    return (require("tael.kernel.refund_units").automatic {
        payment = after, attempt = attempt, amount = decision.refund.amount,
        reason = decision.refund.reason, now = now, actor = input.actor,
    })
end

local append = units.append

--- No cancel has left since the attempt was read (attempt.reverse).
local function held(attempt)
    return { "attempt.due", { attempt = attempt.id, due_was = attempt.due or 0, due = attempt.due } }
end

local function statements_of(input, case, decision)
    local payment, attempt, now = case.payment, case.attempt, case.now
    local list, hash = units.transition {
        decision = decision, payment = payment, attempt = attempt, fact = input.fact, proof = input.proof,
        actor = input.actor, now = now, due = next_look(decision, payment, attempt, now),
    }
    if payment.closing == "cancel" and decision.attempt and decision.attempt.to == "succeeded" then
        table.insert(list, 2, held(attempt))
    end
    if decision.refund then
        append(list, refund_statements(input, decision, payment, attempt, now, hash))
    elseif decision.confirm then
        append(list, look_now(attempt, now))
    end
    if decision.payment and decision.payment.to == "paid" then
        for i, other in ipairs(case.others) do -- nobody shall pay it again
            append(list, look_now(other, now + i))
        end
    end
    if payment.counted and decision.event then
        append(list, counters.moved(payment, { to = decision.payment.to,
            attempt_to = decision.attempt and decision.attempt.to }))
    end
    append(list, input.extra(decision, payment, attempt, now))
    return list
end

--- The timer that the unit sets, and the object that names it as the one that counts.
local function restamp(list)
    for _, statement in ipairs(list) do
        if statement[1] == "timer.insert" then
            local was = statement[2].due_id
            local id = due.id(due.ms(was))
            for _, other in ipairs(list) do
                local params = other[2]
                if params and params.due == was then
                    params.due = id
                end
            end
            statement[2].due_id = id
        end
    end
end

--- Commits; a timer whose stamp was taken gets another one, and so does whatever names it as `due`.
---@param list table[]
---@return table? result
---@return table? err
function settle.commit(list)
    for _ = 1, STAMPS do
        local result, err = store.commit(list)
        if result or err.code ~= "guard" or err.otherwise ~= "stamp" then
            return result, err
        end
        restamp(list)
    end
    return nil, { code = "busy" }
end

local count = metrics.by_two("tael_payments_total", "channel", "state")

local function announce(input, decision, payment, attempt)
    if decision.alarm then
        settle.alarm(decision.alarm, {
            payment = ids.encode("pay", payment.id), attempt = ids.encode("att", attempt.id),
            detail = decision.detail, actor = input.actor,
        })
    end
    if not decision.event then
        return
    end
    if decision.payment.to then
        count(registry.account(attempt.account).channel, decision.payment.to)
    end
    if decision.refund then
        metrics.count("tael_refunds_total", { channel = registry.account(attempt.account).channel,
            state = "created" })
    end
    log.info(decision.event, {
        payment = ids.encode("pay", payment.id), attempt = ids.encode("att", attempt.id),
        version = payment.version + 1, effect = decision.effect, actor = input.actor,
    })
    task.wake("payment:" .. payment.id)
    events_wake.announce(payment.merchant)
end

local names_trade = { ["attempt.succeed"] = true, ["attempt.move"] = true, ["attempt.accept"] = true }

--- Is the channel's trade number another order's of the same account?
---@param err table of settle.commit
---@return boolean
function settle.trade_taken(err)
    return err.code == "constraint" and names_trade[err.statement] == true
end

---@class tael.kernel.Settling
---@field attempt integer
---@field row table? of the attempt, when it has just been read with its payment
---@field payment table? row
---@field fact table admitted by evidence.lua
---@field proof tael.kernel.Proof
---@field actor string
---@field extra fun(decision, payment, attempt, now): table[] statements that belong to the same unit

--- A trade number that belongs to another order proves nothing for this one: only the record is kept.
local function refuse_trade(input, payment, attempt, now)
    local decision = { effect = "none", check = "order", alarm = "trade_number_taken",
        detail = "the trade number belongs to another order" }
    local done, err = settle.commit(input.extra(decision, payment, attempt, now))
    if not done then
        return nil, err
    end
    announce(input, decision, payment, attempt)
    return decision, payment
end

---@param input tael.kernel.Settling
---@return tael.kernel.Decision? decision as committed
---@return table payment row before it, or err
function settle.apply(input)
    for round = 1, ROUNDS do
        local attempt, payment = input.row, input.payment
        if round > 1 or not attempt or not payment then
            attempt, payment = settle.read(input.attempt)
        end
        if not attempt then
            return nil, payment
        end
        local now = time.now()
        local case, unread = case_of(input, payment, attempt, now)
        if not case then
            return nil, unread
        end
        local decision = decide(case)
        local list = statements_of(input, case, decision)
        if #list == 0 then
            announce(input, decision, payment, attempt)
            return decision, payment
        end
        local done, err = settle.commit(list)
        if done then
            announce(input, decision, payment, attempt)
            return decision, payment
        elseif settle.trade_taken(err) then
            return refuse_trade(input, payment, attempt, now)
        elseif err.code ~= "guard" or err.otherwise ~= "reread" then
            return nil, err
        end
    end
    settle.alarm("cannot_settle", { attempt = ids.encode("att", input.attempt), actor = input.actor })
    return nil, { code = "busy" }
end

return settle
