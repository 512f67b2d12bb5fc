-- Somebody else's text as it is quoted.
local shown = require "tael.shown"

describe("a text that is quoted", function()
    for _, row in ipairs {
        { "coffee", nil, "coffee" }, { "coffee", 6, "coffee" }, { "coffee", 3, "cof" }, { "", 3, "" },
        { "a中b", 4, "a中" }, { "a中b", 3, "a" }, { "a中b", 2, "a" }, { "中", 2, "" }, { "é😀", 5, "é" },
        { "a\xffb", nil, "a?b" }, { "a中\xff", nil, "a????" }, { "a中\xff", 3, "a??" },
        { "\xff中中", 5, "?????" }, { "\x80\x80\x80", 2, "??" }, { "\xed\xa0\x80", nil, "???" },
    } do
        it(("is %q within %s bytes of %q"):format(row[3], row[2] or "all", row[1]), function()
            assert.are.equal(row[3], shown(row[1], row[2]))
        end)
    end
end)
