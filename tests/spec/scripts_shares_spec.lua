-- What one merchant's scripts may take of a worker.
require "tests.spec.kernel_support"

local world

package.loaded["tael.kernel.alarms"] = { raise = function(kind, fields)
    world.alarms[#world.alarms + 1] = kind .. " " .. fields.merchant
end }
package.loaded["tael.time"] = { monotonic = function() return world.now end }
package.loaded["tael.kernel.metrics"] = { count = function(name, labels)
    local key = name .. " " .. labels.kind
    world.counted[key] = (world.counted[key] or 0) + 1
end }
package.loaded["tael.scripts.shares"] = nil
local shares = require "tael.scripts.shares"

local SECOND_OF_SHARE = 7500000 -- steps: 5 % of 150,000 a millisecond

before_each(function()
    world = { alarms = {}, counted = {}, now = 1000 }
    shares.open(5)
end)

describe("a merchant's share of a worker", function()
    it("is its own", function()
        shares.charge("rules", "greedy", 2 * SECOND_OF_SHARE)
        assert.is_true(shares.over("rules", "greedy"))
        assert.is_false(shares.over("rules", "other"))
        shares.charge("rules", "other", 1000)
        assert.is_false(shares.over("rules", "other"))
    end)

    it("is another one for its routes", function()
        shares.charge("routes", "acme", 10 * SECOND_OF_SHARE)
        assert.is_false(shares.over("routes", "acme"))
        shares.charge("routes", "acme", 1)
        assert.is_true(shares.over("routes", "acme"))
        assert.is_false(shares.over("rules", "acme"))
    end)

    it("bears what was cut off as long as it lasted, up to what it could use", function()
        world.now = 2000
        -- 50 ms begun: a second of the share
        shares.charge_cut("rules", "acme", 2000 - 49, 100 * SECOND_OF_SHARE)
        assert.is_false(shares.over("rules", "acme"))
        shares.charge_cut("rules", "acme", 2000, 1)
        assert.is_true(shares.over("rules", "acme"))
        shares.charge_cut("rules", "other", 0, SECOND_OF_SHARE)
        assert.is_false(shares.over("rules", "other"))
    end)

    it("may be taken at once for a second, and comes back with time", function()
        shares.charge("rules", "acme", SECOND_OF_SHARE)
        assert.is_false(shares.over("rules", "acme"))
        shares.charge("rules", "acme", 1)
        assert.is_true(shares.over("rules", "acme"))
        world.now = world.now + 1
        assert.is_false(shares.over("rules", "acme"))
        shares.charge("rules", "acme", 10 * SECOND_OF_SHARE)
        world.now = world.now + 9000
        assert.is_true(shares.over("rules", "acme"))
        world.now = world.now + 1000
        assert.is_false(shares.over("rules", "acme"))
        world.now = world.now + 60000 -- nothing is saved up
        shares.charge("rules", "acme", SECOND_OF_SHARE + 1)
        assert.is_true(shares.over("rules", "acme"))
    end)

    it("is what it gets in the long run, however much it asks for", function()
        local steps, used = 250000, 0
        for _ = 1, 10000 do
            world.now = world.now + 1
            if not shares.over("rules", "greedy") then
                shares.charge("rules", "greedy", steps)
                used = used + steps
            end
        end
        assert.is_true(used <= 11 * SECOND_OF_SHARE + steps, used .. " steps in ten seconds")
        assert.is_true(used >= 10 * SECOND_OF_SHARE, used .. " steps in ten seconds")
    end)

    it("is told once a minute, and counted always", function()
        shares.charge("rules", "greedy", 100 * SECOND_OF_SHARE)
        shares.charge("routes", "greedy", 110 * SECOND_OF_SHARE)
        for _ = 1, 90 do
            world.now = world.now + 1000
            shares.over("rules", "greedy")
            shares.over("routes", "greedy")
        end
        assert.are.same(
            { "scripts_over_share greedy", "scripts_over_share greedy", "scripts_over_share greedy",
                "scripts_over_share greedy" }, world.alarms)
        assert.are.equal(90, world.counted["tael_scripts_over_share_total rules"])
        assert.are.equal(90, world.counted["tael_scripts_over_share_total routes"])
    end)

    it("has no bound where it is all of the worker", function()
        shares.open(100)
        shares.charge("rules", "greedy", 1000 * SECOND_OF_SHARE)
        assert.is_false(shares.over("rules", "greedy"))
        assert.are.same({}, world.alarms)
    end)
end)
