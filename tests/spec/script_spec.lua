--- Text that is loaded comes to an end.
local script = require "tael.script"

local function bounded(text, ...)
    return script.bounded(assert(load(text, "@scripts/test.lua", "t")), ...)
end

describe("tael.script.bounded", function()
    it("is like pcall for what ends", function()
        assert.are.same({ true, 3 }, { bounded("local a, b = ... return a + b, 'more'", 1, 2) })
        assert.are.same({ true }, { bounded("") })
        assert.are.same({ false, "scripts/test.lua:2: no" }, { bounded("\nerror('no')") })
        local err = {}
        assert.are.same({ false, err }, { bounded("error(...)", err) })
        assert.are.same({ true, 500000500000 },
            { bounded("local sum = 0 for i = 1, 1000000 do sum = sum + i end return sum") })
    end)

    for name, text in pairs {
        ["an endless loop"] = "\nwhile true do end",
        ["one that catches"] = "\nwhile true do pcall(function() while true do end end) end",
        ["endless calls"] = "\nlocal function f() return f() end f()",
        ["one that makes coroutines"] = "\nlocal function stay() while true do end end\n"
            .. "while true do pcall(coroutine.wrap(stay)) end",
        ["one in a coroutine"] = "\nlocal co = coroutine.wrap(function() while true do end end)\nco()",
        ["one in a metamethod"] = "\nlocal function get() while true do end end\n"
            .. "return setmetatable({}, { __index = get }).a",
    } do
        it("ends " .. name, function()
            local ok, message = bounded(text)
            assert.is_false(ok)
            assert.matches("scripts/test.lua:%d: does not end: 50 million instructions and no result$",
                message)
        end)
    end

    it("leaves nothing behind", function()
        bounded("while true do end")
        assert.is_nil((debug.gethook()))
        local sum = 0
        for i = 1, 1000000 do
            sum = sum + i
        end
        assert.are.equal(500000500000, sum)
        assert.is_true(bounded("return 1"))
    end)

    it("may stand inside another", function()
        local ok, message = script.bounded(function()
            assert(not bounded("while true do end"))
            assert(bounded("return 1"))
            while true do end
        end)
        assert.is_false(ok)
        assert.matches("does not end", message)
    end)

    it("cannot be waited in", function()
        local co = coroutine.create(function() return script.bounded(coroutine.yield) end)
        local _, ok, message = coroutine.resume(co)
        assert.is_false(ok)
        assert.matches("yield", message)
    end)
end)
