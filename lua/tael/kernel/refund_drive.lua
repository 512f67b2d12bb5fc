--- A refund on its way: sent, asked about, settled. Its row's `due` is the timer that looks at it next and
--- the lease of whoever talks to the channel: it is exchanged in the unit of each call, before a byte leaves,
--- so that two never send at the same time, and a crash anywhere leaves a timer that goes on.
--- 1 The number is the same in every try. 2 Refunds of one payment go one at a time. 3 An answer that comes
--- after the lease was taken over is kept and moves nothing: the new holder asks the channel itself.
local calls = require "tael.kernel.calls"
local counters = require "tael.kernel.counters"
local due = require "tael.kernel.due"
local events_wake = require "tael.kernel.events_wake"
local ids = require "tael.kernel.ids"
local log = require "tael.log"
local metrics = require "tael.kernel.metrics"
local refund_answer = require "tael.kernel.refund_answer"
local refund_decide = require "tael.kernel.refund_decide"
local refund_units = require "tael.kernel.refund_units"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"
local states = require "tael.kernel.states"
local store = require "tael.store"
local store_fault = require "tael.kernel.store_fault"
local task = require "tael.task"
local time = require "tael.time"
local units = require "tael.kernel.units"

local refund_drive = {}

local ROUNDS = 256 -- a lost round is somebody else's unit of the same payment
local CALLS = 4 -- in one turn: ask, send, ask
local TURNS = 1000 -- refunds of one payment, one after the other
local MARGIN_MS = 10000

---@class tael.kernel.RefundTurn
---@field id integer
---@field actor string
---@field fired table? row of the timer that began it
---@field holds integer `due` as this turn knows it, 0 for none: whoever changes it has the refund. Of the
---  fired timer, or read before it was sure that nobody talks to the channel; then the turn's own lease
---@field ask "query"|"send"|nil what the answer before wants
---@field declined table? of the answer before

local function must(rows, err)
    if not rows then
        store_fault.raise(err)
    end
    return rows[1]
end

--- Refund, payment and attempt, the payment first: what is read after it and belongs to it is as old as its
--- version says.
local function read(id)
    local refund = must(store.query("refund.get", { refund = id }))
    if not refund then
        return nil
    end
    local payment = must(store.query("payment.get", { payment = refund.payment }))
    local attempt = must(store.query("attempt.get", { attempt = refund.attempt }))
    refund = must(store.query("refund.get", { refund = id }))
    return refund, payment, attempt
end

local function is_reread(err)
    return err.code == "guard" and err.otherwise == "reread"
end

-- ---- when it is looked at next ----

local function capability(attempt)
    local account = registry.account(attempt.account)
    local package = account and registry.package(account)
    return package and package.capabilities.refund or {}
end

--- After an answer that left it open; nil when it has ended or waits for a person.
---@return integer? due_id
local function next_look(refund, attempt, to, now)
    if not states.refund_open[to] then
        return nil
    end
    local since = to == refund.state and refund.updated_at or now
    local at = due.again(since, now)
    if to == "pending" then
        at = math.max(at, now + (capability(attempt).query_after_ms or 0))
    end
    return due.id(at)
end

--- Long enough for a whole call, so that only a crash lets it run out.
local function lease_id(attempt, op, now)
    return due.id(now + calls.limit(registry.account(attempt.account), op) + MARGIN_MS)
end

--- Raises when the store does not take it: whoever fired the timer lets it come again later.
local function commit(list)
    local done, err = settle.commit(list)
    if not done and not is_reread(err) then
        store_fault.raise(err)
    end
    return done ~= nil
end

local function drop(fired)
    if fired then
        commit { { "timer.drop", { fired_id = fired.id } } }
    end
end

--- The fired timer goes and the next one comes; without a fired one the row's own still stands.
local function rest(turn)
    for _ = 1, turn.fired and ROUNDS or 0 do
        local refund, _, attempt = read(turn.id)
        if not refund or refund.due ~= turn.fired.id then
            return drop(turn.fired)
        end
        local list = refund_units.lease(refund, next_look(refund, attempt, refund.state, time.now()))
        list[#list + 1] = { "timer.drop", { fired_id = turn.fired.id } }
        if commit(list) then
            return
        end
    end
end

-- ---- sending ----

--- The requests of a refund that may have reached the channel, newest first.
local function requests_of(refund)
    local rows, err = store.query("refund.requests", { refund = refund.id })
    must(rows, err)
    return rows
end

--- Has any but this one been sent?
local function is_alone(refund, call)
    for _, row in ipairs(requests_of(refund)) do
        if row.id ~= call then
            return false
        end
    end
    return true
end

--- May a request that nobody knows the end of have been under way at the channel still when it was asked? The
--- answer may have taken long, and is no younger than its question.
local function is_fresh(refund, attempt, asked_at)
    local limit = calls.limit(registry.account(attempt.account), "refund")
    local since = asked_at - limit - (capability(attempt).query_after_ms or 0)
    for _, row in ipairs(requests_of(refund)) do
        if (row.class == nil or row.class == "unknown") and store.id_ms(row.id) > since then
            return true
        end
    end
    return false
end

local function op_of(turn, refund)
    if turn.ask then
        return turn.ask == "send" and "refund" or "refund_query"
    elseif refund.state == "created" then
        return "refund"
    elseif refund.state == "abnormal" then
        return "refund_query"
    end
    return #requests_of(refund) > 0 and "refund_query" or "refund"
end

--- Is it this refund's turn? Nothing else of the payment is on its way, or may be.
local function in_turn(refund)
    local first = must(store.query("refund.in_turn", { payment = refund.payment }))
    return not first or first.id == refund.id or first.state == "created"
end

local function count(attempt, state)
    metrics.count("tael_refunds_total",
        { channel = registry.account(attempt.account).channel, state = state })
end

--- Statements that stand in the unit of the call, the one that sets the timer, and whether they make the
--- refund a pending one.
local function before_call(turn, op, refund, payment, lease)
    local begins = op == "refund" and (refund.state == "created" or refund.state == "abnormal")
    local list
    if begins then
        list = refund_units.send { payment = payment, refund = refund, due = lease, actor = turn.actor,
            now = time.now() }
    else
        list = refund_units.lease(refund, lease)
    end
    local timer = list[#list]
    list[#list + 1] = turn.fired and { "timer.drop", { fired_id = turn.fired.id } } or nil
    return list, timer, begins
end

--- Whoever comes too late, or for nothing, goes.
local function unfit(turn, refund)
    local open = refund and (states.refund_open[refund.state] or refund.state == "abnormal")
    if not open or (refund.due or 0) ~= turn.holds then
        drop(turn.fired)
        return true
    end
    return false
end

--- The call that this turn makes next; nil: there is none, and the refund rests.
---@return tael.kernel.Asked?
---@return "waits"|"unsent"|nil why
local function send(turn)
    for _ = 1, ROUNDS do
        local refund, payment, attempt = read(turn.id)
        if unfit(turn, refund) then
            return nil
        end
        local op = op_of(turn, refund)
        if op == "refund" and not in_turn(refund) then
            rest(turn)
            return nil, "waits"
        end
        local with, timer, begins = before_call(turn, op, refund, payment, lease_id(attempt, op, time.now()))
        local asked, err = calls.send { op = op, object = refund.id, payment = payment, attempt = attempt,
            refund = refund, actor = turn.actor, with = with }
        if asked then
            if begins then
                count(attempt, "pending")
            end
            turn.holds, turn.fired, turn.ask = timer[2].due_id, nil, nil
            return asked
        elseif not is_reread(err) then
            log.error("refund.not_sent", { refund = ids.encode("ref", turn.id), op = op, code = err.code,
                detail = err.detail })
            rest(turn)
            return nil, "unsent"
        end
    end
    rest(turn)
    return nil, "waits"
end

-- ---- what the answer does ----

local function case_of(turn, asked, said, refund, attempt)
    local case = { refund = refund, op = asked.op, class = said.class, fact = said.fact,
        reason = said.detail or asked.outcome.reason }
    if asked.op == "refund" then
        case.alone = is_alone(refund, asked.call)
        local sums = must(store.query("refund.sums", { payment = refund.payment,
            attempt = refund.attempt }))
        case.given, case.asked = sums.succeeded, sums.reserved
    else
        case.declined = turn.declined
        case.fresh = turn.declined and is_fresh(refund, attempt, store.id_ms(asked.call))
    end
    return case
end

--- A refund that nobody has asked for is nobody's to look after when it fails.
local function alarm_of(decision, refund)
    return decision.alarm or decision.to == "failed" and refund_units.is_automatic(refund)
        and "automatic_refund_failed" or nil
end

local function announce(turn, decision, refund, attempt)
    local name, alarm = ids.encode("ref", refund.id), alarm_of(decision, refund)
    if alarm then
        settle.alarm(alarm, { refund = name, payment = ids.encode("pay", refund.payment),
            detail = decision.detail, actor = turn.actor })
    end
    if decision.to then
        count(attempt, decision.to)
        log.info("refund." .. decision.to, { refund = name, amount = refund.amount,
            currency = refund.currency, detail = decision.detail, actor = turn.actor })
        task.wake("payment:" .. refund.payment)
        events_wake.announce(task.scope())
    end
    task.wake("refund:" .. refund.id)
end

local function statements_of(turn, decision, asked, rows)
    local refund, now = rows.refund, time.now()
    local list
    if decision.ask then
        list = {} -- the lease goes on
    elseif decision.to then
        local step = { payment = rows.payment, refund = refund, actor = turn.actor, now = now,
            due = next_look(refund, rows.attempt, decision.to, now) }
        list = refund_units.move(step, decision, calls.proof(asked))
        if decision.to == "succeeded" then
            units.append(list, counters.refunded(rows.payment))
        end
    else
        list = refund_units.lease(refund, next_look(refund, rows.attempt, refund.state, now))
    end
    list[#list + 1] = calls.finish(asked)
    return list
end

--- Writes what the answer does, and reads again when the payment moved meanwhile.
---@return tael.kernel.RefundDecision? decision nil: overtaken, or the store failed
local function take(turn, asked)
    local said
    for _ = 1, ROUNDS do
        local refund, payment, attempt = read(turn.id)
        if refund.due ~= turn.holds then
            calls.close(asked)
            return nil
        end
        if not said then
            said = {}
            said.class, said.fact, said.detail = refund_answer.judge(asked, refund, attempt)
        end
        local decision = refund_decide.answer(case_of(turn, asked, said, refund, attempt))
        local done, err = settle.commit(statements_of(turn, decision, asked,
            { refund = refund, payment = payment, attempt = attempt }))
        if done then
            announce(turn, decision, refund, attempt)
            return decision
        elseif not is_reread(err) then
            log.error("refund.failed", { refund = ids.encode("ref", turn.id), code = err.code,
                statement = err.statement, message = err.message })
            return nil
        end
    end
    settle.alarm("cannot_settle", { refund = ids.encode("ref", turn.id), actor = turn.actor })
end

-- ---- turns ----

local function is_late(refund)
    local since = refund.state == "unknown" and refund.updated_at or store.id_ms(refund.id)
    return states.refund_open[refund.state] and time.now() - since > registry.config.payments.alarm_unknown
end

--- Nothing stays open for long without somebody hearing of it.
local function alarm_when_open(id)
    local refund = must(store.query("refund.get", { refund = id }))
    if refund and states.refund_open[refund.state] then
        settle.alarm("unknown_too_long", { refund = ids.encode("ref", id), state = refund.state })
    end
end

local function calls_of(turn)
    for _ = 1, CALLS do
        local asked, why = send(turn)
        if not asked then
            return why
        end
        local decision = take(turn, asked)
        if not decision or not decision.ask then
            return nil
        end
        turn.ask, turn.declined = decision.ask, decision.declined
    end
end

--- Goes on with a refund until it rests: settled, waiting for the channel, for its turn or for a person.
---@param turn tael.kernel.RefundTurn
---@return "waits"|"unsent"|nil why nothing was sent
function refund_drive.turn(turn)
    local refund = turn.fired and must(store.query("refund.get", { refund = turn.id }))
    local late = refund and is_late(refund)
    local why = calls_of(turn)
    if late then -- after a long stop, looking may have settled it
        alarm_when_open(turn.id)
    end
    return why
end

--- A refund that nobody has sent yet. One that somebody has sent is theirs: asking about it now could find
--- that the channel does not know it yet, and send it again.
---@param refund table row
---@param actor string
---@return "waits"|"unsent"|nil why nothing was sent
function refund_drive.start(refund, actor)
    if refund.state == "created" then
        return refund_drive.turn { id = refund.id, actor = actor, holds = refund.due or 0 }
    end
end

--- The refunds of a payment that waited for their turn, oldest first, until one waits for the channel.
---@param payment integer
function refund_drive.waiting(payment)
    for _ = 1, TURNS do
        local first = must(store.query("refund.in_turn", { payment = payment }))
        if not first or first.state ~= "created" or refund_drive.start(first, "timer") then
            return
        end
    end
end

--- A timer of kind "refund". One that the row does not name is only dropped.
---@param fired table row of timers
function refund_drive.fire(fired)
    refund_drive.turn { id = fired.object, actor = "timer", fired = fired, holds = fired.id }
    local refund = must(store.query("refund.get", { refund = fired.object }))
    if refund then
        refund_drive.waiting(refund.payment)
    end
end

--- Is a call about it under way? Then its answer comes, or its timer.
---@param refund integer
---@return boolean
function refund_drive.in_flight(refund)
    local rows = store.query("call.last", { object = refund })
    local last = rows and rows[1]
    return last ~= nil and last.class == nil and calls.recent(refund, nil,
        calls.limit(registry.account(last.account), last.op) + MARGIN_MS)
end

--- Statements that let the channel be asked about it at once; none while that makes no difference.
---@param refund table row
---@return table[] statements
function refund_drive.hurry(refund)
    local state, now = refund.state, time.now()
    local soon = refund.due and refund.due < due.before(now + 1000)
    local sent = state == "pending" or state == "unknown" or state == "abnormal"
    if not sent or soon or refund_drive.in_flight(refund.id) then
        return {}
    end
    return refund_units.lease(refund, due.id(now))
end

return refund_drive
