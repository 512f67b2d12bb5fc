--- Tables that are made when a script looks at them (engine/script/late.h) beside ordinary ones: no script
--- can tell which of them it was given.
local isolate = require "tael.isolate"

local LONG = ("x"):rep(60)

local given = {
    a = 1, b = "two", c = false, d = 2.5, text = LONG, negative = -7, [7] = "seven", [-1] = "minus",
    deep = { k = 1, text = LONG, deeper = { k = 2, text = LONG, list = { 1, 2, 3, { k = LONG } } } },
    small = { k = 1 }, list = { 3, 1, 2, LONG, LONG },
    rows = { { id = 1, text = LONG }, { id = 2, text = LONG } },
}

-- What scripts do to x: to one that was just handed over, and to one that was gone through before.
local WORKS = {
    "return x.a, x.b, x.c, x.d, x.text, x.negative, x[7], x[-1], x.none, x[1], x[true]",
    "return x.a, x.a, x.a, x.b, x.b, x.c, x.c, x.d, x.d, x.none, x.none, x.none, x.negative, x.text",
    "return x", "return x.deep", "return x.deep.deeper.list", "return { x, x.deep, { x.rows } }",
    "x.a = nil return x.a, x.b", "local was = x.a x.a = nil return was, x.a, x.a, x",
    "x.a = 5 return x.a, x", "x.new = 5 return x.new, x", "x.b = nil x.b = 3 return x.b, x",
    "local d = x.deep x.deep = nil return d, x.deep, x", "local d = x.deep x.deep = 4 return d.k, x.deep, x",
    "local d = x.deep x.other = 1 return d == x.deep, rawequal(d, x.deep), x.deep == x.deep",
    "x.deep.k = 9 x.deep.deeper.k = nil return x", "x.small.k = 9 return x.small, x.small.k, x",
    "local s, d = x.small, x.deep s.n, d.n = 1, 2 x.z = 0 return x, s == x.small, d == x.deep",
    "x.deep.deeper.list[2] = nil x.deep.deeper.list[9] = 9 return x.deep",
    "local names = {} for k, v in pairs(x) do names[#names + 1] = tostring(k) .. type(v) end return names",
    "x.a = nil local n = 0 for _ in pairs(x) do n = n + 1 end return n",
    "local was = x.a x.a = nil local n = {} for k in pairs(x) do n[#n + 1] = tostring(k) end return n",
    "local k, v = next(x) return k, v, next(x, 7), next(x, 'text'), (next(x, 'a'))",
    "local b = x.b x.b = nil local n = {} for k in next, x do n[#n + 1] = tostring(k) end return n",
    "return rawget(x, 'a'), rawget(x, 'none'), rawlen(x), #x, rawget(x.deep, 'k')",
    "local was = x.a return rawget(x, 'a'), rawget(x, 'b')", "return #x, #x.list, #x.rows, #x.deep",
    "local s = 0 for i, v in ipairs(x.rows) do s = s + i * v.id end return s",
    "local s = {} for i, v in ipairs(x) do s[i] = v end return s",
    "table.insert(x.list, 9) table.insert(x.list, 1, 8) return x.list, #x.list",
    "return table.remove(x.list), table.remove(x.list, 1), x.list", "return table.concat(x.list, ',')",
    "x.list[4], x.list[5] = nil, nil table.sort(x.list) return x.list",
    "return table.unpack(x.list)", "return select('#', table.unpack(x.list))", "return table.unpack(x)",
    "return table.move(x.list, 1, 3, 2)", "return table.move({ 1, 2 }, 1, 2, 1, x.list)",
    "return table.move(x.list, 1, 3, 1, {})", "table.insert(x, 1) return x[1], #x, x",
    "return type(x), tostring(x), tostring(x.deep), ('%s'):format(x)",
    "return (('a b none'):gsub('%a+', x))",
    "return pcall(function() return x < 1 end)", "return pcall(function() return x + 1 end)",
    "return pcall(function() return x.deep .. '' end)", "return pcall(function() return x() end)",
    "return pcall(function() x[nil] = 1 end)", "return pcall(function() x[0/0] = 1 end)", "return x[nil]",
    "return pcall(function() return x.none.none end)", "return pcall(function() x:none() end)",
    "return pcall(error, x)", "return select(2, pcall(error, x.deep)) == x.deep",
    "local t = setmetatable({}, { __index = x }) return t.a, t.none, t.deep == x.deep, t.text",
    "local t = setmetatable({}, { __newindex = x }) t.new = 1 t.a = 2 return rawget(t, 'a'), x",
    "local t = setmetatable({}, { __index = x.deep }) return t.k, t.deeper, t.none",
    "setmetatable(x, { __index = function(_, k) return k .. '!' end }) return x.a, x.none, #x, x.deep.none",
    "setmetatable(x, { __len = function() return 99 end }) return #x, x.a",
    "local was = x.a x.a = nil setmetatable(x, { __index = { a = 'other' } }) return x.a, x.none, x.b",
    "local t = setmetatable({}, x) return t.a, x.a",
    "x.__index = x local t = setmetatable({}, x) return t.a, t.none",
    "return pcall(setmetatable, x, 5)", "local t = setmetatable({}, { __index = x }) "
        .. "return pcall(setmetatable, x, { __index = t })",
    "local keys = { [x] = 1, [x.deep] = 2 } return keys[x], keys[x.deep], keys[x.rows]",
    "local t = x.rows[1] t.id = 5 return x.rows[1].id, x.rows, t == x.rows[1]",
    "return tael.json.encode(x.deep)", "return tael.json.encode({ x.rows, x.small })",
    "return tael.json.encode(tael.json.array(x.list)), tael.json.is_array(x.list), tael.json.is_array(x)",
    "tael.json.object(x) return x.a, tael.json.is_array(x), x.none, tael.json.encode(x.deep.deeper)",
    "return tael.problem(404, 'gone', nil, x.deep)", "return tael.problem(404, 'gone', nil, { x = x.deep })",
    "local n = 0 for i = 1, 1000 do n = n + x.a + #x.b + x.deep.k + x.deep.deeper.k end return n",
    "kept = kept or {} return x", "local function f(t) return t.a, t.deep.k end return f(x)",
    "local c = {} for k, v in pairs(x) do c[k] = v end c.a = 2 return c, x",
}

local SCRIPT = [[
local tael = require "tael"
local function go_through(t)
    for _, value in pairs(t) do
        if type(value) == "table" then go_through(value) end
    end
end
local function work(x) %s end
return {
    late = work,
    early = function(x) go_through(x) return work(x) end,
}
]]

local made = 0
local function unit(text)
    made = made + 1
    return isolate.generation { name = "merchants/acme", key = "late@" .. made,
        files = { ["rules.lua"] = text } }
end

describe("a table that is made late", function()
    it("is like any other, whatever a script does to it", function()
        for _, text in ipairs(WORKS) do
            local answers = unit(SCRIPT:format(text)):ask("rules.lua", { { "late", 1 }, { "early", 1 } },
                { given }, 1000000)
            assert.are.same(answers[2], answers[1], text)
            if not text:find "kept" then
                assert.is_true(answers[1][1], text .. ": " .. tostring(answers[1][3]))
            end
        end
    end)

    it("is one of its own for each function, and stays what it is when it is kept", function()
        local keeps = unit [[
            local kept = {}
            return {
                put = function(x) kept[#kept + 1] = x x.n = #kept return x.deep.k end,
                get = function()
                    local seen = {}
                    for i, x in ipairs(kept) do
                        seen[i] = { x.n, x.b, x.deep.deeper.list[1], x.deep.deeper.list[4].k, x.none }
                    end
                    return seen
                end,
            }
        ]]
        for i = 1, 30 do
            local other = { b = i, deep = { k = i, text = LONG,
                deeper = { list = { i, 2, 3, { k = LONG .. i } } } } }
            local answers = keeps:ask("rules.lua", { { "put", 1 }, { "put", 1 } }, { other }, 300000)
            assert.are.same({ { true, i }, { true, i } }, answers)
        end
        local expected = {}
        for i = 1, 60 do
            local of = (i + 1) // 2
            expected[i] = { i, of, of, LONG .. of }
        end
        assert.are.same({ true, expected }, keeps:ask("rules.lua", { { "get" } }, {}, 300000)[1])
    end)

    it("has all its fields, however many they are", function()
        local many, sum = {}, 0
        for i = 1, 200 do
            many["name" .. i], many[i * 3], sum = i, LONG, sum + i
        end
        local adds = unit [[return { f = function(x)
            local sum, texts = 0, 0
            for i = 1, 200 do sum = sum + x["name" .. i] texts = texts + #x[i * 3] end
            x.name7 = nil
            for _, v in pairs(x) do sum = sum - (math.type(v) and v or 0) end
            return sum, texts, x.name7
        end }]]
        for _, count in ipairs { 200, 64, 65, 63 } do
            for i = count + 1, 200 do
                many["name" .. i], sum = 0, sum
            end
            local answer = adds:ask("rules.lua", { { "f", 1 } }, { many }, 300000)[1]
            assert.are.same({ true, 7, 200 * #LONG }, answer)
        end
    end)

    it("is charged for what is gone through", function()
        local looks = unit [[return {
            none = function(x) end, one = function(x) return x.a end, all = function(x) return #x end }]]
        local large = { a = 1, text = ("x"):rep(100000), more = {} }
        for i = 1, 1000 do
            large.more[i] = LONG
        end
        local function used(name)
            return select(2, looks:ask("rules.lua", { { name, 1 } }, { large }, 300000))
        end
        used "none"
        local none, one, all = used "none", used "one", used "all"
        assert.is_true(none < one and one < all and all > none + #large.text // 4,
            none .. " " .. one .. " " .. all)
        assert.are.equal("spent", looks:ask("rules.lua", { { "all", 1 } }, { large }, none + 1000)[1][2])
    end)
end)
