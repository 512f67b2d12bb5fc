-- What an open order needs next at its channel, step by step, against a channel of words.
local support = require "tests.spec.kernel_support"
local due = require "tael.kernel.due"
local ids = require "tael.kernel.ids"

local world -- of one example

local function note(word)
    world.steps[#world.steps + 1] = word
end

-- ---- stand-ins: the channel answers what the example has prepared ----

local function next_of(list)
    return table.remove(list, 1)
end

package.loaded["tael.kernel.calls"] = {
    under_way = function() return world.under_way end,
    patience = function() return 12000 end,
    send = function(asking)
        note(asking.op)
        world.with[#world.with + 1] = asking.with or false
        local outcome = next_of(world[asking.op]) or { class = "ok", evidence = {}, result = { code = "1" } }
        if outcome.err then
            return nil, outcome.err
        end
        return { call = 9, op = asking.op, outcome = outcome, account = { id = 7, channel = "alipay" } }
    end,
    close = function(asked)
        note "closed call"
        world.closed[#world.closed + 1] = asked.outcome.class
    end,
    finish = function() return { "call.finish", {} } end,
    proof = function() return { kind = "cal", id = 9 } end,
}
package.loaded["tael.kernel.query"] = { attempt = function()
    note "query"
    local fact = next_of(world.query)
    if fact and fact.moves then
        fact.moves()
    end
    return { effect = "none" }, fact
end }
package.loaded["tael.kernel.orders"] = {
    unfinished = function() return world.unfinished end,
    drive = function()
        note "drive"
        return next_of(world.query)
    end,
}
package.loaded["tael.kernel.settle"] = {
    read = function() return world.attempt, world.payment end,
    alarm = function(kind) world.alarms[#world.alarms + 1] = kind end,
    apply = function(input)
        note("settle " .. input.fact.state)
        world.settled = input
        world.attempt.state = input.fact.state
    end,
}
package.loaded["tael.kernel.evidence"] = { admit = function()
    return not world.refused or nil, world.refused
end }
package.loaded["tael.time"] = { now = function() return world.now end,
    sleep = function(ms) note("wait " .. ms) end }
package.loaded["tael.log"] = { error = function() note "logged" end }

local registry = require "tael.kernel.registry"
registry.account = function() return { id = 7, channel = "alipay", merchant = 3 } end
registry.prepared = function() return {} end
registry.package = function() return { capabilities = world.can, products = {} } end
registry.config = { payments = { grace = 120000, poll = { 2000, 5000, 60000 } } }

local ending = require "tael.kernel.ending"

local WAITS = { state = "waiting_payer" }

local function tend(payment, attempt)
    world.payment = support.payment(payment)
    world.attempt = support.attempt(attempt or { state = "waiting_payer", trade_no = "T1" })
    ending.tend(world.attempt, world.payment, "key_1")
    return world.steps
end

local function expires(state)
    return { state = state or "expired", moves = function() world.attempt.state = "expired" end }
end

before_each(function()
    world = { now = support.now, steps = {}, with = {}, closed = {}, alarms = {},
        query = {}, close = {}, cancel = {},
        can = { close = true, cancel = true } }
end)

describe("an order that waits", function()
    it("is left alone in its time", function()
        world.query = { WAITS }
        assert.are.same({ "query" }, tend())
    end)

    it("is asked about, closed, and asked about again when the merchant wants it", function()
        world.query = { WAITS, expires() }
        assert.are.same({ "query", "close", "closed call", "query" }, tend { closing = "merchant" })
        assert.is_false(world.with[1])
    end)

    it("is closed at its end, and the payment says so before the bytes leave", function()
        world.now, world.query = support.now + 1800000, { WAITS, expires() }
        assert.are.same({ "query", "close", "closed call", "query" }, tend())
        assert.are.equal("payment.closing", world.with[1][1][1])
        assert.are.equal("expired", world.with[1][1][2].closing)
        assert.are.equal("event.insert", world.with[1][2][1])
    end)

    it("keeps the wish that came before its end", function()
        world.now, world.query = support.now + 1800000, { WAITS, expires() }
        tend { closing = "merchant" }
        assert.is_false(world.with[1])
    end)

    for _, state in ipairs { "paid", "closed", "failed" } do
        it("is closed when its payment is " .. state .. " without it", function()
            world.query = { WAITS, expires() }
            assert.are.same({ "query", "close", "closed call", "query" }, tend { state = state })
            assert.is_false(world.with[1])
        end)
    end

    it("is only asked about while a person decides", function()
        world.query = { WAITS }
        assert.are.same({ "query" }, tend { state = "review" })
    end)

    it("is not closed when it was paid meanwhile", function()
        world.query = { { state = "succeeded", moves = function()
            world.attempt.state, world.payment.state = "succeeded", "paid"
        end } }
        assert.are.same({ "query" }, tend { closing = "merchant" })
    end)

    it("is not closed while nobody knows how it stands", function()
        assert.are.same({ "query" }, tend { closing = "merchant" })
    end)

    it("is not asked about again when the close never left", function()
        world.query, world.close = { WAITS }, { { class = "not_sent" } }
        assert.are.same({ "query", "close", "closed call" }, tend { closing = "merchant" })
    end)

    it("is asked about again whatever else the close was answered", function()
        for _, class in ipairs { "unknown", "conflict", "not_found", "declined", "config" } do
            world.steps, world.query, world.close = {}, { WAITS, WAITS }, { { class = class } }
            tend { closing = "merchant" }
            assert.are.same({ "query", "close", "closed call", "query" }, world.steps, class)
        end
    end)

    it("is left to somebody who was faster", function()
        world.query, world.close = { WAITS }, { { err = { code = "guard", otherwise = "reread" } } }
        assert.are.same({ "query", "close" }, tend { closing = "merchant" })
    end)

    it("waits for the channel's own end where it cannot be closed", function()
        world.can, world.query = {}, { WAITS }
        assert.are.same({ "query" }, tend { closing = "merchant" })
    end)
end)

describe("an order that nobody has opened", function()
    it("is only asked about, whatever is wanted", function()
        for _, closing in ipairs { "merchant", "cancel" } do
            world.steps, world.query = {}, { { state = "not_found" } }
            assert.are.same({ "query" }, tend({ closing = closing }, { state = "waiting_payer" }), closing)
        end
    end)
end)

describe("any order", function()
    it("is left to whoever talks to the channel about it", function()
        world.under_way = true
        assert.are.same({}, tend { closing = "merchant" })
    end)

    it("whose answer never came is gone on with first", function()
        world.unfinished, world.query = true, { { state = "not_found" } }
        assert.are.same({ "drive" }, tend({}, { state = "sent" }))
    end)

    it("that has ended is only asked about", function()
        world.query = { { state = "expired" } }
        world.attempt, world.payment = support.attempt { state = "cancelled" }, support.payment()
        assert.is_true(ending.confirm(world.attempt, world.payment, "timer"))
        assert.is_false(ending.confirm(world.attempt, world.payment, "timer"), "no answer")
        assert.are.same({ "query", "query" }, world.steps)
    end)
end)

describe("a reversal", function()
    local number = ids.order_number(support.attempt().id)

    local function done(more)
        local result = { code = "10000", state = "cancelled", channel_state = "close", order_no = number,
            reversed = false, again = false }
        for name, value in pairs(more or {}) do
            result[name] = value
        end
        return { class = "ok", evidence = {}, message = {}, result = result }
    end
    local function again()
        return { class = "ok", evidence = {}, result = { code = "10000", again = true } }
    end

    it("asks, reverses, and asks again", function()
        world.query, world.cancel = { WAITS, { state = "expired" } }, { done() }
        assert.are.same({ "query", "cancel", "settle cancelled", "query" }, tend { closing = "cancel" })
        assert.are.equal(false, world.settled.fact.reversed)
        assert.are.same({ { "call.finish", {} } }, world.settled.extra())
    end)

    it("leaves only while the order is as it was read, with a timer for when it is silent", function()
        world.query, world.cancel = { WAITS }, { { err = { code = "guard", otherwise = "reread" } } }
        assert.are.same({ "query", "cancel", "query" },
            tend({ closing = "cancel" }, { state = "waiting_payer", trade_no = "T1", due = 55 }))
        local reverse, timer = table.unpack(world.with[1])
        assert.are.equal("attempt.reverse", reverse[1])
        assert.are.equal("waiting_payer", reverse[2].attempt_state_was)
        assert.are.equal(55, reverse[2].due_was)
        assert.are.equal("timer.insert", timer[1])
        assert.are.equal(reverse[2].due, timer[2].due_id)
        assert.are.equal(support.now + 12000, due.ms(timer[2].due_id))
    end)

    it("that is wanted again has not ended, and neither has one whose answer does not count", function()
        world.query, world.cancel = { WAITS }, { again(), again(), again() }
        tend { closing = "cancel" }
        assert.are.same({ "pending", "pending", "pending" }, world.closed)
        world.query, world.cancel, world.closed = { WAITS }, { done { order_no = "another" } }, {}
        tend { closing = "cancel" }
        assert.are.same({ "unknown" }, world.closed)
        world.query, world.cancel, world.closed = { WAITS }, { { class = "declined" } }, {}
        world.close = { { class = "unknown" } }
        tend { closing = "cancel" }
        assert.are.equal("declined", world.closed[1])
    end)

    it("tells when money went back", function()
        world.query, world.cancel = { WAITS }, { done { reversed = true, channel_state = "refund" } }
        tend { closing = "cancel" }
        assert.are.equal(true, world.settled.fact.reversed)
        assert.are.equal("refund", world.settled.fact.channel_state)
    end)

    it("is for what nobody knows, too", function()
        world.cancel = { done() }
        assert.are.same({ "query", "cancel", "settle cancelled", "query" },
            tend({ closing = "cancel" }, { state = "unknown" }))
    end)

    it("is not sent when the money was there first", function()
        world.query = { { state = "succeeded", moves = function()
            world.attempt.state, world.payment.state = "succeeded", "paid"
        end } }
        assert.are.same({ "query" }, tend { closing = "cancel" })
    end)

    it("is repeated while the channel wants it, a few times", function()
        world.query, world.cancel = { WAITS, WAITS }, { again(), again(), done() }
        assert.are.same({ "query", "cancel", "closed call", "wait 1000", "cancel", "closed call", "wait 2000",
            "cancel", "settle cancelled", "query" }, tend { closing = "cancel" })
        world.steps, world.query, world.cancel = {}, { WAITS }, { again(), again(), again(), again() }
        tend { closing = "cancel" }
        local cancels = 0
        for _, step in ipairs(world.steps) do
            cancels = cancels + (step == "cancel" and 1 or 0)
        end
        assert.are.equal(3, cancels)
    end)

    it("that the channel refuses ends with a close while the order waits", function()
        for _, class in ipairs { "declined", "conflict" } do
            world.steps, world.query, world.cancel = {}, { WAITS, WAITS, expires() }, { { class = class } }
            assert.are.same({ "query", "cancel", "closed call", "query", "close", "closed call", "query" },
                tend { closing = "cancel" }, class)
        end
    end)

    it("that nobody answered settles nothing", function()
        world.query, world.cancel = { WAITS }, { { class = "unknown" } }
        assert.are.same({ "query", "cancel", "closed call", "query" }, tend { closing = "cancel" })
        assert.is_nil(world.settled)
    end)

    it("of another order settles nothing and alarms", function()
        world.query, world.cancel = { WAITS }, { done { order_no = "another" } }
        tend { closing = "cancel" }
        assert.is_nil(world.settled)
        assert.are.same({ "answer_refused" }, world.alarms)
    end)

    it("that was not signed as it says settles nothing and alarms", function()
        world.refused = { check = "state", detail = "not stated" }
        world.query, world.cancel = { WAITS }, { done() }
        tend { closing = "cancel" }
        assert.is_nil(world.settled)
        assert.are.same({ "answer_refused" }, world.alarms)
    end)

    it("closes where the channel cannot reverse", function()
        world.can, world.query = { close = true }, { WAITS, expires() }
        assert.are.same({ "query", "close", "closed call", "query" }, tend { closing = "cancel" })
    end)
end)
