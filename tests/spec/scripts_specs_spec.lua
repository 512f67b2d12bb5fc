-- A merchant's own specs, run in isolates: what passes, what fails with file and line, and what cannot cheat.
local isolate = require "tael.isolate"
local contract = require "tael.scripts.contract"
local loading = require "tael.scripts.loading"

loading.open "lua"

--- With what a spec has beside it.
local function own_files(files)
    for path, from in pairs { ["tael/test.lua"] = "scripts/inside/test.lua",
        ["tael/nearest.lua"] = "nearest.lua", ["tael/spec_world.lua"] = "scripts/inside/spec_world.lua",
        ["tael/counters.lua"] = "scripts/inside/counters.lua" } do
        local file <close> = assert(io.open("lua/tael/" .. from))
        files[path] = file:read "a"
    end
    files["tael/effect_names.lua"] = "return {}"
    return files
end

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
    it("pays for what it does before it asks for sandboxes that are not there", function()
        local generation, _, result = check [[
            local t = require "tael.test"
            it("burns", function()
                for _ = 1, 300000 do end
                t.sandbox()
            end)]]
        assert.is_table(generation)
        assert.equal(1, result.pending)
        assert.is_true(result.used > 300000)
    end)

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
        assert.are.same({ passed = 3, failed = 0, pending = 1, used = result.used, failures = {} }, result)
        assert.is_true(result.used > 0)
    end)

    it("says what was before, of counters that there are", function()
        local generation, why = check([[
            local t = require "tael.test"
            it("looks at the past", function()
                local past = t.history { ip_attempts_1h = 4 }
                assert.equal("allow", t.rules.risk(t.payment(), t.history()))
                assert.equal("deny", t.rules.risk(t.payment(), past))
                assert.are.same({ 4, 0 }, { past.ip_attempts_1h, past.attempts_today })
                local made, why = pcall(t.history, { ip_attempts_2h = 1 })
                assert.is_false(made)
                assert.matches("history: there is no counter 'ip_attempts_2h': names are like", why)
                assert.has_error(function() t.history { ip_attempts_1h = 0.5 } end,
                    "history: ip_attempts_1h is an integer")
            end)]], { ["rules.lua"] = [[return { risk = function(payment, history)
                return history.ip_attempts_1h > 3 and "deny" or "allow" end }]] })
        assert.is_nil(why)
        assert.are.same({ "ip_attempts_1h" }, generation.counting.names)
    end)

    it("is told in one line where texts have several", function()
        assert.matches([[:1: expected "a\nb", got "c" ]], (failure_of [[
            it("fails", function() assert.equal("a\nb", "c") end)]]))
    end)

    it("runs what stands behind a test that failed", function()
        local _, result = failure_of [[
            describe("a place", function()
                local used = 0
                before_each(function() used = used + 1 end)
                after_each(function() used = used - 1 end)
                it("fails", function() error "no" end)
                it("is clean again", function() assert.equal(1, used) end)
                it("does not end", function() while true do end end)
                it("is new", function() assert.equal(1, used) end)
            end)]]
        assert.are.same({ 2, 2 }, { result.passed, result.failed })
    end)

    it("runs it behind a test that has begun and is left where it waits", function()
        local _, _, result = check [[
            local t = require "tael.test"
            describe("a place", function()
                local used = 0
                before_each(function() used = used + 1 end)
                after_each(function() used = used - 1 end)
                it("asks for sandboxes", function() t.sandbox() end)
                it("is clean again", function() assert.equal(1, used) end)
            end)]]
        assert.are.same({ 1, 0, 1 }, { result.passed, result.failed, result.pending })
    end)

    it("runs it once, also where it is what fails", function()
        local _, result = failure_of [[
            describe("a place", function()
                local ran = 0
                after_each(function() ran = ran + 1; assert(ran > 1, "no") end)
                it("fails", function() end)
                it("is the next", function() assert.equal(1, ran) end)
            end)]]
        assert.are.same({ 1, 1 }, { result.passed, result.failed })
    end)

    it("has no world outside of a test", function()
        for _, call in ipairs { [[on("charge", function() end)]], [[advance("1h")]], "sandbox()" } do
            assert.matches(("rules_spec.lua:2: %s: only in a test, or in what stands before each"):format(
                call:match "^%l+"), (failure_of('local t = require "tael.test"\nt.' .. call)))
        end
    end)

    it("has no time beyond all times", function()
        assert.matches([[advance: a time such as "90s"]], (failure_of [[
            it("waits", function() require("tael.test").advance "99999999999999999999h" end)]]))
    end)

    it("has words for effects that there are", function()
        local _, why = check [[
            local t = require "tael.test"
            it("answers", function()
                t.on("charge", function() end)
                t.on("http.get", function() end)
                assert.has_error(function() t.on("chrage", function() end) end,
                    "on: there is no effect 'chrage'; did you mean 'charge'?")
                assert.has_error(function() t.on("http.gett", function() end) end,
                    "on: there is no effect 'http.gett'; did you mean 'http.get'?")
                assert.has_error(function() t.on("something", function() end) end,
                    "on: there is no effect 'something': scripts/EFFECTS.md has them")
            end)]]
        assert.is_nil(why)
        _, why = check [[
            require("tael.test").on("chagre", function() end)]]
        assert.matches("rules_spec.lua:1: on: there is no effect 'chagre'; did you mean 'charge'?", why, 1,
            true)
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

    it("asks routes in a world of its own, without any effect", function()
        local files = { ["routes.lua"] = [[
            local tael = require "tael"
            local routes = {}
            routes["GET /stock/:item"] = { auth = "none", handler = function(request)
                local answer, err = tael.http.get("https://erp.example/stock/" .. request.params.item)
                if not answer then
                    tael.log.warn("no stock", { code = err.code })
                    return { status = 503, json = { code = err.code } }
                end
                local seen, version = tael.state.get "seen"
                tael.state.put("seen", (seen or 0) + 1, version)
                tael.metric("asked", 1)
                return { json = { left = answer.json.left,
                    at = tael.date("%F", nil, "+08:00"), id = tael.id "q",
                    seen = (seen or 0) + 1, same = tael.random(1, 6) == tael.random(7, 12) - 6 } }
            end }
            routes["POST /echo"] = { auth = "none", handler = function(request)
                return { status = 201, json = request.json, headers = { ["x-ip"] = request.ip } }
            end }
            routes["GET /named/:name"] = { auth = "none", handler = function(request)
                return { text = request.params.name }
            end }
            routes["GET /sent"] = { auth = "none", handler = function(request)
                return { json = { signed = request.headers["x-signed"], page = request.query.page } }
            end }
            return routes]] }
        local generation, why, result = check([[
            local t = require "tael.test"
            describe("routes", function()
                before_each(function()
                    t.on("http.get", function(url)
                        assert.equal("https://erp.example/stock/tea", url)
                        return { status = 200, json = { left = 7 } }
                    end)
                end)
                it("answer", function()
                    local r = t.request("GET", "/stock/tea")
                    assert.are.same({ 200, 7, "2025-11-29", 1 },
                        { r.status, r.json.left, r.json.at, r.json.seen })
                    t.advance "17h"
                    r = t.request("GET", "/stock/tea")
                    assert.are.same({ "2025-11-30", 2 }, { r.json.at, r.json.seen })
                    assert.are.same({ { name = "asked", value = 1, labels = {} }, t.metrics[1] }, t.metrics)
                end)
                it("begin anew in each test", function()
                    assert.equal(1, t.request("GET", "/stock/tea").json.seen)
                    assert.equal(0, #t.log)
                end)
                it("hear of the world's troubles", function()
                    t.on("http.get", function() return nil, { code = "timeout" } end)
                    local r = t.request("GET", "/stock/tea")
                    assert.are.same({ 503, "timeout" }, { r.status, r.json.code })
                    assert.are.same({ { level = "warn", message = "no stock",
                        fields = { code = "timeout" } } }, t.log)
                end)
                it("are given what was sent", function()
                    local r = t.request("POST", "/echo", { json = { a = { 1, 2 } }, ip = "198.51.100.1" })
                    assert.are.same({ 201, { a = { 1, 2 } }, "198.51.100.1" },
                        { r.status, r.json, r.headers["x-ip"] })
                    r = t.request("GET", "/sent", { headers = { ["X-Signed"] = "s" }, query = { page = 2 } })
                    assert.are.same({ signed = "s", page = "2" }, r.json)
                    assert.equal("a b", t.request("GET", "/named/a%20b").body)
                    assert.equal(400, t.request("POST", "/echo", { text = "{" }).status)
                    assert.equal(404, t.request("PUT", "/echo").status)
                end)
            end)]], files)
        assert.is_nil(why)
        assert.is_truthy(generation)
        assert.are.same({ passed = 4, failed = 0, pending = 0, used = result.used, failures = {} }, result)

        local wrong = {
            ['t.request("GET", "/stock/tea")'] = "the spec does not say what tael.http.get gives",
            ['t.on("http.get", function() return 5 end) t.request("GET", "/stock/tea")'] =
                "routes.lua:",
            ['t.on("http.get", function() error("mine", 0) end) t.request("GET", "/stock/tea")'] =
                "mine",
            ['local _, why = pcall(t.request, "GET", "/sent?a=1") error(why, 0)'] =
                "request: what stands behind '?' goes into query = { … }",
            ['require("tael").state.put("k", ("x"):rep(4095))'] =
                "tael.state.put: value must have at most 4096 bytes as JSON",
            ['require("tael").state.get(("x"):rep(129))'] =
                "tael.state.get: key must be a text of 1 to 128 bytes",
            ['require("tael").date(("%S"):rep(200))'] = "format must have at most 256 bytes",
            ['require("tael").date("\\xff")'] = "format must be UTF-8",
            ['require("tael").http.get(5)'] = "tael.http.get: url must be a text, not a number",
            ['t.on("now", function() return "x" end) require("tael").date("%F")'] = "tael.test was changed",
        }
        for line, told in pairs(wrong) do
            why = failure_of('local t = require "tael.test" it("x", function() ' .. line .. " end)", files)
            assert.is_truthy(why:find(told, 1, true), why)
        end
    end)

    it("may leave out what the engine always gives", function()
        local rules = [[
            local function all(...)
                for i = 1, select("#", ...) do assert(type((select(i, ...))) == "table") end
                return select("#", ...)
            end
            return {
                risk = function(payment, history)
                    return history.ip_attempts_1h > 20 and "deny"
                        or payment.amount > 5000 and "review" or "allow"
                end,
                route = function(...) return { all(...) } end, limits = function(...) return all(...) end,
                price = function(...) return all(...) end, on_late_paid = function(...) return all(...) end,
                on_duplicate_paid = function(...) return all(...) end,
            }]]
        local generation, why, result = check([[
            local t = require "tael.test"
            it("asks", function()
                assert.equal("allow", t.rules.risk(t.payment()))
                assert.equal("review", t.rules.risk(t.payment { amount = 5001 }))
                assert.equal("deny", t.rules.risk(t.payment(), t.history { ip_attempts_1h = 21 }))
                assert.equal("allow", t.rules.risk())
                assert.same({ 3 }, t.rules.route(t.payment()))
                assert.same({ 2, 1, 1, 2 }, { t.rules.limits(), t.rules.price(), t.rules.on_late_paid(),
                    t.rules.on_duplicate_paid(t.existing()) })
                assert.is_nil(t.rules.no_such_rule)
            end)]], { ["rules.lua"] = rules })
        assert.is_nil(why)
        assert.equal(1, result.passed)
        assert.is_not_nil(generation)
    end)

    it("gives rules what the contract says", function()
        local expected = {}
        for name, rule in pairs(contract.rules) do
            local args = {}
            for i, arg in ipairs(rule.args) do
                args[i] = name:find "^on_" and arg == "payment" and "existing" or arg
            end
            expected[name] = args
        end
        local unit = isolate.generation { name = "m", key = "args", files = own_files {
            ["args.lua"] = "return { args = function() return require('tael.test').args end }" } }
        assert.are.same(expected, unit:ask("args.lua", { { "args" } }, {}, 1000000)[1][2])
    end)

    it("has both names of the payer's address", function()
        local _, why = check [[
            local t = require "tael.test"
            it("has", function()
                assert.same({ ip = "::1", client_ip = "::1" }, t.payment { payer = { ip = "::1" } }.payer)
                local payment = t.payment { payer = { client_ip = "::1" } }
                assert.same({ ip = "::1", client_ip = "::1" }, payment.payer)
                assert.same({}, t.payment().payer)
            end)]]
        assert.is_nil(why)
    end)

    for call, told in pairs {
        ["t.payment { ammount = 5 }"] = "payment: there is no field 'ammount'; did you mean 'amount'?",
        ["t.payment { [1] = 5 }"] = "payment: there is no field '1'",
        ["t.payment(5)"] = "payment: a table is needed, not 5",
        ["t.payment { payer = { addres = '::1' } }"] = "payment: payer: there is no field 'addres'",
        ["t.existing { stat = 'paid' }"] = "existing: there is no field 'stat'; did you mean 'state'?",
        ["t.attempt { amuont = 1 }"] = "attempt: there is no field 'amuont'; did you mean 'amount'?",
        ["t.channels { { name = 'alipay', acount = 'x' } }"]
            = "channels: there is no field 'acount'; did you mean 'account'?",
        ["t.request('POST', '/', { jsn = {} })"] = "request: there is no field 'jsn'; did you mean 'json'?",
    } do
        it("is told where it is misspelt: " .. call, function()
            local why = failure_of('local t = require "tael.test"\nit("x", function()\n' .. call
                .. "\nend)")
            assert.equal("merchants/acme/spec/rules_spec.lua:3: " .. told
                .. " (spec 'x'; 1 of 1 failed)", why)
        end)
    end

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

    it("has a budget for all tests together, whatever its effects do", function()
        local _, result = failure_of([[
            local t = require "tael.test"
            for n = 1, 190 do
                it("burns " .. n, function()
                    t.on("now", function() for _ = 1, 150000 do end return 1 end)
                    for _ = 1, 20 do require("tael").now() end
                end)
            end]])
        assert.is_true(result.passed > 5 and result.passed < 100, tostring(result.passed))
        assert.equal(190, result.passed + result.failed)
        assert.matches("used up their budget", result.failures[#result.failures].error, 1, true)
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
