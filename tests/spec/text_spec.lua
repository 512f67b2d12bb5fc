--- tael.text against the same said with patterns, wherever in the text a byte may stand.
local text = require "tael.text"

local function by_patterns(value)
    return utf8.len(value) ~= nil and not value:find("[%z\1-\31\127]")
end

describe("text.is_plain", function()
    it("agrees with patterns for every byte at every place of two words", function()
        for byte = 0, 255 do
            for before = 0, 17 do
                for _, after in ipairs { 0, 1, 9 } do
                    local value = ("a"):rep(before) .. string.char(byte) .. ("~"):rep(after)
                    assert.are.equal(by_patterns(value), text.is_plain(value))
                end
            end
        end
    end)

    it("agrees with patterns for pairs of bytes", function()
        for first = 0x70, 0xff do
            for second = 0x70, 0xff do
                local value = "12345" .. string.char(first, second) .. "12345678"
                assert.are.equal(by_patterns(value), text.is_plain(value))
            end
        end
    end)

    it("takes well-formed UTF-8 alone", function()
        for _, good in ipairs { "", "商品", "é1234567商品", "\u{10FFFF}", "a\u{7FF}\u{800}\u{FFFF}", " ~" } do
            assert.is_true(text.is_plain(good), good)
        end
        for _, bad in ipairs { "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "12345678\xE5\x95", "\x80",
            "a\nb", "1234567\n", "12345678\127", "\0" } do
            assert.is_false(text.is_plain(bad))
        end
    end)

    it("counts bytes", function()
        assert.is_true(text.is_plain("商品", 6))
        assert.is_false(text.is_plain("商品", 5))
        assert.is_true(text.is_plain("", 0))
        assert.is_false(text.is_plain("a", -1))
    end)

    it("is false for what is no text", function()
        for _, value in ipairs { 1, true, {}, print } do
            assert.is_false(text.is_plain(value))
        end
        assert.is_false(text.is_plain(nil))
    end)
end)
