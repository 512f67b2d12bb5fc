-- A person's decision about a payment: what the channel's answers allow. The channel and the store are lists.
local support = require "tests.spec.kernel_support"

local world

package.loaded["tael.store"] = {
    id_ms = function(id) return (id >> 22) + support.EPOCH_MS end,
}
package.loaded["tael.time"] = { now = function() return world.now end }
package.loaded["tael.task"] = { scope = function() return 3 end, wake = function() end }
package.loaded["tael.log"] = { info = function() end, warn = function() end, error = function() end }
package.loaded["tael.kernel.events_wake"] = { announce = function() end }
package.loaded["tael.kernel.counters"] = { moved = function() return {} end }
package.loaded["tael.kernel.release"] = {}
package.loaded["tael.kernel.calls"] = {
    finish = function(asked) return { "call.finish", { call = asked.call } } end,
    close = function() end,
    proof = function(asked) return { kind = "cal", id = asked.call } end,
}
package.loaded["tael.kernel.query"] = {
    look = function() return { call = support.id(world.asked, 5) }, { state = "not_found" } end,
}
package.loaded["tael.kernel.payments"] = {
    row_of = function() return world.payment end,
    attempts_of = function() return { world.attempt } end,
    get = function() return world.payment end,
    told = function(err) return nil, err end, entered = function() end,
}
package.loaded["tael.kernel.settle"] = {
    commit = function(list)
        world.unit = list
        return {}
    end,
}

local ids = require "tael.kernel.ids"
local registry = require "tael.kernel.registry"
registry.config = { payments = { grace = 120000 } }

local review = require "tael.kernel.review"

local OVER = support.now + 1800000 + 120000

before_each(function()
    world = { payment = support.payment { state = "review", reason = "manual" }, attempt = support.attempt(),
        asked = OVER, now = OVER }
end)

local function close()
    return review.decide(ids.encode("pay", world.payment.id),
        { decision = "closed", note = "n", actor = "op" })
end

describe("a payment whose order the channel does not know", function()
    it("is closed when nobody can open the order any more", function()
        assert.is_truthy(close())
        assert.are.equal("payment.decide_unpaid", world.unit[1][1])
    end)

    it("is not closed when that was asked while somebody could, however long the answer took", function()
        world.asked, world.now = OVER - 1, OVER + 3600000
        local view, err = close()
        assert.is_nil(view)
        assert.are.equal("state_conflict", err.code)
        assert.matches("can still be opened", err.detail)
        assert.is_nil(world.unit)
    end)
end)
