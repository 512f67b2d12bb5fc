local crypto = require "tael.crypto"

local function fresh()
    package.loaded["tael.id"] = nil
    local module = require "tael.id"
    package.loaded["tael.id"] = nil
    return module
end

describe("tael.id", function()
    local id = fresh()
    id.set_key(("k"):rep(32))

    it("returns every number", function()
        for _, number in ipairs { 0, 1, 42, 1 << 40, math.maxinteger, -1, math.mininteger } do
            local text = id.encode("pay", number)
            assert.matches("^pay_[0-7][0-9A-HJKMNP-TV-Z]+$", text)
            assert.are.equal(30, #text)
            assert.are.equal(number, id.decode("pay", text))
            local bare = id.number(number, "att")
            assert.are.equal(26, #bare)
            assert.are.equal(number, id.from_number("att", bare))
        end
    end)

    it("is the number and half of an HMAC, in base32", function()
        local number = 0x0123456789ABCDEF
        local bytes = (">i8"):pack(number)
        bytes = bytes .. crypto.hmac("sha256", ("k"):rep(32), "pay" .. bytes):sub(1, 8)
        local alphabet, text = "0123456789ABCDEFGHJKMNPQRSTVWXYZ", ""
        local bits = "00"
        for byte in bytes:gmatch(".") do
            for i = 7, 0, -1 do bits = bits .. (byte:byte() >> i & 1) end
        end
        for five in bits:gmatch(".....") do
            local value = tonumber(five, 2)
            text = text .. alphabet:sub(value + 1, value + 1)
        end
        assert.are.equal("pay_" .. text, id.encode("pay", number))
    end)

    it("accepts no other text", function()
        local text = id.encode("pay", 42)
        local tries = {
            "", "pay_", text .. "0", text:sub(1, -2), text:lower(), " " .. text, text .. "\0", "pay_" .. text,
            (text:gsub("pay", "ref")), (text:gsub("_", "-")), ("0"):rep(30), "pay_" .. ("0"):rep(26),
        }
        for i = 5, #text do
            for _, c in ipairs { "0", "1", "Z", "U", "o", "\255" } do
                local changed = text:sub(1, i - 1) .. c .. text:sub(i + 1)
                if changed ~= text then tries[#tries + 1] = changed end
            end
        end
        for _, try in ipairs(tries) do
            assert.is_nil(id.decode("pay", try))
            assert.is_nil(id.from_number("pay", try))
            if try:find("^pay_") then assert.is_nil(id.from_number("pay", try:sub(5))) end
        end
        assert.are.equal(42, id.from_number("pay", text:sub(5)))
        assert.is_nil(id.decode("pay", text:sub(5)))
        assert.is_nil(id.decode("pay", nil))
        assert.is_nil(id.decode("pay", 42))
        assert.is_nil(id.from_number("pay", {}))
    end)

    it("keeps kinds and keys apart", function()
        local text = id.encode("pay", 42)
        assert.is_nil(id.decode("ref", text))
        assert.is_nil(id.decode("ref", "ref" .. text:sub(4)))
        assert.is_nil(id.from_number("att", id.number(42, "pay")))
        local other = fresh()
        other.set_key(("l"):rep(32))
        assert.is_nil(other.decode("pay", text))
        assert.are_not.equal(text, other.encode("pay", 42))
    end)

    it("has one key, set once and long enough", function()
        assert.has_error(function() id.set_key(("k"):rep(32)) end)
        local other = fresh()
        assert.has_error(function() other.encode("pay", 1) end)
        assert.has_error(function() other.decode("pay", id.encode("pay", 1)) end)
        assert.has_error(function() other.set_key("short") end)
        assert.has_error(function() other.set_key(5) end)
        other.set_key(("k"):rep(32))
        assert.are.equal(1, other.decode("pay", id.encode("pay", 1)))
    end)

    it("has prefixes of small letters", function()
        for _, prefix in ipairs { "", "Pay", "pay_", "p1", ("p"):rep(17) } do
            assert.has_error(function() id.encode(prefix, 1) end)
            assert.has_error(function() id.decode(prefix, "x") end)
        end
        assert.has_error(function() id.encode("pay", 1.5) end)
        assert.has_error(function() id.encode("pay", "x") end)
    end)
end)
