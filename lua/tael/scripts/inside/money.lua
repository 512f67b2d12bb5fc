--- tael.money, in isolates: amounts as integers of minor units, never floats. What is wrong with an argument
--- is raised where it was given.
local currencies = require "tael.currencies"

local money = {}

local MOST = 100000000000000 -- 10^14, of a payment
local WEIGHTS_MOST = 2147483648

local function check(value, name)
    if math.type(value) ~= "integer" then
        error("tael.money: " .. name .. " must be an integer of minor units", 3)
    end
end

local function exponent_of(currency)
    local row = currencies[currency]
    if not row or not row[2] then
        error("tael.money: '" .. tostring(currency) .. "' is not a currency that can be paid in", 3)
    end
    return row[2]
end

--- 1234 CNY is "12.34", 1234 JPY "1234".
function money.format(minor, currency)
    check(minor, "amount")
    local exponent = exponent_of(currency)
    local digits = ("%d"):format(minor):gsub("^-", "")
    digits = ("0"):rep(exponent + 1 - #digits) .. digits
    local text = exponent > 0 and digits:sub(1, -exponent - 1) .. "." .. digits:sub(-exponent) or digits
    return minor < 0 and "-" .. text or text
end

--- "12.34" CNY is 1234; nil when it is no amount of that currency.
function money.parse(text, currency)
    local exponent = exponent_of(currency)
    local whole, rest = tostring(text):match("^(%d+)%.?(%d*)$")
    if type(text) ~= "string" or not whole or #rest > exponent or text:sub(-1) == "." or #whole > 15
        or whole:find("^0%d") then
        return nil
    end
    local minor = math.tointeger(tonumber(whole .. rest .. ("0"):rep(exponent - #rest)))
    return minor and minor <= MOST and minor or nil
end

local function sum(a, b)
    local total = a + b
    if (b >= 0) ~= (total >= a) then
        error("tael.money: the sum does not fit", 2) -- its callers have left the stack
    end
    return total
end

function money.add(a, b)
    check(a, "amount")
    check(b, "amount")
    return sum(a, b)
end

function money.sub(a, b)
    check(a, "amount")
    check(b, "amount")
    if b == math.mininteger then
        error("tael.money: the difference does not fit", 2)
    end
    return sum(a, -b)
end

--- A share in percent, exactly as text ("0.6") or an integer, rounded half up to a minor unit.
function money.percent(minor, percent)
    check(minor, "amount")
    local whole, rest = tostring(percent):match("^(%d+)%.?(%d*)$")
    if math.type(percent) == "float" or not whole or #whole > 4 or #rest > 6 then
        error("tael.money: percent must be an integer or a decimal text with at most 6 decimals", 2)
    elseif minor < -MOST or minor > MOST then
        error("tael.money: the amount is above 10^14", 2)
    end
    local parts = math.tointeger(tonumber(whole .. rest .. ("0"):rep(6 - #rest)))
    local sign, size, of = minor < 0 and -1 or 1, math.abs(minor), 100000000
    return sign * (size // of * parts + (size % of * parts + of // 2) // of)
end

--- Shares by weights, or so many equal ones; what does not divide goes, unit by unit, to the first ones.
function money.split(minor, weights)
    check(minor, "amount")
    local list, total = {}, 0
    for i = 1, math.type(weights) == "integer" and weights or #weights do
        list[i] = math.type(weights) == "integer" and 1 or weights[i]
        check(list[i], "weight")
        total = total + list[i]
        if list[i] < 0 or total > WEIGHTS_MOST then
            error("tael.money: weights are from 0 to 2^31 together", 2)
        end
    end
    if minor < 0 or total < 1 then
        error("tael.money: nothing to split, or among nobody", 2)
    end
    local shares, left = {}, minor
    for i, weight in ipairs(list) do
        shares[i] = minor // total * weight + minor % total * weight // total
        left = left - shares[i]
    end
    for i = 1, #shares do
        if left > 0 and list[i] > 0 then
            shares[i], left = shares[i] + 1, left - 1
        end
    end
    return shares
end

return money
