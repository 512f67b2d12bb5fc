-- Which counters a merchant's source names, found without running it.
local contract = require "tael.scripts.contract"
local counters = require "tael.scripts.inside.counters"
local counting = require "tael.scripts.counting"
local loading = require "tael.scripts.loading"
local tokens = require "tael.scripts.tokens"

local function named(text, more)
    local files = { ["rules.lua"] = text }
    for path, other in pairs(more or {}) do
        files[path] = other
    end
    local found, wrong = counting.of(files)
    return found and table.concat(found.names, " "), wrong, found
end

local RISK = "local rules = {}\nfunction rules.risk(payment, history)\n%s\nend\nreturn rules\n"

describe("what is counted", function()
    it("is what is named, as a field or as a text", function()
        assert.equal("ip_attempts_1h", named(RISK:format("return history.ip_attempts_1h > 3")))
        assert.equal("payer_amount_30d", named(RISK:format("return history['payer_amount_30d'] > 3")))
        assert.equal("attempts_today device_failed_7d", named(RISK:format(
            'local n = "device_failed_7d" return history[n] + history.attempts_today')))
        assert.equal("merchant_paid_1d", named("return { risk = require 'lib.risk' }",
            { ["lib/risk.lua"] = "return function(p, history) return history.merchant_paid_1d end" }))
    end)

    it("is nothing where nobody speaks of it", function()
        assert.is_nil((counting.of { ["rules.lua"] = "return { risk = function(p) return 'allow' end }" }))
        assert.is_nil((counting.of { ["routes.lua"] = RISK:format("return history.ip_attempts_1h") }))
        assert.is_nil((named("return {}", { ["spec/rules_spec.lua"] = "t.history { ip_paid_1h = 1 }",
            ["routes.lua"] = "return history.ip_paid_1h" })))
        assert.equal("", named("-- history.ip_attempts_1h\n--[[ history.payer_paid_1h ]]\nreturn {}"))
        assert.equal("", named("local s = 'of history.ip_attempts_1h' .. [[payer_paid_1d]] return {}"))
    end)

    it("knows the limits of a day by their names", function()
        local text = "return { limits = function() return { %s = 1 } end }"
        local _, _, found = named(text:format "max_day_count")
        assert.are.same({ true, false }, { found.day_count, found.day_amount })
        _, _, found = named(text:format "max_day_amount")
        assert.are.same({ false, true }, { found.day_count, found.day_amount })
        assert.is_nil((counting.of { ["rules.lua"] = text:format "max_amount" }))
    end)

    for label, case in pairs {
        ["under the contract's name"] = { RISK:format("\nreturn history.ip_atempts_1h"),
            "rules.lua:4: history has no counter 'ip_atempts_1h': did you mean 'ip_attempts_1h'?" },
        ["as a text"] = { RISK:format("return history['payer_paid_2d']"),
            "rules.lua:3: history has no counter 'payer_paid_2d': did you mean 'payer_paid_1d'?" },
        ["under the author's name"] = {
            "local rules = {} function rules.risk(a, past) return past.payer_declined_1h end return rules",
            "rules.lua:1: history has no counter 'payer_declined_1h': did you mean 'payer_failed_1h'?" },
        ["in a table"] = { "return { limits = function(p, h) return { max_amount = h.attemps_today } end }",
            "rules.lua:1: history has no counter 'attemps_today': did you mean 'attempts_today'?" },
        ["of a route, where it is the third"] = { "return { route = function(p, c, h) return h.x end }",
            "rules.lua:1: history has no counter 'x': names are like ip_attempts_1h, payer_paid_30d, "
                .. "attempts_today" },
        ["inside blocks and functions"] = { RISK:format(
            "for i = 1, 2 do if i then local f = function() repeat until history.nope end end end"),
            "rules.lua:3: history has no counter 'nope': names are like ip_attempts_1h, payer_paid_30d, "
                .. "attempts_today" },
    } do
        it("refuses a name that no counter has, " .. label, function()
            local _, wrong = named(case[1])
            assert.equal(case[2], wrong)
        end)
    end

    it("leaves alone what only looks like it", function()
        for _, text in ipairs {
            "local function f(h) return h.all end return { risk = function(p, h) return h.ip_paid_1h end }",
            "local history = { mine = 1 } return { price = function() return history.mine end }",
            "return { risk = function(p, history) return p.history.mine or history.ip_paid_1h end }",
            "return { route = function(p, channels) return channels.alipay end, limits = function() end }",
            "return { risk = function(p, past) end, price = function(past) return past.anything end }",
        } do
            local _, wrong = named(text)
            assert.is_nil(wrong, text)
        end
    end)

    it("is refused by the check, with the merchant's folder", function()
        loading.open "lua"
        local generation, why = loading.check("acme", { ["rules.lua"] = RISK:format("return history.nope") })
        assert.is_nil(generation)
        assert.matches("^merchants/acme/rules%.lua:3: history has no counter 'nope'", why)
        generation = loading.check("acme", { ["rules.lua"] = RISK:format("return history.ip_paid_1h") })
        assert.are.same({ "ip_paid_1h" }, generation.counting.names)
    end)

    it("takes no time that grows with what is hostile", function()
        local blanks, escapes = (" "):rep(50000), ("\\\\"):rep(100000)
        for _, text in ipairs {
            ("x=1 "):rep(60000) .. "history", "history '" .. escapes .. "'", "history \"" .. escapes,
            ("(" .. blanks):rep(4) .. "history", ("risk" .. blanks .. "("):rep(4),
            "history " .. ("risk("):rep(40000),
        } do
            local _, _, used = counting.of { ["rules.lua"] = text }
            assert.is_true(used <= 1100000, #text)
        end
        for part in ("function :function(a,:function a.:history.a[:end :risk=function(a,"):gmatch "[^:]+" do
            local steps = 0
            debug.sethook(function() steps = steps + 1000 end, "", 1000)
            counting.of { ["rules.lua"] = "history " .. part:rep(2000) }
            debug.sethook()
            assert.is_true(steps < 2500000, part .. steps)
        end
        local _, wrong = named(("x=1 "):rep(60000) .. "history")
        assert.matches("^rules%.lua: files that speak of history have at most 10,000 words", wrong)
    end)

    it("can be any counter of which the guide speaks", function()
        local count = 0
        for name in pairs(counters.known) do
            assert.equal(name, named(RISK:format("return history." .. name)))
            count = count + 1
        end
        assert.equal(4 * 5 * 4 + 1, count)
    end)
end)

describe("tokens", function()
    it("are told apart as Lua does", function()
        local list = tokens.of("a.b=[==[ ]] ]==] 'x\\'y' \"\" --[[ c\n]] 0x1p4 .5 d --e", 1000)
        local out = {}
        for i, token in ipairs(list) do
            out[i] = token[1]:sub(1, 1) .. token[2]
        end
        assert.equal("na s. nb s= tx\\'y t nd", table.concat(out, " "))
    end)

    it("end where a text or a comment does not", function()
        for _, text in ipairs { "'", "\"\\", "[[", "--[==[ x", "--" } do
            assert.is_table((tokens.of("a " .. text, 1000)), text)
        end
    end)
end)

describe("the limits of a day", function()
    local check = contract.rules.limits.check
    for label, case in pairs {
        ["a number that is none"] = { { max_day_count = 1.5 },
            "max_day_count is an integer, at least 1, not 1.5" },
        ["no place at all"] = { { max_day_count = 0 }, "max_day_count is an integer, at least 1, not 0" },
        ["more than can be summed"] = { { max_day_amount = 100000000000000001 },
            "max_day_amount is an integer of minor units, at least 1, not 100000000000000001" },
        ["another word"] = { { max_week = 1 },
            "there is no limit 'max_week': there are max_amount, max_day_amount and max_day_count" },
    } do
        it("are refused: " .. label, function()
            local limits, why = check(case[1])
            assert.is_nil(limits)
            assert.equal(case[2], why)
        end)
    end
end)
