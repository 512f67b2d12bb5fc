-- What is said of notifications when the store does not give them.
require "tests.spec.kernel_support"

local fault
package.loaded["tael.store"] = { query = function() return nil, { code = fault } end }
package.loaded["tael.task"] = { worker = function() return 1 end, wake = function() end,
    scope = function() return 3 end }
package.loaded["tael.log"] = { error = function() end }

local ids = require "tael.kernel.ids"
local inspect = require "tael.kernel.inspect"

for code, told in pairs { busy = "overloaded", unavailable = "store_unavailable" } do
    it("a store that is " .. code .. " is told as " .. told .. ": the same may be asked again", function()
        fault = code
        for _, filters in ipairs { { limit = 10 }, { limit = 10, payment = 1 } } do
            local list, err = inspect.list(filters)
            assert.is_nil(list)
            assert.are.equal(told, err.code)
        end
        local view, err = inspect.explain(ids.encode("ntf", 5))
        assert.is_nil(view)
        assert.are.equal(told, err.code)
    end)
end
