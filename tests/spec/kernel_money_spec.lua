local currencies = require "tael.kernel.currencies"
local money = require "tael.kernel.money"

describe("currencies", function()
    it("have a number each, and no two the same", function()
        local seen, count = {}, 0
        for code, row in pairs(currencies) do
            assert.matches("^%u%u%u$", code)
            assert.is_true(math.type(row[1]) == "integer" and row[1] > 0 and row[1] < 1000, code)
            assert.is_nil(seen[row[1]], code)
            seen[row[1]] = code
            count = count + 1
        end
        assert.is_true(count >= 170 and count <= 185, "list one holds about 180 codes, not " .. count)
    end)

    -- the exponents that are not 2, as the standard lists them
    local exponents = {
        [0] = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
        [3] = "BHD IQD JOD KWD LYD OMR TND",
        [4] = "CLF UYW",
    }
    it("have the exponent of the standard", function()
        local wanted = {}
        for exponent, codes in pairs(exponents) do
            for code in codes:gmatch("%u+") do
                wanted[code] = exponent
            end
        end
        for code, row in pairs(currencies) do
            if row[2] then
                assert.are.equal(wanted[code] or 2, row[2], code)
            end
        end
        for code in pairs(wanted) do
            assert.is_not_nil(currencies[code], code)
        end
    end)

    it("name no money when they are metals, units of account or tests", function()
        for code in ("XAU XAG XPT XPD XDR XSU XUA XBA XBB XBC XBD XTS XXX"):gmatch("%u+") do
            assert.is_nil(money.exponent(code), code)
            assert.is_nil((money.parse("1", code)), code)
        end
    end)
end)

describe("money.parse", function()
    for _, case in ipairs {
        { "12.34", "CNY", 1234 }, { "0.01", "CNY", 1 }, { "12.3", "CNY", 1230 }, { "12", "CNY", 1200 },
        { "0", "CNY", 0 }, { "1234", "JPY", 1234 }, { "1.234", "KWD", 1234 }, { "1.2345", "CLF", 12345 },
        { "1000000000000.00", "CNY", 100000000000000 },
    } do
        it(("reads %s %s"):format(case[1], case[2]), function()
            assert.are.equal(case[3], money.parse(case[1], case[2]))
        end)
    end

    for _, case in ipairs {
        { "12.345", "CNY" }, { "1.0", "JPY" }, { "-1.00", "CNY" }, { "+1.00", "CNY" }, { "01.00", "CNY" },
        { ".50", "CNY" }, { "1.", "CNY" }, { "1e3", "CNY" }, { "1,000.00", "CNY" }, { " 1.00", "CNY" },
        { "1.00 ", "CNY" }, { "", "CNY" }, { "abc", "CNY" }, { "0x10", "CNY" }, { "١", "CNY" },
        { "1000000000000.01", "CNY" }, { "99999999999999999999", "JPY" }, { "1.00", "ZZZ" },
        { 12.34, "CNY" }, { 1234, "CNY" },
    } do
        it(("refuses %s %s"):format(tostring(case[1]), case[2]), function()
            local minor, err = money.parse(case[1], case[2])
            assert.is_nil(minor)
            assert.is_string(err.code)
        end)
    end
end)

describe("money.format", function()
    for _, case in ipairs {
        { 1234, "CNY", "12.34" }, { 1, "CNY", "0.01" }, { 0, "CNY", "0.00" }, { 1234, "JPY", "1234" },
        { 1234, "KWD", "1.234" }, { -1234, "CNY", "-12.34" }, { 100000000000000, "CNY", "1000000000000.00" },
    } do
        it(("writes %d %s as %s"):format(case[1], case[2], case[3]), function()
            assert.are.equal(case[3], money.format(case[1], case[2]))
        end)
    end

    it("writes what it reads, in every currency", function()
        for code, row in pairs(currencies) do
            for _, minor in ipairs(row[2] and { 0, 1, 99, 12345678, money.MAX } or {}) do
                assert.are.equal(minor, money.parse(money.format(minor, code), code))
            end
        end
    end)

    it("refuses a float", function()
        assert.has_error(function() money.format(12.0, "CNY") end)
    end)
end)
