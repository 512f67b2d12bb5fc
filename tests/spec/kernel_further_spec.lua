-- An order of a payment that is there already: whose fault it is that none can be made.
require "tests.spec.kernel_support"

local refusal
local NONE = "no order of this payment can be made now: alipay: no"

package.loaded["tael.kernel.orders"] = { plan = function() return nil, refusal end }
for _, name in ipairs { "tael.kernel.idempotency", "tael.kernel.counters", "tael.kernel.payments",
    "tael.kernel.settle", "tael.kernel.ways", "tael.kernel.events_wake", "tael.scripts.rules",
    "tael.scripts.inputs", "tael.log" } do
    package.loaded[name] = {}
end
package.loaded["tael.kernel.metrics"] = { by_two = function() end }

local creation = require "tael.kernel.creation"

describe("an order of a payment that is there already", function()
    local function refused(code, field, of_request)
        refusal = { code = code, channel = "alipay", field = field, detail = "alipay: no" }
        local order, err = creation.plan_attempt({}, of_request)
        assert.is_nil(order)
        return { err.code, err.pointer, err.detail }
    end

    it("is a conflict where the payment is what does not fit", function()
        for _, code in ipairs { "invalid_field", "missing_field" } do
            assert.are.same({ "state_conflict", nil, NONE },
                refused(code, "payer.openid", { product = true }))
        end
        assert.are.same({ "amount_out_of_range", nil, NONE },
            refused("amount_out_of_range", "amount", { product = true }))
    end)

    it("is the request's fault only in what that may say", function()
        assert.are.same({ "product_not_supported", "/product", "alipay: no" },
            refused("product_not_supported", "product", { product = true }))
        assert.are.same({ "product_not_supported", nil, NONE },
            refused("product_not_supported", "product", {}))
    end)

    it("is nobody's where the script went wrong", function()
        refusal = { code = "no_channel_available", detail = "the account is no longer configured" }
        local _, err = creation.plan_attempt({}, {})
        assert.are.same({ code = "no_channel_available", detail = refusal.detail }, err)
    end)
end)
