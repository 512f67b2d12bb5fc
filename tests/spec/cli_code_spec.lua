--- A code in the terminal is right when another program reads it off the screen.
local support = require "tests.spec.cli_support"
local code = require "tael.cli.code"
local screen = require "tael.cli.screen"

local SCALE = 4
local SCAN = "zbarimg --nodbus --quiet --raw -Sdisable -Sqrcode.enable pbm:%s 2>/dev/null"
local ADDRESS = "https://qr.alipay.com/bax03431ljhokirwl38f00a7"

--- What is written above and below in a character.
local HALVES = { [" "] = { false, false }, ["▀"] = { true, false }, ["▄"] = { false, true },
    ["█"] = { true, true } }

--- The lines as modules, "1" where something is written.
local function modules(lines)
    local rows = {}
    for _, line in ipairs(lines) do
        local above, below = {}, {}
        for _, point in utf8.codes((line:gsub("\27%[[%d;]*m", ""))) do
            local half = assert(HALVES[utf8.char(point)])
            above[#above + 1], below[#below + 1] = half[1] and "1" or "0", half[2] and "1" or "0"
        end
        rows[#rows + 1], rows[#rows + 2] = table.concat(above), table.concat(below)
    end
    return rows
end

local function scanned(rows)
    local lines = { ("P1\n%d %d"):format(#rows[1] * SCALE, #rows * SCALE) }
    for _, row in ipairs(rows) do
        local wide = row:gsub(".", function(module) return (module .. " "):rep(SCALE) end)
        for _ = 1, SCALE do
            lines[#lines + 1] = (wide:gsub("(" .. ("."):rep(64) .. ")", "%1\n"))
        end
    end
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(table.concat(lines, "\n"), "\n")
    file:close()
    local pipe = assert(io.popen(SCAN:format(path)))
    local text = pipe:read("a")
    pipe:close()
    os.remove(path)
    return (text:gsub("\n$", ""))
end

local function inverted(rows)
    local list = {}
    for i, row in ipairs(rows) do
        list[i] = row:gsub("[01]", { ["0"] = "1", ["1"] = "0" })
    end
    return list
end

describe("a code in the terminal", function()
    it("is black on white where there are colours", function()
        local lines = assert(code.lines(ADDRESS, true))
        for _, line in ipairs(lines) do
            assert.are.equal("\27[30;107m", line:match("^\27%[[%d;]*m"))
            assert.are.equal("\27[0m", line:sub(-4))
        end
        assert.are.equal(ADDRESS, scanned(modules(lines)))
    end)

    it("is light on a dark terminal where there are none", function()
        local lines = assert(code.lines(ADDRESS, false))
        assert.is_nil(table.concat(lines):find("\27"))
        assert.are.equal(ADDRESS, scanned(inverted(modules(lines))))
    end)

    it("has four light modules on every side", function()
        local rows = modules(assert(code.lines(ADDRESS, true)))
        for i, row in ipairs(rows) do
            assert.is_truthy(row:find("^0000") and row:find("0000$"))
            assert.is_true(i > 4 and i <= #rows - 4 or row:find("^0+$") ~= nil)
        end
    end)

    it("is not drawn where it does not fit", function()
        local out = support.file()
        screen.write_to(out, support.file())
        assert.is_false(code.draw(ADDRESS, 20))
        assert.is_false(code.draw(("x"):rep(5000), nil))
        assert.are.equal("", out.text())
        assert.is_true(code.draw(ADDRESS, 80))
        screen.write_to(io.stdout, io.stderr)
        assert.is_truthy(out.text():find("█"))
    end)
end)
