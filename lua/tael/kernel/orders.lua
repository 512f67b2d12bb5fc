--- An order at a channel, from its plan to what the payer is handed. An order that the payer carries to the
--- channel (a page) is handed out once its row stands. One that we send ourselves (a QR code) has its row and
--- the call's before a byte leaves, and what comes back is handed out when it was verified.
--- 1 An order whose answer never came is asked about, and sent again only when the channel does not know it:
--- the same order with the same number, never another. 2 What the channel says no to is declined; anything
--- else leaves the order as it is, or unknown.
local calls = require "tael.kernel.calls"
local due = require "tael.kernel.due"
local evidence = require "tael.kernel.evidence"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local log = require "tael.log"
local query = require "tael.kernel.query"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local units = require "tael.kernel.units"

local orders = {}

local PAUSE_MS = 1000 -- between two calls about one order

-- ---- planned ----

---@class tael.kernel.OrderPlan
---@field payment table row, or what will be one: id, merchant_order_id, amount, currency
---@field details table
---@field account table
---@field product string
---@field expires_at integer ms
---@field id integer? of the attempt
---@field prev integer? the attempt before it

---@class tael.kernel.Order
---@field row table of attempts, as it will be, `due` included
---@field next_action table? what the payer is handed; nil: the channel's answer says it
---@field built tael.kernel.Built

--- When an order that we send is looked at, should its answer never be seen; else by the channel's pauses.
local function first_look(row, account, now)
    if row.state == "sent" then
        return now + calls.patience(account, "create")
    end
    return due.of(row, { state = "pending" }, now)
end

--- Everything that can be refused is refused here, before anything is written.
---@param input tael.kernel.OrderPlan
---@return tael.kernel.Order?
---@return table? err {code, channel?, field?, detail} of the manifest or the package
function orders.plan(input)
    local id = input.id or store.next_id()
    local now = due.made(id)
    local row = {
        merchant = task.scope(), id = id, payment = input.payment.id, prev = input.prev,
        account = input.account.id, product = input.product, amount = input.payment.amount,
        currency = input.payment.currency, expires_at = input.expires_at, updated_at = now,
    }
    local built, err = calls.build { op = "create", payment = input.payment, details = input.details,
        attempt = row, account = input.account, now = now }
    if not built then
        return nil, err
    end
    local handed = built.request["local"]
    if handed and type(handed.next_action) ~= "table" then
        return nil, { code = "script_failed", channel = input.account.channel,
            detail = input.account.channel .. ": create.build gave no next_action" }
    end
    row.state = handed and "issued" or "sent"
    row.due = due.id(first_look(row, input.account, now))
    return { row = row, next_action = handed and handed.next_action, built = built }
end

--- The order's statements, for the unit that makes it. Its event holds units.order_columns(order.row).
---@param order tael.kernel.Order
---@return table statement the row
---@return table statement its timer
function orders.statements(order)
    return units.order(order.row)
end

-- ---- the channel's answer to the order itself ----

--- What the answer says about our order; nil: nothing reached the channel, or it did nothing.
local function fact_of(outcome)
    local result = outcome.result or {}
    local code = result.channel_state or result.channel_code or result.code or outcome.reason
    if outcome.class == "ok" and result.state then
        return query.fact_of(outcome)
    elseif outcome.class == "ok" then
        return { kind = "payment", state = "waiting_payer", order_no = result.order_no, code = code,
            next_action = json.encode(result.next_action) }
    elseif outcome.class == "declined" then
        return { kind = "payment", state = "declined", decline_code = outcome.decline_code, code = code }
    elseif outcome.class == "not_sent" or outcome.class == "config" or outcome.class == "abnormal" then
        return nil
    end
    return { kind = "payment", state = "silent", code = code }
end

--- An answer about another order would send the payer's money there. Where the channel signs the order's
--- number with its answer, the manifest says so.
local function admit(asked, fact, order_no)
    local outcome, package = asked.outcome, registry.package(asked.account)
    local stated = package.stated and package.stated.create
    if fact.state == "silent" then
        return true
    elseif fact.state == "declined" or fact.next_action and not stated and not fact.order_no then
        return evidence.authentic(outcome.evidence, outcome.message, asked.account)
    elseif fact.order_no ~= order_no then
        return nil, { check = "order", detail = "the answer is about another order" }
    end
    return evidence.admit { proof = outcome.evidence, message = outcome.message, account = asked.account,
        fact = fact, stated = stated }
end

local function refuse(asked, refusal)
    settle.alarm("answer_refused", { call = ids.encode("cal", asked.call), check = refusal.check,
        attempt = ids.encode("att", asked.attempt.id), detail = refusal.detail })
    return { kind = "payment", state = "silent", code = "refused: " .. refusal.check }
end

--- Nothing was done: the next look comes sooner than that for an answer that never came.
local function look_again(asked)
    local attempt = asked.attempt
    local id = due.id(due.of(attempt, asked.payment, time.now()))
    local done, err = settle.commit {
        { "attempt.due", { attempt = attempt.id, due_was = attempt.due or 0, due = id } },
        calls.finish(asked), units.timer(attempt.id, id),
    }
    if not done and err.code == "guard" then
        return calls.close(asked)
    end
    return done, err
end

--- Settles what the channel answered to the order.
---@param asked tael.kernel.Asked
---@param actor string
---@return boolean? settled
---@return table? err of the store
function orders.take(asked, actor)
    local fact = fact_of(asked.outcome)
    local done, err
    if fact then
        local good, refusal = admit(asked, fact, ids.order_number(asked.attempt.id))
        local finish = calls.finish(asked)
        done, err = settle.apply {
            attempt = asked.attempt.id, fact = good and fact or refuse(asked, refusal), actor = actor,
            proof = calls.proof(asked), extra = function() return { finish } end,
        }
    else
        done, err = look_again(asked)
    end
    task.wake("payment:" .. asked.payment.id)
    if not done then
        return nil, err
    end
    return true
end

--- Commits the unit that makes the order, and sends it when it is ours to send.
---@param order tael.kernel.Order
---@param unit { payment: table, details: table, statements: table[], actor: string, committed: fun()? }
---@return boolean? done durable; what the channel answered, the rows say
---@return table? err of the store: nothing has happened
function orders.begin(order, unit)
    if order.next_action then
        local done, err = settle.commit(unit.statements)
        if done and unit.committed then
            unit.committed()
        end
        return done ~= nil, err
    end
    local asked, err = calls.send {
        op = "create", object = order.row.id, payment = unit.payment, details = unit.details,
        attempt = order.row, built = order.built, actor = unit.actor, with = unit.statements,
        committed = unit.committed,
    }
    if not asked then
        return false, err
    end
    local _, failed = orders.take(asked, unit.actor)
    if failed then
        log.error("order.failed", { attempt = ids.encode("att", order.row.id), code = failed.code })
    end
    return true
end

-- ---- an order whose answer never came ----

local function last_create(attempt)
    local rows = store.query("call.last", { object = attempt.id, op = "create" })
    return rows and rows[1]
end

--- Does the payer still lack what only the channel's answer holds?
---@param attempt table row
---@return boolean
function orders.unfinished(attempt)
    return attempt.state == "sent"
        or attempt.state == "unknown" and not attempt.next_action and last_create(attempt) ~= nil
end

--- Did the channel refuse our keys, contract or request when the order was last sent?
---@param attempt table row
---@return boolean
function orders.refused(attempt)
    local last = orders.unfinished(attempt) and last_create(attempt)
    return last and (last.class == "config" or last.class == "abnormal") or false
end

local function may_send(attempt, payment, fact, now)
    local package = registry.package(registry.account(attempt.account))
    local create = package.capabilities.create
    return fact ~= nil and fact.state == "not_found" and orders.unfinished(attempt)
        and payment.state == "pending" and not due.wants_end(attempt, payment, now)
        and create ~= nil and create.repeatable == true
end

--- Asks about the order, and sends it again when the channel does not know it.
---@param attempt table row
---@param payment table row
---@param actor string
---@return table? fact what the query proved
function orders.drive(attempt, payment, actor)
    local decision, fact = query.attempt(attempt, payment, actor)
    if not decision then
        return nil
    end
    local now_attempt, now_payment = settle.read(attempt.id)
    if not now_attempt or not may_send(now_attempt, now_payment, fact, time.now()) then
        return fact
    end
    local asked, err = calls.send { op = "create", object = attempt.id, payment = now_payment,
        attempt = now_attempt, actor = actor }
    if asked then
        orders.take(asked, actor)
    else -- too little of its time is left for the channel, or the store is away
        log.warn("order.not_sent", { attempt = ids.encode("att", attempt.id), code = err.code,
            detail = err.detail })
    end
    return fact
end

--- For a request that comes again: waits while somebody is about the order, else goes on with it.
---@param attempt table row
---@param payment table row
---@param actor string
function orders.await(attempt, payment, actor)
    local ends = time.monotonic() + calls.patience(registry.account(attempt.account), "create")
    local key = "payment:" .. payment.id
    while orders.unfinished(attempt) and time.monotonic() < ends do
        if calls.under_way(attempt) then
            task.wait(key, math.max(ends - time.monotonic(), 1))
        elseif calls.recent(attempt.id, nil, PAUSE_MS) then
            task.wait(key, PAUSE_MS)
        else
            orders.drive(attempt, payment, actor)
            return
        end
        attempt, payment = settle.read(attempt.id)
        if not attempt then
            return
        end
    end
end

return orders
