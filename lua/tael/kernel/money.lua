--- Money: int64 minor units and an ISO 4217 code, never a float; as text and back. Arithmetic is done by
--- scripts, with tael.money of their isolates (scripts/inside/money.lua).
local currencies = require "tael.kernel.currencies"
local decimal = require "tael.decimal"

local money = {}

money.MIN = 1
money.MAX = 100000000000000 -- 10^14 minor units, for every currency

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

return money
