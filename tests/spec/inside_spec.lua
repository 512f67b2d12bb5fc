--- What Tael puts beside a merchant's files: the helpers say what Tael's own functions say, in an isolate.
require "tests.spec.kernel_support"
local codec = require "tael.crypto"
local durations = require "tael.config.durations"
local isolate = require "tael.isolate"
local decimal = require "tael.decimal"
local money = require "tael.kernel.money"
local own = require "tael.scripts.own"
local time = require "tael.time"

own.open "lua"

local unit = isolate.generation { name = "merchants/acme", key = "inside", files = own.beside {
    ["rules.lua"] = [[
        local tael = require "tael"
        return {
            call = function(module, name, args, group)
                local f = group and tael[module][group][name] or tael[module][name]
                local given = f(table.unpack(args, 1, 4)) -- no tail call: errors name this line
                return given
            end,
            misc = function()
                local a, b = { 1, { x = "y" } }, { 1, { x = "y" } }
                return tael.deep_equal(a, b), tael.deep_equal(a, { 1, { x = "z" } }), tael.nothing == nil,
                    tael.response { status = 201, json = a }
            end,
            write = function() tael.money.format = nil end,
        }
    ]],
} }

local function call(module, name, args, group)
    local inputs = { module, name, args, group or false }
    local answer = unit:ask("rules.lua", { { "call", 1, 2, 3, 4 } }, inputs, 1000000)[1]
    if answer[1] then
        return answer[2]
    end
    return nil, answer[3]
end

describe("tael.money in an isolate", function()
    local amounts = { 0, 1, 5, 99, 100, 1234, -1, -1234, 100000000000000, 99999999999999 }

    it("formats and parses as the kernel does", function()
        for _, currency in ipairs { "CNY", "JPY", "KWD", "USD" } do
            for _, amount in ipairs(amounts) do
                local text = call("money", "format", { amount, currency })
                assert.are.equal(money.format(amount, currency), text)
                assert.are.equal((money.parse(text, currency)), call("money", "parse", { text, currency }))
            end
        end
        for _, text in ipairs { "", ".", "1.", ".5", "1.234", "-1", "+1", "1e3", " 1", "1,000", "0x10",
            "100000000000001", "9999999999999999999", "12.3", "007" } do
            assert.are.equal((money.parse(text, "CNY")), (call("money", "parse", { text, "CNY" })), text)
        end
    end)

    --- Each share is its weight's, rounded down, and one more for the first ones until nothing is left.
    local function check_split(amount, weights)
        local shares, sum, total = call("money", "split", { amount, weights }), 0, 0
        for _, weight in ipairs(weights) do
            total = total + weight
        end
        local was_more = true
        for i, share in ipairs(shares) do
            sum = sum + share
            local more = share - (amount // total * weights[i] + amount % total * weights[i] // total)
            assert.is_true(more == 0 or more == 1 and was_more and weights[i] > 0, amount)
            was_more = weights[i] == 0 and was_more or more == 1
        end
        assert.are.equal(amount, sum)
    end

    it("adds, splits and takes percent exactly", function()
        local random = 12345
        local function draw(most)
            random = (random * 6364136223846793005 + 1442695040888963407)
            return (random >> 11) % (most + 1)
        end
        for _ = 1, 100 do
            local amount = draw(100000000000000)
            local percent = ("%d.%06d"):format(draw(150), draw(999999))
            assert.are.equal(decimal.ratio(amount, decimal.parse(percent, 6), 100000000),
                call("money", "percent", { amount, percent }))
            check_split(amount, { draw(9), draw(9) + 1, draw(1000) })
            assert.are.equal(amount + 7, call("money", "add", { amount, 7 }))
            assert.are.equal(amount - 7, call("money", "sub", { amount, 7 }))
        end
        for _, amount in ipairs { 0, 1, 7, 99, 1234567, money.MAX } do
            for _, weights in ipairs { { 1, 1 }, { 3, 7, 11 }, { 1, 999999937 }, { 0, 5, 0, 2 } } do
                check_split(amount, weights)
            end
        end
    end)

    for told, case in pairs {
        ["equal shares"] = { "split", { 10, 3 }, { 4, 3, 3 } },
        ["shares by weight"] = { "split", { 100, { 2, 1 } }, { 67, 33 } },
        ["nothing for a weight of zero"] = { "split", { 1, { 0, 1, 1 } }, { 0, 1, 0 } },
        ["a percent of text"] = { "percent", { 1000, "0.6" }, 6 },
        ["a half, up"] = { "percent", { 50, "1" }, 1 },
        ["less than a half, down"] = { "percent", { 49, "1" }, 0 },
        ["a percent of an integer"] = { "percent", { 100, 3 }, 3 },
        ["all of the most"] = { "percent", { money.MAX, 100 }, money.MAX },
    } do
        it("gives " .. told, function()
            assert.are.same(case[3], call("money", case[1], case[2]))
        end)
    end

    it("refuses floats, currencies that are none, and what does not fit", function()
        for told, args in pairs {
            ["amount must be an integer of minor units"] = { "format", { 1.5, "CNY" } },
            ["'XXX' is not a currency"] = { "format", { 1, "XXX" } },
            ["the sum does not fit"] = { "add", { math.maxinteger, 1 } },
            ["the difference does not fit"] = { "sub", { 0, math.mininteger } },
            ["percent must be an integer or a decimal text"] = { "percent", { 1, 0.5 } },
            ["among nobody"] = { "split", { 10, {} } },
            ["nothing to split, or among nobody"] = { "split", { 100, { 0, 0 } } },
            ["nothing to split"] = { "split", { -1, 2 } },
        } do
            local given, why = call("money", args[1], args[2])
            assert.is_nil(given)
            assert.matches("^merchants/acme/rules.lua:%d+: tael.money: ", why)
            assert.matches(told, why, 1, true)
        end
    end)
end)

describe("tael.time in an isolate", function()
    it("writes and reads moments as Tael does", function()
        for _, ms in ipairs { 0, 1, 951782400000, 1709164800000, 1795907733049, 4102444800000, -1 } do
            for _, zone in ipairs { "UTC", "+08:00", "-03:30" } do
                local text = call("time", "format", { ms, "%F %T", zone })
                assert.are.equal(time.format(ms, zone), text)
            end
            if ms >= 0 then
                local text = time.rfc3339(ms)
                assert.are.equal(ms, call("time", "parse", { text }))
            end
        end
        local there = call("time", "format", { 1795907733049, nil, "+08:00" })
        assert.are.equal("2026-11-29T07:15:33+08:00", there)
        for _, text in ipairs { "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-23", "x",
            "2026-11-23T24:00:00Z", "2026-11-23T12:00:00", "2024-02-29T12:00:00Z",
            "2026-11-23T12:00:00+08:00", "2026-11-23T12:00:00.5Z" } do
            assert.are.equal((time.parse_rfc3339(text)), (call("time", "parse", { text })), text)
        end
    end)

    it("reads durations", function()
        for _, text in ipairs { "5s", "30m", "1h", "2d", "100ms", "5", "s", "-1s", "1w" } do
            local ms = text:find("%a") and durations.parse(text) or nil
            assert.are.equal(ms, (call("time", "duration", { text })), text)
        end
    end)
end)

describe("tael.codec in an isolate", function()
    it("writes and reads bytes as Tael does", function()
        for _, bytes in ipairs { "", "a", "ab", "abc", "\0\255\128", ("x"):rep(1000) } do
            for _, kind in ipairs { "hex", "base64" } do
                local text = codec[kind].encode(bytes)
                assert.are.equal(text, call("codec", "encode", { bytes }, kind))
                assert.are.equal(bytes, call("codec", "decode", { text }, kind))
            end
        end
        for kind, wrong in pairs { hex = { "a", "xy", "0x" },
            base64 = { "a", "YQ", "YQ=", "YR==", "=YQ=", "Y===" } } do
            for _, text in ipairs(wrong) do
                assert.is_nil((call("codec", "decode", { text }, kind)), text)
            end
        end
    end)
end)

describe("tael in an isolate", function()
    it("has what routes need besides", function()
        local answer = unit:ask("rules.lua", { { "misc" } }, {}, 100000)[1]
        assert.are.same({ true, true, false, true, { status = 201, json = { 1, { x = "y" } } } }, answer)
        local _, why = table.unpack(unit:ask("rules.lua", { { "write" } }, {}, 100000)[1], 2)
        assert.matches("must not write", why)
    end)
end)
