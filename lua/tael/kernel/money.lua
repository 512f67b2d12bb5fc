--- Money: int64 minor units and an ISO 4217 code, never a float.
--- Invariants: 1 an amount is an integer of minor units, a float raises; 2 arithmetic that does not fit
--- raises, it never wraps or rounds silently; 3 the shares of a split add up to what was split.
local currencies = require "tael.kernel.currencies"
local decimal = require "tael.decimal"

local money = {}

money.MIN = 1
money.MAX = 100000000000000 -- 10^14 minor units, for every currency

local WEIGHTS_MAX = 2147483648

local by_number = {}
for code, row in pairs(currencies) do
    by_number[row[1]] = code
end

local function check_integer(value, name)
    if math.type(value) ~= "integer" then
        error(name .. " must be an integer of minor units", 3)
    end
end

--- Decimals of a currency's minor unit.
---@param code string
---@return integer? exponent nil when the code names no money
function money.exponent(code)
    local row = currencies[code]
    return row and row[2]
end

--- Three-digit ISO number as text, as terminals and some channels want it.
---@param code string
---@return string? number
function money.number(code)
    local row = currencies[code]
    return row and ("%03d"):format(row[1])
end

---@param number integer|string
---@return string? code
function money.by_number(number)
    return by_number[math.tointeger(tonumber(number))]
end

--- May this amount stand in a payment?
---@param minor any
function money.in_range(minor)
    return math.type(minor) == "integer" and minor >= money.MIN and minor <= money.MAX
end

--- Exact: "12.34" CNY is 1234. No sign, exponent, blank or separator; more decimals than the currency has are
--- refused, fewer are filled up.
---@param text string
---@param code string
---@return integer? minor
---@return table? err code "invalid_amount" | "currency_not_supported" | "amount_out_of_range"
function money.parse(text, code)
    local exponent = money.exponent(code)
    if not exponent then
        return nil, { code = "currency_not_supported", message = "not a currency that can be paid in" }
    end
    local minor = type(text) == "string" and decimal.parse(text, exponent)
    if not minor then
        return nil, { code = "invalid_amount",
            message = ("not an amount of %s with at most %d decimals"):format(code, exponent) }
    end
    if minor > money.MAX then
        return nil, { code = "amount_out_of_range", message = "more than 10^14 minor units" }
    end
    return minor
end

--- The currency's own number of decimals: 1234 CNY is "12.34", 1234 JPY "1234".
---@param minor integer
---@param code string
---@param options? { symbol: boolean } symbol: with the code before it
---@return string
function money.format(minor, code, options)
    check_integer(minor, "amount")
    local exponent = money.exponent(code)
    if not exponent then
        error("unknown currency " .. tostring(code), 2)
    end
    local text = decimal.format(minor, exponent)
    return options and options.symbol and code .. " " .. text or text
end

---@param a integer
---@param b integer
---@return integer
function money.add(a, b)
    check_integer(a, "amount")
    check_integer(b, "amount")
    return decimal.add(a, b)
end

---@param a integer
---@param b integer
---@return integer
function money.sub(a, b)
    check_integer(a, "amount")
    check_integer(b, "amount")
    return decimal.sub(a, b)
end

--- A share in percent, given exactly as text ("0.6") or integer, rounded half up to a minor unit.
---@param minor integer
---@param percent string|integer
---@return integer
function money.percent(minor, percent)
    check_integer(minor, "amount")
    local parts = decimal.parse(tostring(percent), 6) -- millionths of a percent
    if not parts or math.type(percent) == "float" then
        error("percent must be an integer or decimal text", 2)
    end
    return decimal.ratio(minor, parts, 100 * 1000000)
end

--- Cuts an amount into shares by weights; what does not divide goes, unit by unit, to the first ones.
---@param minor integer not negative
---@param weights integer|integer[] a number of equal shares, or the weight of each
---@return integer[] shares
function money.split(minor, weights)
    check_integer(minor, "amount")
    if math.type(weights) == "integer" then
        local count = weights
        weights = {}
        for i = 1, count do
            weights[i] = 1
        end
    end
    local total = 0
    for _, weight in ipairs(weights) do
        check_integer(weight, "weight")
        if weight < 0 or weight > WEIGHTS_MAX then
            error("a weight is from 0 to 2^31", 2)
        end
        total = total + weight
    end
    if minor < 0 or total < 1 or total > WEIGHTS_MAX then
        error("nothing to split, or weights above 2^31 in all", 2)
    end
    local shares, left = {}, minor
    for i, weight in ipairs(weights) do
        -- the floor of minor * weight / total: the remainder is below 2^31, so nothing overflows
        shares[i] = minor // total * weight + minor % total * weight // total
        left = left - shares[i]
    end
    for i = 1, #shares do
        if left == 0 then
            break
        end
        if weights[i] > 0 then
            shares[i] = shares[i] + 1
            left = left - 1
        end
    end
    return shares
end

return money
