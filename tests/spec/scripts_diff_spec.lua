-- Unified diffs: patch(1), which knows the form, makes the second text of the first.
local diff = require "tael.scripts.diff"

local function write(path, text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
end

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read "a"
    file:close()
    return text
end

local function patched(a, b)
    local path = os.tmpname()
    write(path, a)
    write(path .. ".diff", "--- x\n+++ x\n" .. diff.texts(a, b))
    assert(os.execute(("patch -s %s %s.diff"):format(path, path)), "patch refused the diff")
    local text = read(path)
    os.remove(path)
    os.remove(path .. ".diff")
    return text
end

describe("a diff", function()
    it("is what patch makes the one of the other with", function()
        local seed = 7
        local function random(n)
            seed = (seed * 1103515245 + 12345) % 2147483648
            return seed // 65536 % n + 1
        end
        local function text(lines)
            local parts = {}
            for i = 1, lines do
                parts[i] = "line " .. random(6)
            end
            return table.concat(parts, "\n") .. (random(2) == 1 and lines > 0 and "\n" or "")
        end
        for n = 1, 60 do
            local many = n % 20 == 0
            local a, b = text(many and 900 or random(30) - 1), text(many and 900 or random(30))
            assert.equal(b, a == b and a or patched(a, b))
        end
    end)

    it("shows three lines around what has changed", function()
        local a = "1\n2\n3\n4\n5\n6\n7\n8\n9\n"
        assert.equal("@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n",
            diff.texts(a, (a:gsub("5", "five"))))
        assert.equal("", diff.texts(a, a))
        assert.equal("@@ -0,0 +1 @@\n+1\n\\ No newline at end of file\n", diff.texts("", "1"))
    end)

    it("of many files that differ lets others go on, and does not look for ever", function()
        local was, is, paused = {}, {}, 0
        for number = 1, 100 do
            was["f" .. number .. ".lua"] = ("--a\n--b\n"):rep(345)
            is["f" .. number .. ".lua"] = ("--c\n--d\n"):rep(345)
        end
        local changes = diff.files(was, is, function() paused = paused + 1 end)
        assert.equal(100, #changes)
        for _, change in ipairs(changes) do
            assert.equal(690, select(2, change.diff:gsub("\n%-%-%-[ab]", "")))
            assert.equal(690, select(2, change.diff:gsub("\n%+%-%-[cd]", "")))
        end
        assert.is_true(paused > 300 and paused < 600, paused .. " pauses")
    end)

    it("of files names those that differ", function()
        local changes = diff.files({ ["a.lua"] = "1\n", ["b.lua"] = "1\n", ["c.lua"] = "1\n" },
            { ["b.lua"] = "2\n", ["c.lua"] = "1\n", ["lib/d.lua"] = "1\n" })
        local told = {}
        for i, change in ipairs(changes) do
            told[i] = change.path .. " " .. change.change
        end
        assert.are.same({ "a.lua removed", "b.lua changed", "lib/d.lua added" }, told)
        assert.equal("--- a/a.lua\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n", changes[1].diff)
        assert.equal("--- /dev/null\n+++ b/lib/d.lua\n@@ -0,0 +1 @@\n+1\n", changes[3].diff)
    end)
end)
