-- What a person is told, and how often.
require "tests.spec.kernel_support"

local world

package.loaded["tael.log"] = {
    error = function(event, fields) world.lines[#world.lines + 1] = { event, fields } end,
}
package.loaded["tael.time"] = { monotonic = function() return world.now end }
package.loaded["tael.kernel.metrics"] = { count = function(name, labels)
    assert.are.equal("tael_alarms_total", name)
    world.counted[labels.kind] = (world.counted[labels.kind] or 0) + 1
end }

local alarms = require "tael.kernel.alarms"

before_each(function()
    world = { lines = {}, counted = {}, now = 1000 }
    alarms.told = {}
end)

describe("an alarm", function()
    it("is a line under one word, and counted", function()
        alarms.raise("paid_late", { payment = "pay_1", actor = "timer" })
        assert.are.same({ { "alarm", { kind = "paid_late", payment = "pay_1", actor = "timer" } } },
            world.lines)
        assert.are.same({ paid_late = 1 }, world.counted)
    end)

    it("about the same thing is told again only after a while, and counted always", function()
        for second = 1, 599 do
            world.now = second * 1000
            alarms.raise("unknown_word", { payment = "pay_1", attempt = "att_1", detail = "ODD",
                call = second })
        end
        assert.are.equal(1, #world.lines)
        assert.are.equal(599, world.counted.unknown_word)
        world.now = 601000
        alarms.raise("unknown_word", { payment = "pay_1", attempt = "att_1", detail = "ODD" })
        assert.are.equal(2, #world.lines)
    end)

    it("about something else is always told", function()
        alarms.raise("unknown_word", { payment = "pay_1", attempt = "att_1", detail = "ODD" })
        alarms.raise("unknown_word", { payment = "pay_1", attempt = "att_2", detail = "ODD" })
        alarms.raise("unknown_word", { payment = "pay_1", attempt = "att_1", detail = "ODDER" })
        alarms.raise("foreign_refund", { payment = "pay_1", refund_no = "1" })
        alarms.raise("foreign_refund", { payment = "pay_1", refund_no = "2" })
        alarms.raise("fact_not_proved", { notification = "ntf_1", account = "a", detail = "seller" })
        alarms.raise("fact_not_proved", { notification = "ntf_2", account = "a", detail = "seller" })
        assert.are.equal(7, #world.lines)
    end)

    it("about an account is told once for all its orders", function()
        for order = 1, 50 do
            alarms.raise("channel_config", { account = "a", op = "query", detail = "keys",
                payment = "pay_" .. order, attempt = "att_" .. order })
        end
        alarms.raise("channel_config", { account = "b", op = "query", detail = "keys" })
        assert.are.equal(2, #world.lines)
        assert.are.equal(51, world.counted.channel_config)
    end)

    it("about a rule is told once, whatever the rule says of it", function()
        local function fail(merchant, rule, failure, generation, detail)
            alarms.raise("rule_failed", { merchant = merchant, rule = rule, failure = failure,
                generation = generation, detail = detail })
        end
        for order = 1, 5000 do
            fail("shop", "risk", "raised", "g1", "rules.lua:2: no " .. order)
        end
        assert.equal(1, #world.lines)
        fail("shop", "risk", "spent", "g1", "used up its steps")
        fail("shop", "price", "raised", "g1", "rules.lua:9: no fee")
        fail("shop", "risk", "raised", "g2", "rules.lua:2: no 1")
        fail("other", "risk", "raised", "g1", "rules.lua:2: no 1")
        fail("shop", "risk", "raised", "g1", "rules.lua:2: no 1")
        assert.equal(5, #world.lines)
        assert.equal(5005, world.counted.rule_failed)
    end)

    it("is remembered within bounds", function()
        for order = 1, 10000 do
            alarms.raise("paid_late", { payment = "pay_" .. order })
        end
        local kept = 0
        for _ in pairs(alarms.told) do
            kept = kept + 1
        end
        assert.is_true(kept <= 4096)
        assert.are.equal(10000, #world.lines)
    end)
end)
