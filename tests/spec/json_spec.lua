-- tael.json against lists of texts, its limits, exactness, and lua-cjson where both can say the same.
local json = require "tael.json"
local cjson = require "cjson"

local function list(name)
    return assert(loadfile("tests/spec/json/" .. name .. ".lua"))()
end

--- An object of n members: {"k1":1,…}.
local function members(n)
    local parts = {}
    for i = 1, n do
        parts[i] = ('"k%d":%d'):format(i, i)
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

describe("json.decode", function()
    for _, case in ipairs(list "accept") do
        it("accepts " .. case.name, function()
            local value, err = json.decode(case.text)
            assert.is_nil(err)
            assert.is_not_nil(value)
            local text = json.encode(value)
            assert.are.equal(case.same or case.text, text)
            assert.are.equal(text, json.encode(json.decode(text)))
        end)
    end

    for _, case in ipairs(list "reject") do
        it("refuses " .. case.name, function()
            local value, err = json.decode(case.text)
            assert.is_nil(value)
            assert.are.equal("invalid_json", err.code)
            assert.are.equal("string", type(err.message))
            assert.is_true(err.offset >= 1 and err.offset <= #case.text + 1)
            if case.at then
                assert.are.equal(case.at, err.offset)
            end
        end)
    end

    it("refuses every proper beginning of a document", function()
        local text = '{"a":[1,-2.5e3,"x\\u00e9\\ud83d\\ude00",true,false,null,{"b":{}}],"中":"文"}'
        assert.is_table(json.decode(text))
        for len = 0, #text - 1 do
            local value, err = json.decode(text:sub(1, len))
            assert.is_nil(value)
            assert.is_true(err.offset <= len + 1)
        end
    end)

    it("keeps integers of 64 bits exactly", function()
        local texts = { "9223372036854775807", "-9223372036854775808", "9007199254740993", "0", "-1" }
        for _, text in ipairs(texts) do
            local value = json.decode(text)
            assert.are.equal("integer", math.type(value))
            assert.are.equal(text, tostring(value))
        end
        assert.are.equal(0, json.decode("-0"))
        assert.are.equal("integer", math.type(json.decode("-0")))
    end)

    it("keeps every other number as its text", function()
        for _, text in ipairs({ "0.10", "1e2", "1E+2", "-0.0", "100.00", "9223372036854775808", "1e400" }) do
            local value = json.decode(text)
            assert.is_true(json.is_decimal(value))
            assert.are.equal(text, tostring(value))
            assert.are.equal(text, json.encode(value))
        end
        assert.is_false(json.is_decimal(1))
        assert.is_false(json.is_decimal("0.10"))
        assert.is_true(json.decode("0.10") == json.decimal("0.10"))
        assert.is_false(json.decode("0.10") == json.decode("0.1"))
    end)

    it("tells arrays from objects, and null from nothing", function()
        local value = json.decode('{"list":[],"map":{},"none":null}')
        assert.is_true(json.is_array(value.list))
        assert.are.equal(json.array_mt, getmetatable(value.list))
        assert.is_false(json.is_array(value.map))
        assert.is_nil(getmetatable(value.map))
        assert.are.equal(json.null, value.none)
        assert.are.equal("userdata", type(json.null))
        assert.are.equal(false, json.decode("false"))
    end)

    it("decodes long arrays and large objects whole", function()
        for _, n in ipairs({ 1, 63, 64, 65, 127, 128, 129, 1000 }) do
            local numbers = {}
            for i = 1, n do
                numbers[i] = i * 7
            end
            local value = json.decode("[" .. table.concat(numbers, ",") .. "]")
            assert.are.same(numbers, setmetatable(value, nil))
        end
        for _, n in ipairs({ 1, 63, 64, 65, 128, 200, 256 }) do
            local value = json.decode(members(n))
            for i = 1, n do
                assert.are.equal(i, value["k" .. i])
            end
        end
    end)

    it("finds a duplicate name wherever it stands", function()
        for n = 1, 200, 7 do
            local text = members(n):sub(1, -2)
            local value, err = json.decode(text .. ',"k\\u0031":0}')
            assert.is_nil(value)
            assert.are.equal("duplicate name", err.message)
            assert.are.equal(#text + 2, err.offset)
        end
    end)

    it("keeps to its limits exactly", function()
        local function fits(text, limits)
            local value, err = json.decode(text, limits)
            return value ~= nil, err and err.message
        end
        assert.is_true(fits("[[1]]", { max_depth = 2 }))
        assert.is_false(fits("[[[]]]", { max_depth = 2 }))
        assert.is_true(fits("1", { max_depth = 0 }))
        assert.is_false(fits("[]", { max_depth = 0 }))
        assert.is_true(fits(members(256)))
        assert.is_false(fits(members(257)))
        assert.is_true(fits(members(3), { max_members = 3 }))
        assert.is_false(fits(members(4), { max_members = 3 }))
        assert.is_true(fits("[" .. ("0,"):rep(19998) .. "0]"))
        assert.is_true(fits('{"a":1}', { max_tokens = 3 }))
        assert.is_false(fits('{"a":1}', { max_tokens = 2 }))
        assert.is_true(fits('"' .. ("x"):rep(65536) .. '"'))
        assert.is_true(fits('"' .. ("\\u0078"):rep(65536) .. '"'))
        assert.is_false(fits('"' .. ("\\u0078"):rep(65537) .. '"'))
        assert.is_true(fits('"中"', { max_string = 3 }))
        assert.is_false(fits('"中"', { max_string = 2 }))
        assert.is_false(fits('{"abc":1}', { max_string = 2 }))
        assert.are.equal("nested too deeply", select(2, fits(("["):rep(33))))
        assert.are.equal("too many members", select(2, fits(members(257))))
        assert.are.equal("string too long", select(2, fits('"abc"', { max_string = 2 })))
    end)

    it("raises on options that are none", function()
        assert.has_error(function() json.decode("1", { max_dept = 3 }) end)
        assert.has_error(function() json.decode("1", { max_depth = -1 }) end)
        assert.has_error(function() json.decode("1", { max_depth = 1000 }) end)
        assert.has_error(function() json.decode("1", { max_depth = "3" }) end)
        assert.has_error(function() json.decode(nil) end)
    end)
end)

describe("json.encode", function()
    it("writes names in byte order without blanks", function()
        assert.are.equal('{"":0,"A":1,"a":2,"a!":3,"aa":4}',
            json.encode({ aa = 4, ["a!"] = 3, a = 2, A = 1, [""] = 0 }))
        local names, parts = {}, {}
        for i = 1, 40 do
            local name = ("n%02d"):format(i)
            names[name] = i
            parts[i] = ('"%s":%d'):format(name, i)
        end
        assert.are.equal("{" .. table.concat(parts, ",") .. "}", json.encode(names, { sort = true }))
    end)

    it("tells arrays from objects", function()
        assert.are.equal("{}", json.encode({}))
        assert.are.equal("[]", json.encode(json.array()))
        assert.are.equal("[]", json.encode(json.array({})))
        assert.are.equal("{}", json.encode(json.object()))
        assert.are.equal("[1,2]", json.encode({ 1, 2 }))
        assert.are.equal("[1,2]", json.encode(json.array({ 1, 2 })))
        assert.are.equal('{"a":[[],{}]}', json.encode({ a = { json.array(), {} } }))
        local t = {}
        assert.are.equal(t, json.array(t))
    end)

    it("writes exact numbers, booleans and null", function()
        assert.are.equal("[9223372036854775807,-9223372036854775808,0,-1]",
            json.encode({ math.maxinteger, math.mininteger, 0, -1 }))
        assert.are.equal('[true,false,null]', json.encode({ true, false, json.null }))
        assert.are.equal('{"a":0.10}', json.encode({ a = json.decimal("0.10") }))
    end)

    it("escapes what must be escaped and nothing else", function()
        for byte = 0, 127 do
            local text = json.encode(string.char(byte))
            assert.are.equal(string.char(byte), json.decode(text))
            local plain = byte >= 32 and byte ~= 34 and byte ~= 92
            assert.are.equal(plain, #text == 3)
        end
        assert.are.equal('"/支付\u{2028}"', json.encode("/支付\u{2028}"))
        assert.are.equal('"\\u0000\\u001f\\b\\t\\n\\f\\r\\"\\\\"', json.encode("\0\31\b\t\n\f\r\"\\"))
    end)

    it("raises on what JSON cannot say, naming the member", function()
        local cycle = {}
        cycle.inner = { cycle }
        local cases = {
            { 1.5, "a float" }, { 1.0, "a float" }, { { a = { b = 0.5 } }, "b: a float" },
            { print, "function" }, { { 1, nil, 3, x = 1 }, "keys" }, { { [2] = 1 }, "keys" },
            { { [1] = 1, [3] = 1 }, "keys" }, { { [true] = 1 }, "keys" }, { { [1.5] = 1 }, "keys" },
            { { a = 1, [1] = 2 }, "" }, { cycle, "cycle" },
            { "\xff", "not UTF-8" }, { { ["\xff"] = 1 }, "not UTF-8" }, { io.stdout, "a userdata" },
            { json.array({ a = 1 }), "keys" }, { json.array({ [2] = 1 }), "keys" },
            { json.object({ 1 }), "not a string" }, { coroutine.create(print), "thread" },
        }
        for _, case in ipairs(cases) do
            local ok, why = pcall(json.encode, case[1])
            assert.is_false(ok)
            assert.is_truthy(why:find(case[2], 1, true), why)
        end
        assert.has_error(function() json.encode() end)
        assert.has_error(function() json.encode(nil) end)
        assert.has_error(function() json.encode(1, { srt = true }) end)
        assert.has_error(function() json.decimal("1.") end)
        assert.has_error(function() json.decimal("NaN") end)
        assert.has_error(function() json.decimal("") end)
    end)

    it("calls no metamethod", function()
        local trap = setmetatable({ a = 1 }, {
            __index = function() error("called") end,
            __pairs = function() error("called") end,
            __len = function() error("called") end,
        })
        assert.are.equal('{"a":1}', json.encode(trap))
    end)

    it("works on after an error in the middle", function()
        for _ = 1, 50 do
            assert.is_false(pcall(json.encode, { a = { b = { c = 1.5 } } }))
            assert.are.equal('{"a":"' .. ("x"):rep(100000) .. '"}', json.encode({ a = ("x"):rep(100000) }))
        end
    end)
end)

describe("json.span", function()
    local text = ' {"a" : { "b" : [1, "}"] , "c":"x\\"y" } ,\n "sign" : "AbC=" , "n":-1.50 ,"e\\u0031": {}} '

    local function raw(path)
        local first, last = json.span(text, path)
        return first and text:sub(first, last) or last
    end

    it("gives the raw bytes of a member", function()
        assert.are.equal('{ "b" : [1, "}"] , "c":"x\\"y" }', raw("a"))
        assert.are.equal('[1, "}"]', raw("a.b"))
        assert.are.equal('"x\\"y"', raw("a.c"))
        assert.are.equal('"AbC="', raw("sign"))
        assert.are.equal("-1.50", raw("n"))
        assert.are.equal("{}", raw("e1"))
    end)

    it("says what is not there", function()
        for _, path in ipairs({ "x", "a.x", "sign.x", "n.x", "", "a.", ".a", "a.b.c" }) do
            assert.are.equal("not_found", raw(path).code)
        end
        assert.are.equal("not_found", select(2, json.span("[1]", "a")).code)
    end)

    it("refuses duplicate names where it looks", function()
        local function code(document, path)
            local first, err = json.span(document, path)
            return not first and err.code or nil
        end
        assert.are.equal("duplicate", code('{"a":1,"a":2}', "a"))
        assert.are.equal("duplicate", code('{"a":1,"b":0,"\\u0061":2}', "a"))
        assert.are.equal("duplicate", code('{"a":1,"b":0,"b":2}', "a"))
        assert.are.equal("duplicate", code('{"a":{"x":1,"x":2}}', "a.x"))
        assert.is_nil(code('{"a":{"x":1,"x":2}}', "a"))
        assert.are.equal("invalid_json", code(members(257), "k1"))
        assert.is_nil(code(members(256), "k1"))
    end)

    it("refuses a document that is not whole", function()
        local documents = { '{"a":1', '{"a":1}x', '{"a":1,}', '{"a":[}', '', '{"a":"\xff"}', "[1]]" }
        for _, document in ipairs(documents) do
            local first, err = json.span(document, "a")
            assert.is_nil(first)
            assert.is_truthy(err.code == "invalid_json" or err.code == "not_found")
        end
        assert.are.equal("invalid_json", select(2, json.span('{"a":' .. ("["):rep(100000), "a")).code)
    end)

    it("agrees with decode on every member it finds", function()
        local value = json.decode(text)
        assert.are.equal(value.sign, json.decode(raw("sign")))
        assert.are.same(json.encode(value.a), json.encode(json.decode(raw("a"))))
    end)
end)

describe("json and lua-cjson", function()
    --- Whether cjson can hold the value: no number beyond its 14 digits, no empty array.
    local function comparable(value)
        if type(value) == "table" then
            if json.is_array(value) and #value == 0 then
                return false
            end
            for _, inner in pairs(value) do
                if not comparable(inner) then
                    return false
                end
            end
            return true
        end
        if json.is_decimal(value) then
            local number = tonumber(tostring(value))
            return number == tonumber(("%.14g"):format(number)) and math.abs(number) < math.huge
        end
        return math.type(value) ~= "integer" or (value < 10 ^ 14 and value > -10 ^ 14)
    end

    --- Our value as cjson would hold it.
    local function as_cjson(value)
        if type(value) == "table" then
            local copy = {}
            for key, inner in pairs(value) do
                copy[key] = as_cjson(inner)
            end
            return copy
        end
        if json.is_decimal(value) or math.type(value) == "integer" then
            return tonumber(tostring(value)) + 0.0
        end
        return value
    end

    it("share null", function()
        assert.are.equal(cjson.null, json.null)
    end)

    local compared = 0
    for _, case in ipairs(list "accept") do
        local value = json.decode(case.text)
        if value ~= nil and comparable(value) and type(value) == "table" then
            compared = compared + 1
            it("agree on " .. case.name, function()
                local theirs = cjson.decode(case.text)
                assert.are.same(as_cjson(value), theirs)
                -- each reads what the other writes
                assert.are.same(theirs, cjson.decode(json.encode(value)))
                assert.are.same(as_cjson(value), as_cjson(json.decode(cjson.encode(theirs))))
            end)
        end
    end

    it("were compared on most of the list", function()
        assert.is_true(compared > 60)
    end)
end)
