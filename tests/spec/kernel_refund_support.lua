--- A paid payment in a real SQLite, a channel that answers what a spec tells it to, a clock that moves when
--- the spec says so, and tasks that run when it says so: the whole way of a refund but for its bytes.
local support = require "tests.spec.kernel_support"
local kernel_store = require "tests.spec.kernel_store"
local crypto = require "tael.crypto"

local world = {}

local MERCHANT = 3

-- ---- stand-ins, before the kernel is loaded ----

local store, task, time = require "tael.store", require "tael.task", require "tael.time"

world.now, world.tasks, world.alarms, world.sent = 0, {}, {}, {}

time.now = function() return world.now end
time.monotonic = function() return world.now end
task.scope = function() return MERCHANT end
task.set_scope = function() end
task.wake = function() end
task.worker = function() return 1, 1 end
task.spawn = function(fn, ...)
    local args = table.pack(...)
    world.tasks[#world.tasks + 1] = function() fn(table.unpack(args, 1, args.n)) end
end
task.wait = function(_, ms)
    if #world.tasks == 0 then
        world.now = world.now + ms
    end
    world.run()
end
store.next_id = function() return world.store:next_id() end
store.query = function(name, params) return world.store:query(name, params) end
store.commit = function(list)
    if world.before_commit then
        world.before_commit(list)
    end
    return world.store:commit(list)
end

local log = require "tael.log"
log.info, log.warn = function() end, function() end
log.error = function(event, fields)
    world.alarms[#world.alarms + 1] = event == "alarm" and fields.kind or event
end

--- Runs what was spawned, in order.
function world.run()
    while #world.tasks > 0 do
        table.remove(world.tasks, 1)()
    end
end

-- ---- the channel ----

local registry = require "tael.kernel.registry"

world.package = {
    name = "spec", capabilities = { refund = { partial = true, query_after_ms = 10000, window = "365d",
        window_ms = 365 * 86400000 } },
    timeouts_ms = {}, products = { page = {} },
    refund = { build = function() return { method = "POST", url = "https://spec.example/" } end },
}
registry.config = {
    payments = { poll = { 2000, 5000, 15000, 60000 }, alarm_unknown = 1800000 },
    http = { public_url = "https://pay.example" }, merchants = {},
}
world.account = { id = 7, slug = "spec", channel = "spec", merchant = MERCHANT, fields = {} }
registry.account = function() return world.account end
registry.package = function() return world.package end
registry.prepared = function() return world.prepared end
registry.merchant = function() return { slug = "acme", livemode = false, accounts = {} } end
world.prepared = { id = 7, slug = "spec" }

local settle = require "tael.kernel.settle"

--- What calls.lua does, with answers that the spec gives in place of bytes.
local calls = {}
package.loaded["tael.kernel.calls"] = calls

function calls.send(asking)
    if not world.prepared then
        return nil, { code = "no_channel_available", detail = "not configured" }
    end
    local list, call = {}, store.next_id()
    for i, statement in ipairs(asking.with) do
        list[i] = statement
    end
    list[#list + 1] = { "call.insert", { call = call, object = asking.object, op = asking.op,
        account = asking.attempt.account, request = "sealed" } }
    local done, err = settle.commit(list)
    if not done then
        return nil, err
    end
    world.sent[#world.sent + 1] = { op = asking.op, refund = asking.refund.id, amount = asking.refund.amount,
        at = world.now }
    local answer = world.answer(asking.op, asking.refund)
    return { call = call, op = asking.op, account = world.account, said = answer,
        outcome = { class = answer.class, reason = answer.class, message = answer.class ~= "unknown"
            and answer.class ~= "not_sent" and {} or nil } }
end

function calls.finish(asked)
    return { "call.finish", { call = asked.call, class = asked.outcome.class, code = asked.said.code, ms = 1,
        answer_digest = asked.outcome.message and ("d"):rep(32) } }
end

function calls.close(asked)
    return store.commit { calls.finish(asked) }
end

function calls.proof(asked)
    return asked.outcome.message and { kind = "cal", id = asked.call, digest = ("d"):rep(32), key = 1 }
end

function calls.limit() return world.limit end

function calls.recent(object, op, ms)
    local last = store.query("call.last", { object = object, op = op })[1]
    return last ~= nil and math.abs(world.now - store.id_ms(last.id)) < ms
end

package.loaded["tael.kernel.refund_answer"] = {
    judge = function(asked) return asked.said.class, asked.said.fact end,
}
package.loaded["tael.kernel.context"] = { of = function() return {} end }

world.refunds = require "tael.kernel.refunds"
world.units = require "tael.kernel.refund_units"
local chain = require "tael.kernel.chain"
local due = require "tael.kernel.due"
local fold = require "tael.kernel.fold"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local units = require "tael.kernel.units"

-- ---- answers ----

---@param total integer what the order has given back in all
function world.done(total)
    return { class = "ok", code = "OK", fact = { state = "succeeded", total = total, currency = "CNY",
        code = "Y", at = world.now } }
end

function world.found(amount, state)
    return { class = "ok", code = "OK", fact = { state = state or "succeeded", amount = amount,
        currency = "CNY", code = "W", at = world.now } }
end

function world.said(class, code, decline_code)
    return { class = class, code = code, fact = { code = code, decline_code = decline_code } }
end

--- Answers one after the other; then the spec has an error.
function world.script(...)
    local list, at = { ... }, 0
    world.answer = function(op)
        at = at + 1
        local entry = assert(list[at], "no answer left for " .. op)
        assert(entry[1] == op, ("call %d is %s, not %s"):format(at, op, entry[1]))
        return type(entry[2]) == "function" and entry[2]() or entry[2]
    end
end

-- ---- the payment ----

local LIFE_MS = 1800000

local function insert_attempt(attempt, prev)
    return { "attempt.insert", { attempt = attempt, payment = world.payment, prev_attempt = prev, account = 7,
        product = "page", attempt_state = "issued", amount = 1234, currency = "CNY",
        expires_at = world.now + LIFE_MS, now = world.now } }
end

local function attempt_columns(attempt, prev)
    return { id = attempt, prev = prev, account = 7, product = "page", state = "issued", amount = 1234,
        currency = "CNY", expires_at = world.now + LIFE_MS }
end

local function create()
    world.payment, world.attempt = store.next_id(), store.next_id()
    local event = {
        payment = world.payment, object = world.payment, version = 1, type = "payment.created",
        actor = "key_1", at = world.now, data = json.encode {
            payment = { merchant_order_id = "A1", request = ("72"):rep(16), state = "pending", amount = 1234,
                currency = "CNY", capture = "automatic", parallel = "refund_surplus",
                attempt = world.attempt, expires_at = world.now + LIFE_MS },
            attempt = attempt_columns(world.attempt), details = { subject = "coffee" },
        },
    }
    event.hash = chain.hash(nil, event)
    assert(store.commit {
        { "payment.insert", { payment = world.payment, merchant_order_id = "A1", request = ("r"):rep(16),
            state = "pending", amount = 1234, currency = "CNY", capture = "automatic",
            parallel = "refund_surplus", attempt = world.attempt, hash = event.hash, now = world.now,
            expires_at = world.now + LIFE_MS } },
        insert_attempt(world.attempt), units.event(event),
    })
end

function world.payment_row()
    return store.query("payment.get", { payment = world.payment })[1]
end

--- Another order of the same payment.
---@return integer attempt
function world.issue()
    local row, attempt = world.payment_row(), store.next_id()
    local event, hash = units.next_event(row, { type = "attempt.issued", object = attempt, actor = "key_1",
        now = world.now, data = { payment = { attempt = attempt },
            attempt = attempt_columns(attempt, row.attempt) } })
    assert(store.commit {
        { "payment.another", { payment = row.id, version_was = row.version, hash = hash, now = world.now,
            attempt = attempt, prev_attempt = row.attempt } },
        insert_attempt(attempt, row.attempt), event,
    })
    return attempt
end

--- The attempt is paid; `more` gives what belongs to the same unit, from the payment's row after it.
---@param attempt integer
---@param more (fun(after: table, attempt: table): table[])?
function world.pay(attempt, more)
    local row = world.payment_row()
    local attempt_row = store.query("attempt.get", { attempt = attempt })[1]
    local first = row.state ~= "paid"
    local event, hash = units.next_event(row, {
        type = first and "payment.paid" or "attempt.surplus", object = not first and attempt or nil,
        actor = "timer", now = world.now, data = {
            payment = first and { state = "paid", captured_amount = 1234, paid_at = world.now,
                late = 0 } or nil,
            attempt = { id = attempt, state = "succeeded", trade_no = "T" .. attempt, evidence = 9 },
        },
    })
    local head = { payment = row.id, version_was = row.version, hash = hash, now = world.now }
    if first then
        head.amount, head.currency, head.paid_at = 1234, "CNY", world.now
    end
    local list = {
        { first and "payment.pay" or "payment.note", head },
        { "attempt.succeed", { attempt = attempt, payment = row.id, account = 7, trade_no = "T" .. attempt,
            evidence = 9, amount = 1234, currency = "CNY", now = world.now } },
        event,
    }
    local after = setmetatable({ version = row.version + 1, last_hash = hash, state = "paid",
        captured_amount = first and 1234 or row.captured_amount }, { __index = row })
    for _, statement in ipairs(more and more(after, attempt_row) or {}) do
        list[#list + 1] = statement
    end
    assert(store.commit(list))
end

--- A new world with one payment of 12.34 that was paid.
function world.begin(paid)
    if world.store then
        world.store:remove()
    end
    world.now, world.tasks, world.alarms, world.sent = support.now, {}, {}, {}
    world.limit = 10000
    require("tael.kernel.alarms").told = {}
    world.before_commit, world.answer, world.prepared = nil, nil, { id = 7, slug = "spec" }
    world.store = kernel_store.new(MERCHANT, function() return world.now end)
    create()
    if paid ~= false then
        world.pay(world.attempt)
    end
    world.id = ids.encode("pay", world.payment)
end

---@param id_text string "ref_…"
function world.row(id_text)
    return store.query("refund.get", { refund = ids.decode("ref", id_text) })[1]
end

--- As the API would ask; digest of what is asked for.
function world.ask(input, more)
    local request = { payment = world.id, actor = "key_1", input = input or {} }
    for name, value in pairs(more or {}) do
        request[name] = value
    end
    local parts = { request.payment }
    for _, name in ipairs { "amount", "merchant_refund_id", "reason" } do
        parts[#parts + 1] = tostring(request.input[name])
    end
    request.digest = crypto.digest("sha256", table.concat(parts, "\n")):sub(1, 16)
    return world.refunds.create(request)
end

--- Puts the clock forward and fires what is due by then, in order; dropped or not.
function world.advance(ms)
    local ends = world.now + ms
    while true do
        local fired = store.query("timer.due", { after = 0, due_id = due.before(ends), n = 1 })[1]
        if not fired then
            break
        end
        world.now = math.max(world.now, due.ms(fired.id))
        if fired.kind == "refund" then
            world.refunds.fire(fired)
            world.run()
        else
            store.commit { { "timer.drop", { fired_id = fired.id } } }
        end
    end
    world.now = ends
end

--- Rows follow from the events alone, and the chain holds.
function world.check()
    local payment = world.payment_row()
    local list, at = {}, payment.last_event
    while at do
        local event = assert(store.query("event.get", { event = at })[1], "an event is not there")
        table.insert(list, 1, event)
        at = event.prev
    end
    local folded = fold.new()
    for i, event in ipairs(list) do
        assert(event.version == i, "versions of events")
        assert(event.hash == chain.hash(list[i - 1] and list[i - 1].hash, event), "hash of " .. event.type)
        assert(i == 1 or event.id > list[i - 1].id, "ids of events")
        fold.add(folded, event)
    end
    assert(#fold.differences(folded.payment, payment) == 0,
        table.concat(fold.differences(folded.payment, payment), " "))
    local reserved, succeeded = 0, 0
    for _, row in ipairs(store.query("refund.of_payment", { payment = payment.id, after = 0, n = 1000 })) do
        local wanted = assert(folded.refunds[row.id], "a refund without an event")
        assert(#fold.differences(wanted, row) == 0, table.concat(fold.differences(wanted, row), " "))
        reserved = reserved + (row.state ~= "failed" and row.state ~= "cancelled" and row.amount or 0)
        succeeded = succeeded + (row.state == "succeeded" and row.amount or 0)
    end
    assert(reserved == payment.refund_reserved, "reserved")
    assert(succeeded == payment.refunded_amount, "refunded")
    return list
end

return world
