-- The README's table of magic amounts against the simulator's own.
require "tests.spec.channel_support"
local magic = require "tael.sandbox.alipay.magic"

local function rows()
    local file = assert(io.open "README.md")
    local found = {}
    for line in file:lines() do
        local digits, payment, refund = line:match("^| (%d%d) | (.-) | (.-) |$")
        if digits then
            digits = math.tointeger(tonumber(digits))
            found[#found + 1] = { digits = digits, total = payment, refund = refund }
        end
    end
    file:close()
    return found
end

describe("the README's magic amounts", function()
    local by_digits = {}
    for _, row in ipairs(rows()) do
        by_digits[row.digits] = row
    end

    for _, rule in ipairs(magic.rules) do
        it(("name %02d of a %s"):format(rule.digits, rule.of), function()
            assert.is_table(by_digits[rule.digits])
            assert.is_true(#by_digits[rule.digits][rule.of] > 0)
        end)
    end

    it("name none that does nothing", function()
        local known = {}
        for _, rule in ipairs(magic.rules) do
            known[rule.of .. rule.digits] = true
        end
        for digits, row in pairs(by_digits) do
            for _, of in ipairs { "total", "refund" } do
                assert.are.equal(known[of .. digits] == true, #row[of] > 0)
            end
        end
    end)
end)
