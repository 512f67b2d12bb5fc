--- Scripts asked in isolates: what crosses, what is contained, what is told.
local isolate = require "tael.isolate"
local json = require "tael.json"

local number = 0

local function generation(text, more)
    local files = { ["rules.lua"] = text }
    for path, source in pairs(more or {}) do
        files[path] = source
    end
    number = number + 1
    return isolate.generation { name = "merchants/acme", key = "acme@" .. number, files = files }
end

local function ask(text, input)
    return generation(text):ask("rules.lua", { { "f", 1 } }, { input or 0 }, 300000)[1]
end

--- The only function of a generation that needs nothing.
local function call(of)
    return of:ask("rules.lua", { { "f" } }, {}, 300000)[1]
end

local function body(text)
    return "return { f = function(x) " .. text .. " end }"
end

describe("an isolate", function()
    it("is given copies and gives copies", function()
        local input = { a = 1, list = { 1, 2.5, "three", { deep = true } }, empty = {}, [7] = "seven" }
        local answer = ask(body "x.copy = true return x, nil, 'end'", input)
        assert.is_nil(input.copy)
        input.copy = true
        assert.are.same({ true, input, nil, "end" }, { table.unpack(answer, 1, 4) })
        assert.are.equal("float", math.type(answer[2].list[2]))
        assert.are.equal("integer", math.type(answer[2].list[1]))
    end)

    it("asks several functions in one crossing, each with copies of its own", function()
        local rules = generation [[return {
            one = function(x, y) x.n = x.n + 1 return x.n, y end,
            two = function(y, x) error("no") end,
            three = function(x) return x.n end,
        }]]
        local calls = { { "one", 1, 2 }, { "two", 2, 1 }, { "none" }, { "three", 1 } }
        local answers = rules:ask("rules.lua", calls, { { n = 1 }, "y" }, 300000)
        assert.are.same({ true, 2, "y" }, answers[1])
        assert.are.same({ false, "raised", "merchants/acme/rules.lua:3: no" }, answers[2])
        assert.are.same({ false, "absent", "there is no such function" }, answers[3])
        assert.are.same({ true, 1 }, answers[4])
    end)

    it("has Lua's own functions and constants, each what it is outside", function()
        local text = [[
            local list = {}
            for i, word in ipairs { "a", "b" } do list[i] = word:upper() .. i end
            return { math.huge == 1 / 0, math.pi, math.maxinteger, math.mininteger, math.type(2 // 1),
                math.ult(1, -1), math.floor(-1.5), math.max(1, 3, 2), utf8.charpattern, utf8.len "é",
                ("%5.1f|%d"):format(2.25, 7), ("x"):rep(3, "-"), string.pack(">I2", 258),
                table.concat(list, ","), table.unpack({ 4, 5 }, 2), select("#", 1, nil), tonumber("ff", 16),
                rawequal(list, list), type(next), type(type), _VERSION, pcall(error, "no") }]]
        local answer = ask(body(text))
        assert.are.same({ true, load(text)() }, { table.unpack(answer, 1, 2) })
        local missing = {}
        for _, library in ipairs { "math", "string", "table", "utf8" } do
            for name, value in pairs(_G[library]) do
                local found = ask(body(("return type(%s.%s)"):format(library, name)))
                if found[2] ~= type(value) then
                    missing[#missing + 1] = library .. "." .. name
                end
            end
        end
        table.sort(missing)
        assert.are.equal("math.atan2 math.cosh math.frexp math.ldexp math.log10 math.pow math.random "
            .. "math.randomseed math.sinh math.tanh string.dump", table.concat(missing, " "))
    end)

    it("tells how much work it was, in proportion, and that of loading", function()
        local rules = generation("local n = 0 for i = 1, 100000 do n = n + i end\n"
            .. "return { f = function(x) for i = 1, x do end end }")
        local function used(times)
            return select(2, rules:ask("rules.lua", { { "f", 1 } }, { times }, 1000000))
        end
        local first, few, many = used(1), used(1), used(50000)
        assert.is_true(first > 200000 and first < 2000000, first)
        assert.is_true(few > 0 and few < 1000, few)
        assert.is_true(many > 50000 and many < 400000, many)
        local _, spent = rules:ask("rules.lua", { { "f", 1 } }, { math.maxinteger }, 300000)
        assert.is_true(spent >= 300000 and spent < 400000, spent)
    end)

    it("counts what a field is looked for behind", function()
        local rules = generation "return { f = function(x) return x.name end, none = function() end }"
        local function used(name, values)
            local input = { name = "here" }
            for i = 1, values do input[i] = 1 end
            local answer, steps = rules:ask("rules.lua", { { name, 1 } }, { input }, 1000000)
            assert.are.same({ true, name == "f" and "here" or nil }, answer[1])
            return steps
        end
        used("none", 1)
        assert.is_true(used("f", 1) - used("none", 1) < 20)
        local more = used("f", 5000) - used("none", 5000)
        assert.is_true(more > 5000 // 8, more .. " steps")
    end)

    it("says which functions there are", function()
        local rules = generation "return { f = function() end, n = 1 }"
        local answer = rules:ask("rules.lua", { { "" } }, {}, 1000)
        assert.are.same({ true, { f = "function", n = "number" } }, answer[1])
    end)

    it("loads a file once, and those it requires", function()
        local rules = generation([[
            local n = require "lib.count"
            return { f = function()
                n.value = n.value + 1
                return require("lib.count").value
            end }
        ]], { ["lib/count.lua"] = "return { value = 0 }" })
        for i = 1, 3 do
            assert.are.same({ true, i }, call(rules))
        end
    end)

    it("refuses modules that are not there, and those that require themselves", function()
        local names = { "os", "lib", "lib.none", "lib..x", "/etc/passwd", "../a", "Rules", "lib/x" }
        for _, name in ipairs(names) do
            local answer = ask(body(("return require %q"):format(name)))
            assert.are.equal("raised", answer[2])
            assert.matches("rules.lua:1: module '.*' is not here", answer[3])
        end
        local circle = generation("return require 'a'",
            { ["a.lua"] = "return require 'b'", ["b.lua"] = "return require 'a'" })
        local answer = call(circle)
        assert.matches("b.lua:1: 'a.lua' requires itself", answer[3], 1, true)
        local own = call(generation "require 'rules'")
        assert.matches("rules.lua:1: 'rules.lua' requires itself", own[3], 1, true)
    end)

    it("tells the same of a module that fails, however often it is required", function()
        local broken = generation(
            "return { f = function() pcall(require, 'lib.x') return require 'lib.x' end }",
            { ["lib/x.lua"] = "error 'out of order'" })
        for _ = 1, 3 do
            assert.matches("lib/x.lua:1: out of order", call(broken)[3], 1, true)
        end
    end)

    it("ends what does not end, and is made anew for the next", function()
        local rules = generation(body "if x then while true do end end return 'still here'")
        local before = isolate.counts()
        local answer = rules:ask("rules.lua", { { "f", 1 }, { "f", 2 } }, { true, false }, 300000)
        assert.are.same({ "spent", "spent" }, { answer[1][2], answer[2][2] })
        assert.matches("^merchants/acme/rules.lua:1: does not end", answer[1][3])
        assert.are.equal(before.thrown + 1, isolate.counts().thrown)
        assert.are.same({ true, "still here" }, rules:ask("rules.lua", { { "f", 1 } }, { false }, 300000)[1])
    end)

    it("ends what takes all memory", function()
        local answer = generation(body "local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end")
            :ask("rules.lua", { { "f" } }, {}, 100000000)[1]
        assert.are.equal("memory", answer[2])
    end)

    it("takes nothing but plain data", function()
        for text, told in pairs {
            ["return function() end"] = "f: result 1 is a function",
            ["return { a = { b = print or string.len } }"] = nil,
            ["return { a = { b = string.len } }"] = "f: result 1 a.b is a function",
            ["return 0/0"] = "f: result 1 is no number",
            ["return 1, { [1.5] = true }"] = "f: result 2 has a key that is neither a text nor an integer",
            ["local t = {} t.t = t return t"] = "nested too deeply",
            ["local t = {} for i = 1, 10001 do t[i] = i end return t"] = "too many values",
        } do
            local answer = ask(body(text))
            assert.are.equal("shape", answer[2], text)
            assert.matches(told, answer[3], 1, true)
        end
        assert.has_error(function() ask(body "return 1", { f = print }) end)
    end)

    it("takes what was packed before, as what it was", function()
        local value = { 1, "two", { a = true, [5] = -7, none = {} }, 2.5 }
        assert.are.same({ true, value }, ask(body "return x", isolate.pack(value)))
        assert.are.same({ true, { a = { 1 } } }, ask(body "return x", { a = isolate.pack { 1 } }))
        local twice = generation "return { f = function(x, y) x.n = 2 return y.n end }"
        assert.are.same({ true, 1 },
            twice:ask("rules.lua", { { "f", 1, 1 } }, { isolate.pack { n = 1 } }, 300000)[1])
    end)

    it("takes values in the shape of a table, without those that are not there", function()
        local shape = isolate.shape { "id", "sum", { "payer", "ip", { "card", "kind" } }, "more", "late" }
        local function given(...)
            return ask(body "return x", shape(...))[2]
        end
        assert.are.same({ id = "p1", sum = 5, payer = { ip = "::1", card = { kind = 2 } }, more = { 1 },
            late = false }, given("p1", 5, "::1", 2, { 1 }, false))
        assert.are.same({ payer = { card = {} } }, given(nil, json.null, nil, json.null, nil, nil))
        assert.are.same({ payer = { card = {} }, more = { b = { c = 1 } } },
            given(nil, nil, nil, nil, { a = json.null, b = { c = 1, d = json.null } }, nil))
        assert.are.same({ payer = { card = {} }, more = { 1 } },
            given(nil, nil, nil, nil, isolate.pack { 1 }, nil))
    end)

    it("says which field of a shape is not plain, and what is no shape", function()
        local shape = isolate.shape { "id", { "payer", "ip" } }
        for told, wrong in pairs {
            ["payer.ip is a function"] = function() shape(1, print) end,
            ["id[2] is a userdata"] = function() shape({ 1, json.null }, 1) end,
            ["id is too large"] = function() shape(("x"):rep(1 << 20), 1) end,
            ["2 fields, 1 are given"] = function() shape(1) end,
            ["a.b is a function"] = function() isolate.pack { a = { b = print } } end,
            ["a name must be a text"] = function() isolate.shape { 1 } end,
            ["nested too deeply"] = function()
                isolate.shape { { "a", { "b", { "c", { "d", { "e" } } } } } }
            end,
            ["names too long"] = function() isolate.shape { ("x"):rep(2048) } end,
        } do
            local good, why = pcall(wrong)
            assert.is_false(good)
            assert.matches(told, why, 1, true)
        end
    end)

    it("goes through tables in the order of numbers, then of texts by their bytes", function()
        local ordered = { -1, 2.5, 3, "", "a", "a\0", "a\0b", "ab", "abcdefgh", "abcdefgh\0", "abcdefghi",
            "abcdefgi", "b", "\200", "\255x" }
        local goes = generation [[return { f = function(keys, more)
            local t, seen = {}, {}
            for i = #keys, 1, -1 do t[keys[i] ] = true end
            for i = 1, more do t["zz" .. 100 + i] = true end
            for k in pairs(t) do seen[#seen + 1] = k end
            for k in next, t do if k ~= seen[1] then return "next differs" end table.remove(seen, 1) end
            for k in pairs(t) do seen[#seen + 1] = k end
            return seen
        end }]]
        for _, more in ipairs { 0, 1, 2, 50 } do
            local expected = table.move(ordered, 1, 13, 1, {})
            for i = 1, more do
                expected[#expected + 1] = "zz" .. 100 + i
            end
            table.move(ordered, 14, 15, #expected + 1, expected)
            assert.are.same({ true, expected },
                goes:ask("rules.lua", { { "f", 1, 2 } }, { ordered, more }, 1000000)[1])
        end
    end)

    it("keeps two owners apart", function()
        local one = generation [[
            getmetatable = nil
            return { f = function() return 1 end }
        ]]
        assert.matches("a script must not write 'getmetatable'", call(one)[3])
        local spoil = ask(body "string.format = nil return 1")
        assert.are.equal("raised", spoil[2])
        assert.are.same({ true, "5" }, ask(body "return ('%d'):format(5)"))
    end)

    it("keeps no more than its ceiling, and makes anew what had to go", function()
        for _ = 1, 2 do
            local all = {}
            for i = 1, 3000 do
                all[i] = generation(body("return " .. i))
                assert.are.same({ true, i }, call(all[i]))
            end
            assert.is_true(isolate.counts().bytes <= 64 << 20)
            assert.are.same({ true, 1 }, call(all[1]))
        end
        assert.is_true(isolate.counts().dropped > 0)
    end)

    it("refuses what is asked wrongly", function()
        local rules = generation(body "return 1")
        for _, wrong in ipairs {
            function() rules:ask("rules.lua", {}, {}, 1) end,
            function() rules:ask("rules.lua", { { "f", 1 } }, {}, 1) end,
            function() rules:ask("rules.lua", { { 1 } }, {}, 1) end,
            function() rules:ask("rules.lua", { { "f" } }, {}, 0) end,
            function() isolate.generation { name = "a", files = {} } end,
            function() isolate.generation { name = "a", key = "b", files = {}, isolation = "none" } end,
            function() isolate.processes {} end, -- outside the engine
            function()
                isolate.generation { name = "a", key = "b", files = {}, isolation = "process" }
                    :ask("rules.lua", { { "f" } }, {}, 1)
            end,
            function() isolate.generation { name = "a", key = "b", files = { a = 1 } } end,
            function()
                isolate.generation { name = "a", key = "b", files = { ["a.lua"] = (" "):rep(262145) } }
            end,
        } do
            assert.has_error(wrong)
        end
    end)
end)
