-- Names in scripts that nothing has are found before anything runs, and nothing else is taken for one: every
-- text of this tree is read as the compiler reads it.
local globals = require "tael.scripts.globals"
local isolate = require "tael.isolate"
local job_files = require "tael.scripts.job_files"
local loading = require "tael.scripts.loading"
local script = require "tael.script"

loading.open "lua"

local function names(text, known)
    local list = script.globals(text, known or {})
    if not list then
        return nil
    end
    local told = {}
    for i, one in ipairs(list) do
        told[i] = ("%s%s:%d"):format(one.writes and "=" or "", one.name, one.line)
    end
    return table.concat(told, " ")
end

--- What the compiler takes from the table of globals in a file: lines of reads by name, names of writes.
local function compiled(path)
    local reads, all = {}, {}
    local listing <close> = assert(io.popen(("luac5.4 -l -l -p '%s'"):format(path)))
    for line in listing:lines() do
        local at, op, name = line:match '%[(%d+)%]%s+([GS]ETTABUP)%s.*; _ENV "([%w_]+)"'
        if op then
            all[name] = true
            reads[name .. (op == "GETTABUP" and ":" .. at or "=")] = true
        end
    end
    return reads, all
end

describe("tael.script.globals", function()
    it("reads every text of this tree as the compiler does", function()
        local files <close> = assert(io.popen "find lua scripts tests/spec tests/e2e -name '*.lua'")
        local count = 0
        for path in files:lines() do
            local file <close> = assert(io.open(path, "rb"))
            local text = assert(file:read "a")
            local reads, all = compiled(path)
            local list = assert(script.globals(text, {}), path)
            for _, one in ipairs(list) do
                assert.is_true(reads[one.name .. (one.writes and "=" or ":" .. one.line)],
                    ("%s:%d: %s"):format(path, one.line, one.name))
                all[one.name] = nil
            end
            assert.is_nil(next(all), path)
            count = count + 1
        end
        assert.is_true(count > 200)
    end)

    -- text: the names that nobody declares, with their lines; "=" those that are written. false: the text
    -- does not tell.
    for text, expected in pairs {
        ["retrun { max = 1 }"] = "retrun:1",
        ["local a = 1\nlocal function f()\n return a + b\nend"] = "b:3",
        ["local x = x"] = "x:1",
        ["local function f() return f end"] = "",
        ["local f = function() return f end"] = "f:1",
        ["local a, b <const>, c <close> = 1, b\nreturn a, b, c"] = "b:1",
        ["for i = i, j, k do print(i) end return i"] = "i:1 j:1 k:1 print:1",
        ["for k, v in pairs(k) do local _ = k, v end"] = "pairs:1 k:1",
        ["repeat local done = f() until done"] = "f:1",
        ["do local x end return x"] = "x:1",
        ["while a do local a = a end"] = "a:1",
        ["if a then local a elseif b then local _ = a else return c end"] = "a:1 b:1 c:1",
        ["local function f(a, ...) return a, ... end return f"] = "",
        ["local t = {}\nfunction t.f(x) return self end\nfunction t:g(x) return self, x end"] = "self:2",
        ["local t = { a = 1, [b] = 2, c; d, e == 1, f = function() return g end }"]
            = "b:1 c:1 d:1 e:1 g:1",
        ["return { x --[[ a comment ]] = 1, y --\n = 2 }"] = "",
        ["local t = {} return t.x, t.y.z, t[q], t:m(r), t:m 'r', t:m { s = 1 }, t.f [[u]]"] = "q:1 r:1",
        ["goto out\nlocal x\n::out:: ::another::"] = "",
        ["for _ = 1, 2 do goto continue ::continue:: end"] = "",
        ["x = 1\ny, z.a = x, 2\nfunction w() end\nfunction u.v() end"] = "=x:1 =y:2 z:2 =w:3 u:4",
        ["local a a = 1 a.b = 2 a, a.c = 1, 2"] = "",
        ["f(a, b)\n(g)(c)"] = "f:1 a:1 b:1 g:2 c:2",
        ["return 0x1p-4, 3e+2, .5, 0xA.8, a..b, 5 // 2, 1 << 2 >> 3, ~c, not d, #e, 1 ~= f"]
            = "a:1 b:1 c:1 d:1 e:1 f:1",
        ["return 'it\\'s x', \"y\\\n z\", [==[ ]] w ]==] -- v\n, --[=[ u\n]] ]=] t"] = "t:4",
        ["local _ENV = { x = 1 } return x, y"] = "",
        ["local function f(_ENV) return x end return y"] = "y:1",
        ["local function f() local _ENV <const> = {} x = 1 end return z"] = "z:1",
        ["do local _ENV = {} local a = b end return c"] = "c:1",
        ["return _ENV.x, _ENV['y']"] = "",
        ["_ENV = {} return x"] = false,
        ["local function f() _ENV, f = {}, 1 end return x"] = false,
        ["local unpack = table.unpack or unpack"] = "table:1 unpack:1",
        ["return x +"] = false,
        ["local x = 'no end"] = false,
        ["return --[[ no end"] = false,
        ["if x then"] = false,
        ["end"] = false,
        ["local 1"] = false,
        ["\0"] = false,
        [""] = "",
        [(";"):rep(1000)] = "",
        [("("):rep(500) .. "x" .. (")"):rep(500)] = false,
        [("do "):rep(140) .. "x()" .. (" end"):rep(140)] = "x:1",
        [("local a "):rep(4000) .. "return a, b"] = "b:1",
        [("local a "):rep(4097) .. "return a, b"] = false,
    } do
        it(("finds %s in %q"):format(expected, text:sub(1, 60)), function()
            assert.are.equal(expected or nil, names(text))
        end)
    end

    it("leaves out what is known, but not to be written", function()
        assert.are.equal("=type:1", names("print(type) type = 1", { print = true, type = true }))
    end)

    it("knows what others have, and takes it where nothing is asked of it", function()
        local known = { unpack = false, table = true, jit = false }
        assert.are.equal("", names("local unpack = table.unpack or unpack", known))
        for text, expected in pairs {
            ["return table.unpack or unpack(1)"] = "unpack:1", ["return unpack or table.unpack"] = "unpack:1",
            ["return 1 or jit.version"] = "jit:1", ["return table or #unpack"] = "unpack:1",
            ["return table or unpakc"] = "unpakc:1",
        } do
            assert.are.equal(expected, names(text, known))
        end
    end)

    it("gives the first hundred", function()
        local parts = {}
        for i = 1, 150 do
            parts[i] = "f" .. i .. "()"
        end
        assert.are.equal(100, #script.globals(table.concat(parts, " "), {}))
    end)

    it("takes no longer than the text is long, however many locals there are", function()
        local parts = {}
        for i = 1, 3900 do
            parts[i] = "local n" .. i
        end
        parts[#parts + 1] = ("x = n1 "):rep(20000)
        assert.is_not_nil(script.globals(table.concat(parts, " "), {})) -- chains of four
    end)

    it("says which locals there are", function()
        local _, locals = script.globals("local a, b do local c end local function f(d) return e end", {})
        assert.are.same({ "a", "b", "f", "d" }, locals)
    end)
end)

describe("names of scripts", function()
    it("are those that an isolate has", function()
        local asked = {}
        for name in pairs(globals.known) do
            asked[#asked + 1] = ("[%q] = pcall(function() return %s end)"):format(name, name)
        end
        local own <close> = assert(io.popen "lua5.4 -e 'arg = nil for name in pairs(_G) do print(name) end'")
        for name in own:lines() do
            assert.is_not_nil(globals.known[name], name)
        end
        local files = { ["names.lua"] = "local r = {} function r.names() return {" .. table.concat(asked, ",")
            .. "} end return r" }
        local unit = isolate.generation { name = "names", key = "names", files = files }
        local answer = unit:ask("names.lua", { { "names" } }, {}, 1000000)[1]
        assert.is_true(answer[1], answer[3])
        assert.are.same(globals.known, answer[2])
    end)

    local function why(rules, more)
        local files = { ["rules.lua"] = rules }
        for path, text in pairs(more or {}) do
            files[path] = text
        end
        local generation, wrong = loading.check("shop", files)
        assert.is_nil(generation)
        return wrong
    end

    it("that nothing has are refused with file, line and what was meant", function()
        assert.are.equal("merchants/shop/rules.lua:2: unknown global 'retrun': did you mean 'return'?",
            why "return { limits = function()\nretrun { max_amount = 5000 }\nend }")
        assert.are.equal("merchants/shop/rules.lua:2: unknown global 'retrun': did you mean 'return'?",
            why "local rules = {}\nretrun { rules }")
        assert.are.equal("merchants/shop/rules.lua:1: unknown global 'totl': did you mean 'total'?",
            why "return { price = function() local total = 1 return { fee = totl } end }")
        assert.are.equal("merchants/shop/rules.lua:1: 'totl' is no local, and globals cannot be written: did "
            .. "you mean 'total'?", why "return { price = function() local total totl = 1 end }")
        assert.are.equal("merchants/shop/rules.lua:1: 'found' is no local, and globals cannot be written: "
            .. "say local found", why "return { price = function() found = 1 end }")
        assert.are.equal("merchants/shop/rules.lua:1: unknown global 'print': scripts have no print; routes "
            .. "and jobs have tael.log.info", why "return { price = function() print(1) end }")
        assert.are.equal("merchants/shop/lib/never.lua:1: unknown global 'tael': say local tael = require "
            .. '"tael"', why("return {}", { ["lib/never.lua"] = "return function() return tael.json end" }))
        assert.are.equal("merchants/shop/rules.lua:1: unknown global 'quux': nothing has this name",
            why "return { price = function() return quux end }")
    end)

    it("do not hide what else is wrong", function()
        assert.matches("^merchants/shop/rules.lua:1: .*near 'x'", why "retrun x x")
        assert.matches("^merchants/shop/rules.lua:1: no$", why "error 'no' local f = retrun")
    end)

    it("are no matter of what has run before", function()
        assert.is_not_nil(loading.load("shop",
            { ["rules.lua"] = "return { price = function() print(1) end }" }))
    end)

    it("of jobs are looked at as well", function()
        local files = { ["nightly.lua"] = 'return { schedule = "0 3 * * *", run = function()\nprnit() end }' }
        assert.is_not_nil(job_files.load(files))
        local generation, wrong = job_files.check(files)
        assert.is_nil(generation)
        assert.are.equal("jobs/nightly.lua:2: unknown global 'prnit': nothing has this name", wrong)
    end)
end)
