-- The wish to close a payment: what is written before the channel hears of it, and what the caller is told.
local support = require "tests.spec.kernel_support"
local ids = require "tael.kernel.ids"

local world
local names

package.loaded["tael.kernel.calls"] = {
    patience = function() return 12000 end,
    recent = function(_, op) return op == "query" and world.recent end,
}
package.loaded["tael.kernel.ending"] = {
    tend = function(attempt, _, actor)
        world.tended[#world.tended + 1] = { attempt.id, actor }
        if world.settles then
            world.settles()
        end
    end,
    confirm = function(attempt) world.confirmed[#world.confirmed + 1] = attempt.id end,
}
package.loaded["tael.kernel.payments"] = {
    row_of = function(id)
        if id ~= world.payment.id then
            return nil, { code = "not_found" }
        end
        return world.payment
    end,
    attempts_of = function() return world.attempts end,
    entered = function(_, state) world.entered = world.announced and state end,
    view_of = function(row) return { state = row.state, closing = row.closing } end,
    told = function(err)
        return nil, err.code == "unavailable" and { code = "store_unavailable" } or err
    end,
}
package.loaded["tael.kernel.settle"] = {
    read = function(id)
        for _, attempt in ipairs(world.attempts) do
            if attempt.id == id then
                return attempt, world.payment
            end
        end
    end,
    commit = function(list)
        local refused = table.remove(world.refusals, 1)
        if refused then
            return nil, refused
        end
        world.units[#world.units + 1] = list
        for _, statement in ipairs(list) do
            local params = statement[2]
            if statement[1] == "payment.closing" then
                world.payment.closing = params.closing
            elseif statement[1] == "payment.close" then
                world.payment.state, world.payment.closing = "closed", nil
            elseif statement[1] == "attempt.due" then
                world.attempts[1].due = params.due
            end
        end
        return {}
    end,
}
package.loaded["tael.kernel.events_wake"] = { announce = function() world.announced = true end }
package.loaded["tael.task"] = { last = function() end,
    spawn = function(fn) fn() end, wake = function() end, pure = pcall,
    wait = function() world.waited = true end, worker = function() return 1 end,
    scope = function() return 3 end }
package.loaded["tael.time"] = { now = function() return support.now end,
    monotonic = function() return support.now end }
package.loaded["tael.log"] = { info = function(event) world.logged = event end, error = function() end }

local registry = require "tael.kernel.registry"
registry.config = { payments = { grace = 120000, poll = { 2000, 5000 } } }
registry.account = function() return { id = 7, channel = "alipay" } end
registry.package = function() return { products = {} } end

local due = require "tael.kernel.due"
local closing = require "tael.kernel.closing"

local NAME = ids.encode("pay", support.payment().id)

function names(list)
    local out = {}
    for i, statement in ipairs(list or {}) do
        out[i] = statement[1]
    end
    return out
end

before_each(function()
    world = { tended = {}, confirmed = {}, units = {}, refusals = {}, payment = support.payment(),
        attempts = { support.attempt { due = 77 } } }
end)

describe("a close", function()
    it("writes the wish, its event and a timer for each open order, then goes to the channel", function()
        local result = closing.close(NAME, "key_1")
        assert.are.same({ "payment.closing", "event.insert", "attempt.due", "timer.insert" },
            names(world.units[1]))
        local unit = world.units[1]
        assert.are.equal("merchant", unit[1][2].closing)
        assert.are.equal(1, unit[1][2].version_was)
        assert.are.equal("payment.updated", unit[2][2].type)
        assert.are.equal(unit[1][2].hash, unit[2][2].hash)
        assert.are.equal(77, unit[3][2].due_was)
        assert.are.equal(support.now + 12001, due.ms(unit[3][2].due), "after what this task does itself")
        assert.are.same({ { world.attempts[1].id, "key_1" } }, world.tended)
        assert.is_true(result.closing)
        assert.is_true(world.announced)
    end)

    it("leaves what is still open to its timer, soon", function()
        closing.close(NAME, "key_1")
        assert.are.same({ "attempt.due", "timer.insert" }, names(world.units[2]))
        assert.are.equal(support.now + 2000, due.ms(world.attempts[1].due))
    end)

    it("tells what became of it", function()
        world.settles = function()
            world.payment.state, world.payment.closing, world.attempts[1].state = "closed", nil, "expired"
        end
        local result = closing.close(NAME, "key_1")
        assert.are.same({ state = "closed" }, result.payment)
        assert.is_false(result.closing)
    end)

    it("that comes again writes nothing, and asks no second question at once", function()
        world.payment.closing, world.recent = "merchant", true
        assert.is_true(closing.close(NAME, "key_1").closing)
        assert.are.same({}, world.units)
        assert.are.same({}, world.tended)
        world.recent = false
        closing.close(NAME, "key_1")
        assert.are.equal(1, #world.tended)
    end)

    it("does not take back a reversal, or the end of its time", function()
        for _, wish in ipairs { "cancel", "expired" } do
            world.payment.closing, world.attempts[1].due = wish, nil
            closing.close(NAME, "key_1")
            assert.are.same({}, world.units, wish)
        end
    end)

    it("becomes a reversal when that is wanted", function()
        world.payment.closing = "merchant"
        closing.cancel(NAME, "key_1")
        assert.are.equal("cancel", world.units[1][1][2].closing)
    end)

    it("of what is settled changes nothing", function()
        for _, state in ipairs { "paid", "closed" } do
            world.payment.state = state
            local result = closing.close(NAME, "key_1")
            assert.are.equal(state, result.payment.state)
            assert.is_false(result.closing)
            assert.are.same({}, world.units)
            assert.are.same({}, world.tended)
        end
    end)

    it("of what cannot be closed says the state and what would be allowed", function()
        for _, state in ipairs { "authorized", "failed", "review" } do
            world.payment.state = state
            local result, err = closing.close(NAME, "key_1")
            assert.is_nil(result)
            assert.are.equal("state_conflict", err.code)
            assert.are.equal(state, err.members.state)
            assert.are.same({ "created", "pending" }, { table.unpack(err.members.allowed) })
        end
    end)

    it("of what is not there is not found", function()
        for _, name in ipairs { "pay_nonsense", ids.encode("pay", 5) } do
            local _, err = closing.close(name, "key_1")
            assert.are.equal("not_found", err.code)
        end
    end)

    it("decides again when somebody was faster", function()
        world.refusals = { { code = "guard", otherwise = "reread" } }
        assert.is_true(closing.close(NAME, "key_1").closing)
        world.payment.closing, world.payment.state = nil, "pending"
        local always = { code = "guard", otherwise = "reread" }
        world.refusals = { always, always, always, always }
        local _, err = closing.close(NAME, "key_1")
        assert.are.equal("overloaded", err.code)
        world.refusals = { { code = "unavailable" } }
        _, err = closing.close(NAME, "key_1")
        assert.are.equal("store_unavailable", err.code)
    end)

    it("without an open order is done here", function()
        world.attempts[1].state = "expired"
        local result = closing.close(NAME, "key_1")
        assert.are.same({ "payment.close", "event.insert" }, names(world.units[1]))
        assert.are.equal("merchant", world.units[1][1][2].reason)
        assert.are.equal("payment.closed", world.units[1][2][2].type)
        assert.are.equal("closed", result.payment.state)
        assert.are.same({}, world.tended)
        assert.are.same({ "closed", "payment.closed" }, { world.entered, world.logged })
    end)
end)

describe("a sync", function()
    it("asks about the newest order and the open ones", function()
        world.attempts = { support.attempt { id = 1, state = "expired" }, support.attempt { id = 2 },
            support.attempt { id = 3, state = "declined" } }
        closing.sync(NAME, "key_1")
        assert.are.same({ 1 }, world.confirmed)
        assert.are.same({ { 2, "key_1" } }, world.tended)
        assert.are.same({}, world.units)
    end)

    it("asks no second question at once", function()
        world.recent = true
        closing.sync(NAME, "key_1")
        assert.are.same({}, world.tended)
    end)
end)
