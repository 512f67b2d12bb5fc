-- What rules give: what is wrong with it is said with what came, and where the rule stands.
local contract = require "tael.scripts.contract"
local places = require "tael.scripts.places"

describe("the contract of rules", function()
    local wrong = {
        { "risk", { nil }, 'the first result is "allow", "review" or "deny", not nil (is a return '
            .. 'missing?)' },
        { "risk", { "reveiw" }, 'the first result is "allow", "review" or "deny", not "reveiw": did you mean '
            .. '"review"?' },
        { "risk", { "no\nway\255" }, 'the first result is "allow", "review" or "deny", not "no way?"' },
        { "risk", { {} }, 'the first result is "allow", "review" or "deny", not a table' },
        { "risk", { "deny", 5 },
            "the second result is a reason: a text of at most 200 bytes in UTF-8, or nil"
            .. ", not 5" },
        { "limits", { 5000 }, "the result is a table of limits, or nil, not 5000" },
        { "limits", { { max_amount = 0.5 } },
            "max_amount is an integer of minor units, at least 1, not 0.5" },
        { "limits", { { max_day_count = "5" } }, 'max_day_count is an integer, at least 1, not "5"' },
        { "price", { true }, "the result is {fee = minor units}, or nil, not true" },
        { "price", { { fee = 1.5 } },
            "fee is an integer of minor units, at least 0, not 1.5" },
        { "route", { nil },
            "the first result is a list of 1 to 16 channels, not nil (is a return "
            .. "missing?)" },
        { "route", { "alipay" },
            'the first result is a list of 1 to 16 channels, not "alipay"' },
        { "route", { { 5 } }, "entry 1 is a channel's name or {channel=, account=, product=} of texts, "
            .. "not 5" },
        { "on_late_paid", { nil }, 'the result is "accept" or "refund" or "review", not nil (is a return '
            .. 'missing?)' },
        { "on_duplicate_paid", { "refnd" }, 'the result is "refund" or "review", not "refnd": did you mean '
            .. '"refund"?' },
    }
    for i, case in ipairs(wrong) do
        it("says what came: " .. i, function()
            local given, told = contract.rules[case[1]].check(case[2][1], case[2][2])
            assert.is_nil(given)
            assert.are.equal(case[3], told)
        end)
    end
end)

describe("the place of a rule", function()
    for source, line in pairs {
        ["local rules = {}\n\nfunction rules.risk(payment)\nend\nreturn rules"] = 3,
        ["return {\n  limits = function() end,\n  risk = function(payment) end }"] = 3,
        ["local r = {}\nr.risk = function() end\nreturn r"] = 2,
        ["local function risk() end\nreturn { risk = risk }"] = 1,
        ["-- function rules.risk()\nlocal s = 'function risk()'\nreturn { risk = require 'lib.x' }"] = false,
        ["local r = { b = {} }\nfunction r.b.risk() end\n"] = 2,
        ["return { risk = 5, other = function() end }"] = false,
        [("a = 1 "):rep(5000) .. "function risk() end"] = false,
        ["function"] = false, ["= function"] = false, [""] = false,
    } do
        it(("is %s in %q"):format(line, source:sub(1, 40)), function()
            assert.are.equal(line, places.line(source, "risk") or false)
        end)
    end

    it("is kept, and is its file where the line cannot be told", function()
        local generation = { source = "return {\nrisk = function() end }" }
        assert.are.equal("rules.lua:2", places.of(generation, "rules.lua", "risk"))
        generation.source = nil
        assert.are.equal("rules.lua:2", places.of(generation, "rules.lua", "risk"))
        assert.are.equal("rules.lua", places.of(generation, "rules.lua", "price"))
    end)
end)
