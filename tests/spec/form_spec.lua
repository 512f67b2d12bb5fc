local form = require "tael.form"

describe("form.decode", function()
    it("gives a map and the names in their order", function()
        local map, names = form.decode("b=2&a=x+y%20z&c&%64=%2525")
        assert.are.same({ b = "2", a = "x y z", c = "", d = "%25" }, map)
        assert.are.same({ "b", "a", "c", "d" }, names)
        map, names = form.decode("")
        assert.are.same({}, map)
        assert.are.same({}, names)
    end)

    for text, expected in pairs {
        ["a=1&a=2"] = { "duplicate", "a" },
        ["a=1&%61=2"] = { "duplicate", "a" },
        ["b=1&a=%zz"] = { "escape", "a" },
        ["a=%"] = { "escape", "a" },
        ["a=%00"] = { "nul", "a" },
        ["a=\0"] = { "nul", "a" },
        ["=1"] = { "name" },
        ["a=1&"] = { "name" },
        ["a=%ff"] = { "charset", "a" },
        [("n"):rep(65) .. "=1"] = { "too_long", ("n"):rep(64) },
        ["a=" .. ("v"):rep(8193)] = { "too_long", "a" },
    } do
        it("refuses " .. text:sub(1, 20):gsub("%c", "?"), function()
            local map, err = form.decode(text)
            assert.is_nil(map)
            assert.are.equal(expected[1], err.code)
            assert.are.equal(expected[2], err.field)
            assert.are.equal("string", type(err.message))
        end)
    end

    it("has limits that can be set", function()
        local many = ("x=1&"):rep(1):gsub("x", "a0")
        for i = 1, 199 do many = many .. "a" .. i .. "=&" end
        assert.is_not_nil((form.decode(many:sub(1, -2))))
        local map, err = form.decode(many .. "b=")
        assert.is_nil(map)
        assert.are.equal("too_many", err.code)
        assert.is_nil((form.decode("a=1&b=2", { max_fields = 1 })))
        assert.is_nil((form.decode("ab=1", { max_name = 1 })))
        assert.is_nil((form.decode("a=12", { max_value = 1 })))
        assert.is_nil((form.decode("a=1&sign=123", { limits = { sign = 2, other = 9 } })))
        assert.is_not_nil((form.decode("a=123&sign=12", { limits = { sign = 2 } })))
        assert.is_not_nil((form.decode("sign=123456789", { max_value = 2, limits = { sign = 9 } })))
        assert.is_nil((form.decode("a=1", { max_fields = 0 })))
    end)

    it("keeps the bytes of another charset", function()
        assert.are.same({ s = "\xd6\xd0" }, (form.decode("s=%d6%d0", { charset = "gbk" })))
        assert.are.same({ s = "\xd6\xff" }, (form.decode("s=%d6%ff", { charset = "bytes" })))
        local map, err = form.decode("s=%d6%ff", { charset = "gbk" })
        assert.is_nil(map)
        assert.are.equal("charset", err.code)
        assert.is_nil((form.decode("s=%00", { charset = "bytes" })))
    end)

    it("raises on misuse", function()
        for _, options in ipairs {
            { max = 1 }, { max_fields = "1" }, { max_fields = 1.5 }, { max_fields = -1 },
            { max_fields = 1001 }, { charset = "latin1" }, { limits = 1 }, { limits = { 5 } },
            { limits = { a = "x" } }, { limits = { a = -1 } },
        } do
            assert.has_error(function() form.decode("a=1", options) end)
        end
        assert.has_error(function() form.decode(nil) end)
        assert.has_error(function() form.decode(5) end)
    end)
end)

describe("form.encode and form.canonical", function()
    it("sort by bytes", function()
        local map = { b = "2", a = "1", B = "3", _ = "4", ["a1"] = "5", aa = "6" }
        assert.are.equal("B=3&_=4&a=1&a1=5&aa=6&b=2", form.canonical(map))
        assert.are.equal("B=3&_=4&a=1&a1=5&aa=6&b=2", form.encode(map))
        assert.are.equal("", form.encode({}))
        assert.are.equal("", form.canonical({}))
    end)

    it("encode everything but unreserved characters, and canonical nothing", function()
        local map = { ["a b"] = "x&y=z", t = "~中 +" }
        assert.are.equal("a%20b=x%26y%3Dz&t=~%E4%B8%AD%20%2B", form.encode(map))
        assert.are.equal("a b=x&y=z&t=~中 +", form.canonical(map))
        assert.are.same(map, (form.decode(form.encode(map))))
    end)

    it("write integers and no floats", function()
        assert.are.equal("n=-5&z=9223372036854775807", form.encode { n = -5, z = math.maxinteger })
        assert.has_error(function() form.encode { n = 1.5 } end)
        assert.has_error(function() form.encode { n = 1.0 } end)
        assert.has_error(function() form.encode { n = true } end)
        assert.has_error(function() form.encode { n = {} } end)
        assert.has_error(function() form.encode { "a" } end)
        assert.has_error(function() form.encode(nil) end)
    end)

    it("leave out what they are told to", function()
        local map = { a = "1", sign = "s", sign_type = "RSA2", empty = "" }
        assert.are.equal("a=1&empty=", form.canonical(map, { except = { "sign", "sign_type" } }))
        assert.are.equal("a=1", form.canonical(map, { except = { "sign", "sign_type" }, drop_empty = true }))
        assert.are.equal("a=1&sign=s&sign_type=RSA2", form.canonical(map, { drop_empty = true, except = {} }))
        assert.has_error(function() form.canonical(map, { except = { sign = true } }) end)
        assert.has_error(function() form.canonical(map, { except = "sign" }) end)
        assert.has_error(function() form.canonical(map, { excpet = {} }) end)
    end)

    it("never run a caller's metamethods", function()
        local function touched() error("touched") end
        local map = setmetatable({ a = "1" }, { __index = touched, __pairs = touched, __len = touched })
        assert.are.equal("a=1", form.canonical(map))
        assert.are.equal("a=1", form.encode(map))
    end)

    it("return every byte", function()
        for round = 1, 200 do
            local map, seed = {}, round
            for _ = 1, round % 7 do
                seed = seed * 1103515245 + 12345 & 0x7fffffff
                local name, value = "n" .. seed, {}
                for i = 1, seed % 40 do
                    seed = seed * 1103515245 + 12345 & 0x7fffffff
                    value[i] = string.char((seed >> 8) % 255 + 1)
                end
                map[name] = table.concat(value)
            end
            assert.are.same(map, (form.decode(form.encode(map), { charset = "bytes" })))
        end
    end)
end)
