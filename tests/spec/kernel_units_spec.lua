-- What a decision writes, and that the rows follow from the events alone.
local support = require "tests.spec.kernel_support"
local chain = require "tael.kernel.chain"
local decide = require "tael.kernel.decide"
local fold = require "tael.kernel.fold"
local json = require "tael.json"
local units = require "tael.kernel.units"

local function names(list)
    local out = {}
    for i, statement in ipairs(list) do
        out[i] = statement[1]
    end
    return out
end

local function params(list, name)
    for _, statement in ipairs(list) do
        if statement[1] == name then
            return statement[2]
        end
    end
end

local function unit_of(case)
    return units.transition {
        decision = decide(case), payment = case.payment, attempt = case.attempt, fact = case.fact,
        proof = { kind = "ntf", id = 99, digest = ("\1"):rep(32), key = 7 }, actor = "channel:spec",
        now = case.now,
    }
end

local function created(changed)
    local columns = {
        payment = support.id(support.now, 1), order = support.attempt { due = 5 },
        now = support.now, merchant_order_id = "A1001", amount = 1234, currency = "CNY", state = "pending",
        capture = "automatic", parallel = "none",
        expires_at = support.now + 1800000,
        request = ("r"):rep(16), request_hex = ("72"):rep(16), actor = "key_1", due_id = 5,
        details = { subject = "coffee" },
    }
    for name, value in pairs(changed or {}) do
        columns[name] = value
    end
    return units.creation(columns)
end

describe("a creation", function()
    it("is one unit, decided by its first statement", function()
        assert.are.same({ "payment.insert", "attempt.insert", "event.insert", "timer.insert" },
            names(created()))
        assert.are.same("idempotency.insert", names(created { key_digest = ("k"):rep(16) })[1])
    end)

    it("starts a chain", function()
        local list, data = created()
        local event = params(list, "event.insert")
        assert.are.equal(1, event.version)
        assert.is_nil(event.prev_event)
        assert.are.equal(data, event.data)
        assert.are.equal(params(list, "payment.insert").hash, event.hash)
        assert.are.equal(event.hash, chain.hash(nil, { payment = event.payment, version = 1,
            type = event.type,
            actor = event.actor, at = event.now, data = data }))
    end)
end)

describe("the unit of a payment that is paid", function()
    it("changes payment and attempt and appends one event", function()
        local list = unit_of(support.case())
        assert.are.same({ "payment.pay", "attempt.succeed", "event.insert" }, names(list))
        local pay = params(list, "payment.pay")
        assert.are.equal(1, pay.version_was)
        assert.are.equal(1234, pay.amount)
        assert.are.equal("CNY", pay.currency)
        assert.are.equal(99, params(list, "attempt.succeed").evidence)
        local event = params(list, "event.insert")
        assert.are.equal("payment.paid", event.type)
        assert.are.equal(2, event.version)
        assert.are.equal(11, event.prev_event)
        assert.are.equal(event.hash, pay.hash)
    end)

    it("names its evidence in the event", function()
        local event = params(unit_of(support.case()), "event.insert")
        assert.are.same({ kind = "ntf", id = 99, key = 7, digest = ("01"):rep(32) },
            json.decode(event.data).evidence)
    end)
end)

describe("other units", function()
    local cases = {
        ["review"] = { { fact = support.success { amount = 1 } }, { "payment.review", "event.insert" } },
        ["a repeat"] = { { payment = support.payment { state = "paid" },
            attempt = support.attempt { state = "succeeded", trade_no = "T1" } }, {} },
        ["an unknown word"] = { { fact = { state = "unknown" } }, { "payment.note", "attempt.move",
            "event.insert" } },
        ["a closed order"] = { { fact = { state = "expired" } }, { "payment.close", "attempt.move",
            "event.insert" } },
        ["a declined order"] = { { fact = { state = "declined" },
            attempt = support.attempt { state = "sent" } },
            { "payment.fail", "attempt.move", "event.insert" } },
        ["a surplus"] = { { payment = support.payment { state = "paid" } },
            { "payment.note", "attempt.succeed", "event.insert" } },
        ["a surplus that stays"] = { { payment = support.payment { state = "paid", captured_amount = 1234 },
            policy = { duplicate = "review" } }, { "payment.surplus", "attempt.succeed", "event.insert" } },
    }
    for name, case in pairs(cases) do
        it("of " .. name, function()
            assert.are.same(case[2], names(unit_of(support.case(case[1]))))
        end)
    end

    it("keep what was claimed but not taken over", function()
        local event = params(unit_of(support.case { fact = support.success { amount = 1 } }), "event.insert")
        assert.are.same({ amount = 1, currency = "CNY", trade_no = "T1", state = "succeeded" },
            json.decode(event.data).claimed)
    end)
end)

--- The row as the statement leaves it, for the statements that have an event.
local function event_row(list, id)
    local event = params(list, "event.insert")
    return { merchant = 3, id = id, payment = event.payment, object = event.object, version = event.version,
        prev = event.prev_event, type = event.type, actor = event.actor, at = event.now, data = event.data,
        hash = event.hash }
end

describe("the rows", function()
    it("follow from the events", function()
        local folded = fold.new()
        fold.add(folded, event_row(created(), 11))
        local hash = folded.payment.last_hash
        assert.are.same({}, fold.differences(folded.payment, support.payment { last_hash = hash }))
        local attempt = folded.attempts[support.id(support.now, 2)]
        assert.are.same({}, fold.differences(attempt, support.attempt()))

        local case = support.case { payment = support.payment { last_hash = hash } }
        local list = unit_of(case)
        fold.add(folded, event_row(list, 12))
        local paid = support.payment { state = "paid", captured_amount = 1234, version = 2, last_event = 12,
            last_hash = params(list, "event.insert").hash, updated_at = case.now,
                paid_at = support.now + 5000 }
        assert.are.same({}, fold.differences(folded.payment, paid))
        local succeeded = support.attempt { state = "succeeded", trade_no = "T1", evidence = 99,
            code = "PAID",
            updated_at = case.now }
        assert.are.same({}, fold.differences(attempt, succeeded))
        assert.are.equal("coffee", folded.details.subject)
    end)

    it("show a late payment and forget the reason it was closed for", function()
        local folded = fold.new()
        fold.add(folded, event_row(created(), 11))
        local close = support.case { fact = { state = "expired" }, now = support.now + 9000000 }
        fold.add(folded, event_row(unit_of(close), 12))
        assert.are.equal("closed", folded.payment.state)
        assert.are.equal("expired", folded.payment.reason)
        local late = support.case { payment = support.payment { state = "closed", version = 2,
            reason = "expired" },
            attempt = support.attempt { state = "expired" } }
        fold.add(folded, event_row(unit_of(late), 13))
        assert.are.equal("paid", folded.payment.state)
        assert.are.equal(1, folded.payment.late)
        assert.is_nil(folded.payment.reason)
    end)

    it("differ by name", function()
        assert.are.same({ "amount", "reason", "state" }, fold.differences(
            { state = "paid", amount = 1, reason = "x" }, { state = "pending", amount = 2 }))
    end)
end)
