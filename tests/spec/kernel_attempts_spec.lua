-- Another attempt of a payment: when none may start, and what is said when the store takes nothing.
local support = require "tests.spec.kernel_support"
local ids = require "tael.kernel.ids"

local world

package.loaded["tael.store"] = { query = function(name, params)
    if name == "payment.get" then
        return { world.payment }
    elseif name == "attempt.get" then
        return { world.attempts[params.attempt] }
    end
    return {}
end, id_ms = function(id) return (id >> 22) + support.EPOCH_MS end }
package.loaded["tael.task"] = { last = function() end,
    scope = function() return 3 end, pure = pcall, wake = function() end }
package.loaded["tael.log"] = { info = function() end, error = function() end, warn = function() end }
package.loaded["tael.kernel.ways"] = {
    choose = function() return { id = 8, slug = "other" }, "qr" end,
}
package.loaded["tael.kernel.creation"] = {
    plan_attempt = function() return { row = support.attempt { state = "issued", account = 8 } } end,
}
package.loaded["tael.kernel.details"] = { read = function() return {} end }
package.loaded["tael.kernel.events_wake"] = { announce = function() end }
package.loaded["tael.kernel.orders"] = {
    statements = function() return {}, {} end,
    begin = function()
        world.begun = world.begun + 1
        return nil, world.err
    end,
}

local attempts = require "tael.kernel.attempts"
local NAME = ids.encode("pay", support.payment().id)

local function start()
    local result, err = attempts.start(NAME, {}, "key_1")
    assert.is_nil(result)
    return err.code
end

before_each(function()
    world = { payment = support.payment { parallel = "refund_surplus" }, begun = 0, attempts = {} }
    world.attempts[world.payment.attempt] = support.attempt()
end)

describe("another attempt", function()
    it("is told to come again when the store takes nothing", function()
        for code, told in pairs { busy = "overloaded", unavailable = "store_unavailable",
            constraint = "store_unavailable" } do
            world.err = { code = code, statement = "payment.another" }
            assert.are.equal(told, start())
        end
    end)

    it("hears what the package has against it", function()
        world.err = { code = "invalid_field", pointer = "/product" }
        assert.are.equal("invalid_field", start())
    end)

    it("is tried a few times while others move the payment", function()
        world.err = { code = "guard", otherwise = "reread" }
        assert.are.equal("overloaded", start())
        assert.are.equal(3, world.begun)
    end)

    it("does not begin beside one that may be taking money, nor when the payment is to be closed", function()
        world.attempts[world.payment.attempt].state = "unknown"
        assert.are.equal("attempt_open", start())
        world.attempts[world.payment.attempt].state, world.payment.closing = "issued", "merchant"
        assert.are.equal("state_conflict", start())
        assert.are.equal(0, world.begun)
    end)
end)
