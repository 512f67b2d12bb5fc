-- An input that is made into a table when a rule looks at it: an error in the middle, for want of a stack, is
-- caught by no pcall, and so no rule decides on half an input.
local isolate = require "tael.isolate"

local LOCALS = {}
for i = 1, 180 do
    LOCALS[i] = "l" .. i
end

local RULES = [[
local x0
local function look() %s end
local function leaf(...) local ok = pcall(look) return ok end
local function down(n, t, pad)
    local ]] .. table.concat(LOCALS, ",") .. [[

    if n == 0 then local r = leaf(table.unpack(t, 1, pad)) return r end
    local r = down(n - 1, t, pad)
    return r
end
return { f = function(x, n, pad)
    x0 = x
    local t = {}
    for i = 1, 300 do t[i] = i end
    local seen = down(n, t, pad)
    return seen, x.amount ~= nil and x.small ~= nil and x.subject ~= nil and x.z ~= nil
end }
]]

local LONG = ("x"):rep(60)
local GIVEN = { amount = 100000, small = { k = 1 }, subject = LONG, z = { k = 1, text = LONG } }

describe("half an input", function()
    for _, look in ipairs { "return x0[1]", "return x0.small", "return next(x0)", "x0.new = 1" } do
        it("is seen by nobody: " .. look, function()
            local unit = isolate.generation { name = "merchants/acme", key = "half " .. look,
                files = { ["rules.lua"] = RULES:format(look) } }
            local function try(depth, pad)
                return unit:ask("rules.lua", { { "f", 1, 2, 3 } }, { GIVEN, depth, pad }, 3000000)[1]
            end
            local low, high = 1, 20000
            while high - low > 1 do
                local middle = (low + high) // 2
                if try(middle, 0)[1] then
                    low = middle
                else
                    high = middle
                end
            end
            for depth = low - 1, low do
                for pad = 0, 250, 2 do
                    local answer = try(depth, pad)
                    assert.is_true(not answer[1] or answer[3] == true,
                        ("depth %d, %d more"):format(depth, pad))
                end
            end
        end)
    end

    it("is not what the iterators of pairs go through", function()
        local unit = isolate.generation { name = "merchants/acme", key = "iterators", files = {
            ["rules.lua"] = [[return { f = function(x)
                local it = pairs { id = 1, amount = 2 }
                return it(x)
            end }]],
        } }
        assert.same({ true, "amount", 100000 }, unit:ask("rules.lua", { { "f", 1 } }, { GIVEN }, 100000)[1])
    end)
end)
