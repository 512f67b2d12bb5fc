-- One unit for one statement of a channel: which statements, in which order, and what happens when somebody
-- was faster. Decisions and units are the real ones; the store is a list.
local support = require "tests.spec.kernel_support"

local world

package.loaded["tael.store"] = {
    query = function(name, params)
        if name == "attempt.get" or name == "attempt.with_payment" then
            world.reads = params.attempt == world.attempts[1].id and world.reads + 1 or world.reads
            if params.attempt == world.unreadable then
                return nil, { code = "unavailable" }
            end
            for _, attempt in ipairs(world.attempts) do
                if attempt.id == params.attempt then
                    local payment = world.payments[world.reads] or world.payments[#world.payments]
                    return { setmetatable({ of = name == "attempt.with_payment" and payment or nil },
                        { __index = attempt }) }
                end
            end
        elseif name == "call.last" then
            assert.are.same({ attempt = nil, object = world.attempts[1].id, op = "cancel" }, params)
            return world.cancels
        end
        return {}
    end,
    commit = function(list)
        world.units[#world.units + 1] = list
        local refused = table.remove(world.refusals, 1)
        if refused then
            return nil, refused
        end
        return {}
    end,
    id_ms = function(id) return (id >> 22) + support.EPOCH_MS end,
    next_id = function() return support.id(support.now, 99) end,
}
package.loaded["tael.task"] = { last = function() end,
    wake = function() end, scope = function() return 3 end, pure = pcall,
    worker = function() return 1 end, spawn = function() end, wait = function() end }
package.loaded["tael.time"] = { now = function() return support.now + 6000 end,
    monotonic = function() return 0 end }
package.loaded["tael.log"] = { info = function() end, warn = function() end,
    error = function(_, fields) world.alarms[#world.alarms + 1] = fields.kind end }

local registry = require "tael.kernel.registry"
registry.config = { payments = { grace = 120000, poll = { 2000, 5000 } }, client = { total = 10000 } }
registry.account = function() return { id = 7, channel = "alipay", slug = "spec", merchant = 3 } end
registry.package = function() return nil end
registry.product = function() return { not_found = "waiting" } end
registry.policy = function(_, name) return world.policy[name] end
registry.merchant = function() return { id = 3, slug = "spec", accounts = {} } end

local due = require "tael.kernel.due"
local settle = require "tael.kernel.settle"

local NOW = support.now + 6000

before_each(function()
    require("tael.kernel.alarms").told = {}
    world = { payments = { support.payment() }, attempts = { support.attempt { due = 55 } }, reads = 0,
        units = {}, refusals = {}, alarms = {}, cancels = {},
        policy = { on_late_paid = "review", on_duplicate_paid = "refund" } }
end)

local function apply(fact, more)
    local input = { attempt = world.attempts[1].id, fact = fact or support.success(), actor = "channel:spec",
        proof = { kind = "cal", id = 99, digest = ("\1"):rep(32) },
        extra = function() return { { "call.finish", {} } } end }
    for name, value in pairs(more or {}) do
        input[name] = value
    end
    return settle.apply(input)
end

local function names(unit)
    local out = {}
    for i, statement in ipairs(unit) do
        out[i] = statement[1]
    end
    return out
end

local function params(unit, name, count)
    for _, statement in ipairs(unit) do
        if statement[1] == name then
            count = (count or 1) - 1
            if count == 0 then
                return statement[2]
            end
        end
    end
end

describe("the unit", function()
    it("of a payment that is paid holds four statements and reads nothing more", function()
        apply()
        assert.are.same({ "payment.pay", "attempt.succeed", "event.insert", "call.finish" },
            names(world.units[1]))
    end)

    it("of an attempt that becomes unknown sets the one timer that counts", function()
        apply { state = "unknown", channel_state = "ODD" }
        local unit = world.units[1]
        assert.are.same({ "payment.note", "attempt.move", "event.insert", "timer.insert", "call.finish" },
            names(unit))
        assert.are.equal(params(unit, "attempt.move").due, params(unit, "timer.insert").due_id)
        assert.are.equal(NOW + 2000, due.ms(params(unit, "timer.insert").due_id))
    end)

    it("of an order that was taken over at last plans its looks anew", function()
        world.attempts[1].state = "sent"
        apply { state = "waiting_payer", next_action = "{}" }
        local unit = world.units[1]
        assert.are.equal("{}", params(unit, "attempt.move").next_action)
        assert.are.equal(support.now + 1800000, due.ms(params(unit, "timer.insert").due_id))
    end)

    it("of an order that goes on leaves its timer alone", function()
        apply { state = "waiting_payer", trade_no = "T1" }
        assert.is_nil(params(world.units[1], "attempt.move").due)
        assert.is_nil(params(world.units[1], "timer.insert"))
    end)

    it("of an order that has ended leaves no timer that counts", function()
        apply { state = "expired" }
        assert.are.equal(0, params(world.units[1], "attempt.move").due)
        assert.is_nil(params(world.units[1], "timer.insert"))
    end)

    it("of money that comes late gives it back in the same breath, by policy", function()
        world.payments, world.policy.on_late_paid = { support.payment { state = "closed" } }, "refund"
        world.attempts[1].state = "expired"
        apply()
        local unit = world.units[1]
        assert.are.same({ "payment.pay", "attempt.succeed", "event.insert", "payment.reserve_late",
            "refund.insert", "event.append", "timer.insert", "call.finish" }, names(unit))
        assert.are.equal(1, params(unit, "payment.pay").version_was)
        assert.are.equal(2, params(unit, "payment.reserve_late").version_was)
        assert.are.equal(3, params(unit, "event.append").version)
        assert.are.equal(1234, params(unit, "refund.insert").amount)
        assert.are.same({}, world.alarms)
    end)

    it("of money that comes twice reserves and gives back the second, and alarms", function()
        world.payments = { support.payment { state = "paid", captured_amount = 1234,
            attempt = support.id(support.now, 8) } }
        world.attempts[2] = support.attempt { id = support.id(support.now, 8), state = "succeeded",
            prev = world.attempts[1].id }
        apply()
        assert.are.same({ "payment.note", "attempt.succeed", "event.insert", "payment.reserve_surplus",
            "refund.insert", "event.append", "timer.insert", "call.finish" }, names(world.units[1]))
        assert.are.same({ "duplicate_paid" }, world.alarms)
    end)

    it("of what is said once more asks nobody what becomes of money that comes twice", function()
        world.payments = { support.payment { state = "paid", captured_amount = 1234 } }
        world.attempts[1].state, world.attempts[1].trade_no = "succeeded", "T1"
        world.policy = setmetatable({}, { __index = function(_, name) error("asked for " .. name) end })
        assert.are.equal("none", apply().effect)
        assert.are.same({ "call.finish" }, names(world.units[1]))
    end)

    it("of a payment that is paid looks at its other open orders at once", function()
        world.payments = { support.payment { attempt = support.id(support.now, 8) } }
        world.attempts[2] = support.attempt { id = support.id(support.now, 8), due = 66,
            prev = world.attempts[1].id }
        apply()
        local unit = world.units[1]
        assert.are.same({ "payment.pay", "attempt.succeed", "event.insert", "attempt.due", "timer.insert",
            "call.finish" }, names(unit))
        assert.are.equal(66, params(unit, "attempt.due").due_was)
        assert.are.equal(world.attempts[2].id, params(unit, "timer.insert").object)
        assert.are.equal(NOW + 1, due.ms(params(unit, "attempt.due").due))
    end)

    it("of a message about what was reversed asks the channel, and moves nothing", function()
        world.attempts[1].state = "cancelled"
        local decision = apply(support.success(), { proof = { kind = "ntf", id = 98, digest = "d" },
            extra = function() return { { "notification.insert", {} } } end })
        local unit = world.units[1]
        assert.are.same({ "attempt.due", "timer.insert", "notification.insert" }, names(unit))
        assert.are.equal(NOW, due.ms(params(unit, "timer.insert").due_id))
        assert.are.equal("none", decision.effect)
        assert.is_nil(decision.check)
    end)
end)

describe("a success that the channel states", function()
    local function asked_at(ms)
        return { proof = { kind = "cal", id = support.id(ms, 1), digest = ("\1"):rep(32) } }
    end

    it("while our cancel is under way, silent or wanted again does not pay", function()
        world.payments = { support.payment { closing = "cancel" } }
        world.attempts[1].state = "waiting_payer"
        for _, last in ipairs { {}, { class = "unknown" }, { class = "pending" } } do
            world.units, world.cancels = {}, { last }
            assert.are.equal("none", (apply()).effect)
            assert.are.same({ "call.finish" }, names(world.units[1]))
        end
        world.units, world.cancels = {}, nil
        assert.are.equal("none", (apply()).effect, "nobody knows")
    end)

    it("pays when no cancel was sent, or the channel has refused it", function()
        world.payments = { support.payment { closing = "cancel" } }
        for _, class in ipairs { "none", "declined", "ok", "not_sent" } do
            local last = class ~= "none" and { { class = class } } or {}
            world.attempts[1].state, world.units, world.cancels = "waiting_payer", {}, last
            apply()
            assert.are.same({ "payment.pay", "attempt.due", "attempt.succeed", "event.insert",
                "call.finish" }, names(world.units[1]))
            assert.are.same({ attempt = world.attempts[1].id, due_was = 55, due = 55 },
                params(world.units[1], "attempt.due"), "none has left since")
        end
    end)

    it("of an order that was reversed counts only when it was asked for after that", function()
        world.payments = { support.payment { state = "closed", last_event = support.id(support.now + 3000) } }
        world.attempts[1].state = "cancelled"
        apply(nil, asked_at(support.now + 2999))
        assert.are.same({ "attempt.due", "timer.insert", "call.finish" }, names(world.units[1]))
        apply(nil, asked_at(support.now + 3001))
        assert.are.equal("payment.pay", names(world.units[2])[1])
    end)

    it("of such an order does so too while ids stand still, the clock having gone back", function()
        local ahead = support.now + 3600000
        world.attempts[1].state = "cancelled"
        world.payments = { support.payment { state = "closed", last_event = support.id(ahead, 5) } }
        apply(nil, { proof = { kind = "cal", id = support.id(ahead, 4), digest = ("\1"):rep(32) } })
        assert.are.same({ "attempt.due", "timer.insert", "call.finish" }, names(world.units[1]))
        apply(nil, { proof = { kind = "cal", id = support.id(ahead, 6), digest = ("\1"):rep(32) } })
        assert.are.equal("payment.pay", names(world.units[2])[1])
    end)

    it("of an order that was given back there counts only when it was asked for after that", function()
        world.payments = { support.payment { closing = "cancel" } }
        local given = apply({ state = "unknown", given_back = true, trade_no = "T1" }).attempt
        world.payments = { support.payment { state = "closed", last_event = support.id(support.now + 3000) } }
        for name, value in pairs { state = given.to, code = given.code, trade_no = given.trade_no } do
            world.attempts[1][name] = value
        end
        apply(nil, asked_at(support.now + 2999))
        assert.are.same({ "attempt.due", "timer.insert", "call.finish" }, names(world.units[2]))
        apply(nil, asked_at(support.now + 3001))
        assert.are.equal("payment.pay", names(world.units[3])[1])
    end)

    it("whose reversal nobody wants any more counts when that can no longer be carried out", function()
        world.payments = { support.payment { state = "paid", captured_amount = 1234,
            attempt = support.id(support.now, 8) } }
        world.attempts[1].state = "waiting_payer"
        world.attempts[2] = support.attempt { id = support.id(support.now, 8), state = "succeeded",
            prev = world.attempts[1].id }
        world.cancels = { { id = support.id(support.now - 20000, 7), op = "cancel", class = "unknown" } }
        local told = { proof = { kind = "ntf", id = support.id(support.now, 9), digest = "d" },
            extra = function() return { { "notification.insert", {} } } end }
        assert.is_true(apply(nil, told).confirm, "a message may be older")
        assert.are.same({ "attempt.due", "timer.insert", "notification.insert" }, names(world.units[1]))
        assert.are.equal("none", apply(nil, asked_at(support.now - 20000 + 11999)).effect)
        assert.are.equal("surplus", apply(nil, asked_at(support.now - 20000 + 12000)).effect)
        world.cancels[1].class = "declined"
        assert.are.equal("surplus", apply(nil, asked_at(support.now - 19000)).effect)
        world.cancels[1].class = "unknown"
        assert.are.equal("cancelled", apply({ state = "unknown", given_back = true }).attempt.to)
    end)
end)

describe("an order that the channel did not know when it could still be opened", function()
    it("stays open, though its time is over when the answer comes", function()
        world.attempts[1].expires_at = support.now - 120000
        local function answered(asked)
            return apply({ state = "not_found" }, { proof = { kind = "cal", id = support.id(asked, 1),
                digest = ("\1"):rep(32) } })
        end
        assert.are.equal("none", answered(support.now - 1).effect)
        assert.are.equal("payment.closed", answered(support.now).event)
    end)
end)

describe("when somebody was faster", function()
    local REREAD = { code = "guard", otherwise = "reread" }

    it("it is read and decided again", function()
        world.payments = { support.payment(), support.payment { state = "closed", version = 2 } }
        world.refusals = { REREAD }
        local decision = apply()
        assert.are.equal("late", decision.effect)
        assert.are.equal(2, params(world.units[2], "payment.pay").version_was)
    end)

    it("or the payment's other orders cannot be read, nothing is decided", function()
        world.unreadable = support.id(support.now, 8)
        world.payments = { support.payment { attempt = world.unreadable } }
        local decision, err = apply { state = "expired" }
        assert.is_nil(decision)
        assert.are.equal("unavailable", err.code)
        assert.are.same({}, world.units)
    end)

    it("many times, then a person is told", function()
        for i = 1, 1000 do
            world.refusals[i] = REREAD
        end
        local decision, err = apply()
        assert.is_nil(decision)
        assert.are.equal("busy", err.code)
        assert.are.same({ "cannot_settle" }, world.alarms)
        assert.is_true(#world.units >= 3 and #world.units < 1000)
    end)

    it("with a timer's stamp, another is taken, and the row names it", function()
        world.refusals = { { code = "guard", otherwise = "stamp" } }
        world.attempts[1].state = "issued"
        apply { state = "unknown", channel_state = "ODD" }
        local move, timer = params(world.units[2], "attempt.move"), params(world.units[2], "timer.insert")
        assert.are.equal(move.due, timer.due_id)
        assert.are.equal(NOW + 2000, due.ms(timer.due_id))
    end)
end)
