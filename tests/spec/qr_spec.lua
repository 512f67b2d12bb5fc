--- A QR code is right when another program reads back what was put in.
local qr = require "tael.qr"

local QUIET, SCALE = 4, 4
local SCAN = "zbarimg --nodbus --quiet --raw -Sdisable -Sqrcode.enable pbm:%s 2>/dev/null"

--- As a portable bitmap, with the quiet zone, each module SCALE pixels wide.
local function bitmap(rows)
    local side = (#rows + 2 * QUIET) * SCALE
    local margin = ("0"):rep(QUIET)
    local blank = ("0"):rep(#rows + 2 * QUIET)
    local lines = { ("P1\n%d %d"):format(side, side) }
    local function add(row)
        local wide = row:gsub(".", function(module) return module:rep(SCALE) end)
        for _ = 1, SCALE do
            lines[#lines + 1] = (wide:gsub("(" .. ("."):rep(60) .. ")", "%1\n"))
        end
    end
    for _ = 1, QUIET do add(blank) end
    for _, row in ipairs(rows) do add(margin .. row .. margin) end
    for _ = 1, QUIET do add(blank) end
    return table.concat(lines, "\n") .. "\n"
end

local function scanned(rows)
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(bitmap(rows))
    file:close()
    local pipe = assert(io.popen(SCAN:format(path)))
    local text = pipe:read("a")
    pipe:close()
    os.remove(path)
    return (text:gsub("\n$", ""))
end

describe("tael.qr", function()
    for name, text in pairs {
        ["a short text"] = "1",
        ["digits"] = "28763443825664394",
        ["Alipay's address"] = "https://qr.alipay.com/bax03431ljhokirwl38f00a7",
        ["WeChat's address"] = "weixin://wxpay/bizpayurl?pr=aBcD1eF",
        ["letters of both cases"] = "HTTPS://Example.COM/?a=b&C=d",
        ["Chinese in UTF-8"] = "咖啡 12.34 元",
        ["a long one"] = "https://pay.example.com/" .. ("0123456789abcdef"):rep(40),
    } do
        it("draws what a scanner reads: " .. name, function()
            assert.are.equal(text, scanned(assert(qr.encode(text))))
        end)
    end

    it("is a square of zeros and ones", function()
        local rows = qr.encode("https://qr.alipay.com/bax03431ljhokirwl38f00a7")
        assert.are.equal(1, (#rows - 17) % 4 + 1)
        for _, row in ipairs(rows) do
            assert.are.equal(#rows, #row)
            assert.is_nil(row:find("[^01]"))
        end
    end)

    it("takes a level, M by default", function()
        local text = ("x"):rep(100)
        local size = {}
        for _, level in ipairs { "L", "M", "Q", "H" } do
            local rows = qr.encode(text, { level = level })
            size[level] = #rows
            assert.are.equal(text, scanned(rows))
        end
        assert.is_true(size.L < size.M and size.M < size.Q and size.Q < size.H)
        assert.are.same(qr.encode(text), qr.encode(text, { level = "M" }))
    end)

    it("still scans when a part of it is covered", function()
        local text = "https://qr.alipay.com/bax03431ljhokirwl38f00a7"
        local rows = qr.encode(text, { level = "H" })
        local middle = #rows // 2
        for y = middle - 2, middle + 2 do
            rows[y] = rows[y]:sub(1, middle - 3) .. "11111" .. rows[y]:sub(middle + 3)
        end
        assert.are.equal(text, scanned(rows))
    end)

    it("says when a text is too long", function()
        local rows, err = qr.encode(("x"):rep(2332))
        assert.is_nil(rows)
        assert.are.equal("too_long", err.code)
        assert.are.equal(177, #qr.encode(("x"):rep(2331)))
    end)

    it("refuses misuse", function()
        assert.has_error(function() qr.encode("") end)
        assert.has_error(function() qr.encode("a\0b") end)
        assert.has_error(function() qr.encode() end)
        assert.has_error(function() qr.encode("a", "M") end)
        assert.has_error(function() qr.encode("a", { level = "X" }) end)
    end)
end)
