-- A merchant's own specs, run in isolates: what passes, what fails with file and line, and what cannot cheat.
local isolate = require "tael.isolate"
local loading = require "tael.scripts.loading"

loading.open "lua"

local RULES = [[
local rules = {}
function rules.risk(payment)
    if payment.amount > 5000 then return "deny", "too large" end
    return "allow"
end
function rules.on_late_paid(payment) return payment.metadata.keep == "yes" and "accept" or "refund" end
function rules.route(payment, channels) return { channels[#channels].name }, "the last" end
return rules
]]

local function check(spec, more)
    local files = { ["rules.lua"] = RULES, ["spec/rules_spec.lua"] = spec }
    for path, text in pairs(more or {}) do
        files[path] = text
    end
    return loading.check("acme", files)
end

local function failure_of(spec, more)
    local generation, why, result = check(spec, more)
    assert.is_nil(generation)
    return why, result
end

describe("a merchant's spec", function()
    it("asks the rules with inputs made for it", function()
        local generation, why, result = check [[
            local t = require "tael.test"
            describe("rules", function()
                local runs = 0
                before_each(function() runs = runs + 1 end)
                it("denies large amounts", function()
                    assert.are.same({ "deny", "too large" }, { t.rules.risk(t.payment { amount = 5001 }) })
                    assert.equal("allow", t.rules.risk(t.payment()))
                    assert.equal(1, runs)
                end)
                it("keeps late money only where it was asked to", function()
                    assert.equal("refund", t.rules.on_late_paid(t.existing()))
                    assert.equal("accept", t.rules.on_late_paid(t.existing { metadata = { keep = "yes" } }))
                    local left = t.existing { captured_amount = 400, refunded_amount = 100 }
                    assert.equal(300, left.refundable_amount)
                    assert.equal("issued", t.attempt().state)
                end)
                it("routes", function()
                    local order, reason = t.rules.route(t.payment(), t.channels { "alipay", { name = "b" } })
                    assert.are.same({ "b" }, order)
                    assert.matches("^the", reason)
                    assert.equal(3, runs)
                end)
                pending "later"
            end)]]
        assert.is_nil(why)
        assert.matches("^%x+$", generation.id)
        assert.are.same({ passed = 3, failed = 0, pending = 1, failures = {} }, result)
    end)

    it("has Busted's assertions", function()
        local _, why = check [[
            it("holds", function()
                local t = {}
                assert(true) assert.is_true(true) assert.is_false(false) assert.is_nil(nil) assert.truthy(1)
                assert.falsy(nil) assert.is_not_nil(1) assert.are.equal(t, t) assert.are_not.equal(t, {})
                assert.same({ 1, { a = 2 } }, { 1, { a = 2 } }) assert.are_not.same({ 1 }, { 1, 2 })
                assert.is_table(t) assert.is_string("") assert.is_number(1) assert.is_function(error)
                assert.has_error(function() error "x" end, "x") assert.has_error(function() error({}) end, {})
                assert.has_no.errors(function() end) assert.not_equal(1, 2)
            end)]]
        assert.is_nil(why)
    end)

    it("says which assertion did not hold, and where", function()
        local cases = {
            ["assert.equal(1, 2)"] = "expected 1, got 2",
            ["assert.are.same({ 1, b = 2 }, { 1 })"] = "expected { 1, b = 2 }, got { 1 }",
            ["assert.is_nil(false)"] = "expected nil, got false",
            ["assert.is_not_nil(nil)"] = "expected otherwise: expected nil, got nil",
            ["assert.has_error(function() end)"] = "expected an error, there was none",
            ["assert.has_no_error(function() error('x', 0) end)"] =
                'expected otherwise: expected no error, got "x"',
            ["assert(false)"] = "assertion failed!",
            ["assert(nil, 'why')"] = "why",
        }
        for line, expected in pairs(cases) do
            local why = failure_of("describe('a', function()\n it('b', function()\n  " .. line
                .. "\n end) end)")
            assert.equal("merchants/acme/spec/rules_spec.lua:3: " .. expected
                .. " (spec 'a b'; 1 of 1 failed)", why)
        end
    end)

    it("is contained like every script", function()
        local _, result = failure_of [[
            it("spins", function() while true do end end)
            it("hoards", function() local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end end)
            it("writes a global", function() x = 1 end)
            it("is still run", function() end)]]
        assert.are.same({ 1, 3 }, { result.passed, result.failed })
        assert.matches("does not end", result.failures[1].error, 1, true)
        assert.matches("must not write 'x'", result.failures[3].error, 1, true)
    end)

    it("cannot make the engine believe nonsense", function()
        for _, lie in ipairs { "return 5", "return nil", "return { 1 }", "return { { name = {} } }" } do
            local why = failure_of("require('tael.test').runner.list = function() " .. lie .. " end")
            assert.matches("tael.test was changed", why, 1, true)
        end
        local why = failure_of("it('x')")
        assert.matches("rules_spec.lua:1: it: a function is needed", why, 1, true)
        why = failure_of("nonsense(")
        assert.matches("^merchants/acme/spec/rules_spec.lua:1: ", why)
    end)

    it("may not take the place of the engine's own files", function()
        local why = failure_of("it('x', function() end)", { ["tael/test.lua"] = "return {}" })
        assert.matches("merchants/acme/tael/test.lua: a path is made of", why, 1, true)
    end)

    it("is not run when the rules themselves are wrong", function()
        local _, result = failure_of("it('x', function() end)", { ["rules.lua"] = "return { rsk = 1 }" })
        assert.is_nil(result)
    end)
end)

describe("what a script raises", function()
    it("keeps the place that error's level gave it, in another file too", function()
        local unit = isolate.generation { name = "m/x", key = "place", files = {
            ["lib.lua"] =
                'return { f = function() error("boom", 2) end, g = function() error("plain", 0) end }',
            ["a.lua"] = 'local lib = require "lib"\nreturn { f = function()\n  lib.f()\n  return 1 end,\n'
                .. 'g = function() lib.g() return 1 end }',
        } }
        assert.equal("m/x/a.lua:3: boom", unit:ask("a.lua", { { "f" } }, {}, 100000)[1][3])
        assert.equal("m/x/lib.lua:1: plain", unit:ask("a.lua", { { "g" } }, {}, 100000)[1][3])
    end)
end)
