--- How tael dev shows a fault in a file.
local report = require "tael.dev.report"

local folder

local function shown(name, text, message)
    local path = folder .. "/" .. name
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    return report.text({ message = path .. ":" .. message }, folder)
end

local function loading(text)
    local _, message = load(text, "@" .. folder .. "/a.lua", "t")
    return shown("a.lua", text, message:match(":(%d+: .*)$"))
end

describe("a fault", function()
    setup(function()
        folder = os.tmpname()
        os.remove(folder)
        assert(os.execute("mkdir -p " .. folder))
    end)
    teardown(function()
        os.execute("rm -r " .. folder)
    end)

    it("of a spec is marked where it stands, whatever its test is called", function()
        assert.are.equal(table.concat({
            "  a.lua:1:3: expected 1, got 2 (spec 'is'; 1 of 1 failed)",
            "  1 |   assert(1 == 2, 'is') -- is",
            "    |   ^", "",
        }, "\n"), shown("a.lua", "  assert(1 == 2, 'is') -- is",
            "1: expected 1, got 2 (spec 'is'; 1 of 1 failed)"))
    end)

    it("is text in UTF-8 that does nothing to a terminal, whatever the file holds", function()
        assert.are.equal(table.concat({
            "  a.lua:1:1: name: must be text in UTF-8",
            "  1 | name = '??'",
            "    | ^", "",
        }, "\n"), shown("a.lua", "name = '\xd6\xd0'", "1: name: must be text in UTF-8"))
        assert.are.equal(table.concat({
            "  a.lua:1:9: 'y' is \\u001b[2J\\u009b",
            "  1 | a = '\\u202e' y",
            "    |              ^", "",
        }, "\n"), shown("a.lua", "a = '\u{202e}' y", "1: 'y' is \27[2J\u{9b}"))
        assert.are.equal("  ?\\u0007\n", report.text({ message = "\xff\7" }))
    end)

    it("is marked in its line, with the word that was meant", function()
        assert.are.equal(table.concat({
            "  a.lua:2:8: syntax error near '1'",
            "  2 | retrun 1",
            '    |        ^   did you mean "return"?', "",
        }, "\n"), loading("local x\nretrun 1\n"))
        assert.are.equal(table.concat({
            "  a.lua:11:10: syntax error near 'f'",
            "  11 |  funtion f() end",
            '     |          ^   did you mean "function"?', "",
        }, "\n"), loading(("\n"):rep(10) .. " funtion f() end"))
    end)

    it("is marked at the end where something is missing there", function()
        assert.are.equal("  a.lua:1:14: unexpected symbol near <eof>\n  1 | return { a = \n"
            .. "    |              ^\n", loading("return { a = "))
    end)

    it("is marked at what its message quotes, below characters that are two columns wide too", function()
        local message = "unknown key 'drian'; did you mean 'drain'?"
        assert.are.equal(table.concat({
            "  t.lua:1:19: " .. message,
            "  1 | --[[咖啡]] return { drian = 1 }",
            "    |                     ^", "",
        }, "\n"), shown("t.lua", "--[[咖啡]] return { drian = 1 }", "1: " .. message))
    end)

    it("without a word in its line stands where the text begins", function()
        assert.are.equal("  b.lua:1:3: no reason\n  1 |   x()\n    |   ^\n",
            shown("b.lua", "  x()", "1: no reason"))
    end)

    it("offers no word that is right already, or that is none", function()
        assert.is_nil(loading("local a = = 1"):find("did you mean", 1, true))
        assert.is_nil(loading("for = 1"):find("did you mean", 1, true))
        assert.is_nil(loading("zebra 1"):find("did you mean", 1, true))
    end)

    it("without a place is its message, without a traceback", function()
        assert.are.equal("  no such thing\n", report.text({ message = "no such thing\nstack traceback:\n…" }))
        assert.are.equal("  /nowhere/x.lua:3: why\n", report.text({ message = "/nowhere/x.lua:3: why" }))
    end)
end)
