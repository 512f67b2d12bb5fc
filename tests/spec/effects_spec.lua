--- Calls that may have effects: what crosses, where a call waits, what is refused.
require "tests.spec.kernel_support"
local effects = require "tael.effects"
local isolate = require "tael.isolate"

local number = 0

local function open(text, function_name, input, more)
    local files = { ["routes.lua"] = text }
    for path, source in pairs(more or {}) do
        files[path] = source
    end
    number = number + 1
    local generation = isolate.generation { name = "merchants/acme", key = "effects@" .. number,
        files = files, effects = "now http.get http.post log.info" }
    return generation:open("routes.lua", { function_name or "f", 1 }, { input or 0 }, 300000), generation
end

local function body(text)
    return 'local tael = require "tael" return { f = function(x) ' .. text .. " end }"
end

describe("a call with effects", function()
    it("waits for its host, who is given copies and gives copies", function()
        local call <close> = open(body [[
            local given, err = tael.http.get("https://x", { list = { 1, "two" } })
            given.mine = true
            return given, err, x
        ]], "f", { n = 7 })
        assert.are.same({ "effect", "http.get", "https://x", { list = { 1, "two" } } }, { call:go() })
        local result = { status = 200, headers = { a = "b" } }
        local told = { call:go(result, "second") }
        local given = { status = 200, headers = { a = "b" }, mine = true }
        assert.are.same({ "done", given, "second", { n = 7 } }, told)
        assert.is_nil(result.mine)
    end)

    it("may have several, and none", function()
        local call <close> = open(body [[
            local sum = 0
            for i = 1, x do sum = sum + tael.now(i) end
            return sum
        ]], "f", 5)
        assert.are.same({ "effect", "now", 1 }, { call:go() })
        for i = 2, 5 do
            assert.are.same({ "effect", "now", i }, { call:go(i * 10) })
        end
        assert.are.same({ "done", 20 + 30 + 40 + 50 + 60 }, { call:go(60) })
        local none <close> = open(body "return 1")
        assert.are.same({ "done", 1 }, { none:go() })
    end)

    it("is told nil and an error", function()
        local call <close> = open(body "local ok, err = tael.now() return ok, err.code")
        call:go()
        assert.are.same({ "done", nil, "timeout", n = 3 }, table.pack(call:go(nil, { code = "timeout" })))
    end)

    it("raises where the script called, with the calls that led there", function()
        local call <close> = open([[
            local tael = require "tael"
            local function inner() tael.now("x") end
            return { f = function()
                inner()
            end }
        ]])
        call:go()
        local told = { call:raise "tael.now: takes no argument" }
        assert.are.same({ "failed", "raised" }, { told[1], told[2] })
        assert.matches("^merchants/acme/routes.lua:2: tael.now: takes no argument\n", told[3])
        assert.matches("routes.lua:2: in upvalue 'inner'\n", told[3], 1, true)
        assert.matches("routes.lua:4: in ", told[3], 1, true)
    end)

    it("may catch what was raised, and go on", function()
        local call <close> = open(body "local ok, why = pcall(tael.now) return ok, why, tael.now()")
        call:go()
        assert.are.same({ "effect", "now" }, { call:raise "no" })
        local told = { call:go(3) }
        assert.are.same({ "done", false }, { told[1], told[2] })
        assert.matches("no$", told[3])
        assert.are.equal(3, told[4])
    end)

    it("waits inside a comparator too", function()
        local call <close> = open(body
            "local t = { 3, 1, 2 } table.sort(t, function(a, b) tael.now() return a < b end) return t")
        local told = { call:go() }
        while told[1] == "effect" do
            told = { call:go(0) }
        end
        assert.are.same({ "done", { 1, 2, 3 } }, told)
    end)

    it("tells what it has used while it waits, too", function()
        local call <close> = open(body "for _ = 1, 20000 do end tael.now() for _ = 1, 20000 do end")
        assert.are.equal("effect", (call:go()))
        local used = call:used()
        assert.is_true(used >= 20000 and used < 160000, tostring(used))
        assert.are.equal("done", (call:go(1)))
        assert.is_true(call:used() >= used + 20000, tostring(call:used()))
    end)

    it("says in text what a script raises in bytes", function()
        local call <close> = open(body 'error("\\xff é", 0)')
        local told = { call:go() }
        assert.are.same({ "failed", "raised" }, { told[1], told[2] })
        assert.matches("^[^\n]*%? é", told[3])
        assert.is_truthy(utf8.len(told[3]))
    end)

    it("is one of several that share an isolate", function()
        local first <close>, generation = open(body "x = tael.now(x) return x", "f", 1)
        local second <close> = generation:open("routes.lua", { "f", 1 }, { 2 }, 300000)
        assert.are.same({ "effect", "now", 1 }, { first:go() })
        assert.are.same({ "effect", "now", 2 }, { second:go() })
        assert.are.same({ true, "function" }, {
            generation:ask("routes.lua", { { "" } }, {}, 300000)[1][1],
            generation:ask("routes.lua", { { "" } }, {}, 300000)[1][2].f })
        assert.are.same({ "done", 20 }, { second:go(20) })
        assert.are.same({ "done", 10 }, { first:go(10) })
    end)

    it("gives everything back when it is closed where it waits", function()
        local before = isolate.counts()
        for _ = 1, 50 do
            local call <close> = open(body "tael.now()")
            assert.are.equal("effect", (call:go()))
        end
        assert.are.equal(before.lent, isolate.counts().lent)
        assert.are.equal(before.thrown, isolate.counts().thrown)
        local call = open(body "tael.now()")
        call:go()
        do
            local _ <close> = call
        end
        assert.has_error(function() call:go() end, "this call is over")
    end)

    it("has one budget for all its turns", function()
        local call <close> = open(body "while true do for _ = 1, 20000 do end tael.now() end")
        local told, turns = { call:go() }, 0
        while told[1] == "effect" do
            told, turns = { call:go(0) }, turns + 1
        end
        assert.are.same({ "failed", "spent" }, { told[1], told[2] })
        assert.is_true(turns >= 2 and turns <= 40, tostring(turns))
    end)

    it("has at most 32 effects", function()
        local call <close> = open(body "for i = 1, 33 do tael.now() end")
        local told, turns = { call:go() }, 0
        while told[1] == "effect" do
            told, turns = { call:go(0) }, turns + 1
        end
        assert.are.equal(32, turns)
        assert.matches("routes.lua:1: tael.now: a call has at most 32 effects", told[3], 1, true)
    end)

    it("has none while a file is being loaded", function()
        for _, text in ipairs { 'require("tael").now() return {}', 'local x = require "lib.x" return {}' } do
            local call <close> = open(text, "f", 0, { ["lib/x.lua"] = 'return require("tael").now()' })
            local told = { call:go() }
            assert.matches("tael.now: not while a file is being loaded: call it", told[3], 1, true)
        end
        local late <close> = open(body 'return require "lib.x"', "f", 0,
            { ["lib/x.lua"] = 'return (require "tael").now()' })
        local told = { late:go() }
        assert.matches("lib/x.lua:1: tael.now: not while a file is being loaded", told[3], 1, true)
    end)

    it("takes and gives plain data only", function()
        for text, told in pairs {
            ["tael.now(print or function() end)"] = "unknown global 'print'",
            ["tael.now(function() end)"] = "tael.now: argument 1 is a function",
            ["tael.now({ a = tael.now })"] = "tael.now: argument 1 a is a function",
            ["tael.now(1, 2, 3, 4, 5)"] = "tael.now: too many arguments",
            ["tael.now(0/0)"] = "tael.now: argument 1 is no number",
            ["tael.http.get = 1"] = "must not write",
            ["tael.now = 1"] = "must not write",
            ["tael.nothing()"] = "attempt to call a nil value (field 'nothing')",
        } do
            local call <close> = open(body(text))
            local given = { call:go() }
            assert.are.same({ "failed", "raised" }, { given[1], given[2] }, text)
            assert.matches(told, given[3], 1, true)
        end
        local call <close> = open(body "tael.now()")
        call:go()
        assert.are.same({ nil, "result 1 is a function" }, { call:go(print) })
        assert.are.same({ nil, "result 2 a is a function" }, { call:go(1, { a = print }) })
        assert.are.same({ "done" }, { call:go(1) })
    end)

    it("is none in a rule", function()
        local _, generation = open(body "return tael.now()")
        local answer = generation:ask("routes.lua", { { "f", 1 } }, { 0 }, 300000)[1]
        assert.matches("tael.now: not allowed in a rule: rules have no effects", answer[3], 1, true)
    end)

    it("is opened with a function, inputs and a budget", function()
        local _, generation = open(body "return 1")
        for _, wrong in ipairs {
            function() generation:open("routes.lua", "f", {}, 1) end,
            function() generation:open("routes.lua", { "f", 1 }, {}, 1) end,
            function() generation:open("routes.lua", { "f" }, {}, 0) end,
            function() generation:open("routes.lua", { "f" }, { print }, 1) end,
            function() generation:open("routes.lua", { "f" }, {}, 100):go(1) end,
            function() generation:open("routes.lua", { "f" }, {}, 100):raise "x" end,
        } do
            assert.has_error(wrong)
        end
        local absent <close> = generation:open("routes.lua", { "g" }, {}, 100000)
        assert.are.same({ "failed", "absent" }, { table.unpack({ absent:go() }, 1, 2) })
    end)
end)

describe("the table of effects", function()
    it("has someone who performs each", function()
        local performers = require("tael.scripts.running").performers
        for _, effect in ipairs(effects.list) do
            assert.is_function(performers[effect.name], effect.name)
        end
        for name in pairs(performers) do
            assert.is_table(effects.by_name[name], name)
        end
    end)
end)

describe("what is written about effects", function()
    local reference = require "tael.scripts.reference"

    local function read(path)
        local file = io.open(path, "rb")
        local text = file and file:read "a"
        if file then
            file:close()
        end
        return text
    end

    for path, make in pairs {
        [reference.ANNOTATIONS] = reference.annotations, [reference.PAGE] = reference.page,
    } do
        it(path .. " is what the table gives", function()
            local text = make()
            if os.getenv "EFFECTS" == "write" then
                local file = assert(io.open(path, "wb"))
                file:write(text)
                file:close()
            end
            assert.is_true(read(path) == text, "EFFECTS=write busted … tests/spec/effects_spec.lua writes it")
        end)
    end

    it("names codes that are explained somewhere", function()
        assert.are.same({}, reference.unknown_codes())
    end)

    it("is Lua, with every effect and helper", function()
        local declared = dofile(reference.ANNOTATIONS)
        for _, effect in ipairs(effects.list) do
            local group, name = effect.name:match("^(.*)%.(.*)$")
            assert.is_function((group and declared[group] or declared)[name or effect.name], effect.name)
        end
    end)
end)
