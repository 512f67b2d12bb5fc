--- Money as text and back, and arithmetic that cannot wrap. Input: a byte that chooses the number of decimals
--- and is followed by text; the same bytes once more as integers.
local decimal = require "tael.decimal"
local money = require "tael.kernel.money"

package.preload["tael.currencies"] = function() -- as isolates have it
    return require "tael.kernel.currencies"
end
local inside = require "tael.scripts.inside.money"

local currencies = { "CNY", "JPY", "BHD", "USD", "KRW", "IQD", "CLF", "XXX" }

--- The form that amounts have, and the digits of the minor units; nil when text is not of it.
local function digits_of(text, scale)
    local whole, point, fraction = text:match("^(%d+)(%.?)(%d*)$")
    if not whole or #whole > 18 or (whole:find("^0") and #whole > 1) then
        return nil
    elseif (point == "") ~= (fraction == "") or #fraction > scale then
        return nil
    end
    return whole .. fraction .. ("0"):rep(scale - #fraction)
end

local function check_text(text, scale)
    local minor, err = decimal.parse(text, scale)
    local digits = digits_of(text, scale)
    local exact = digits and math.tointeger(tonumber((digits:gsub("^0+(%d)", "%1"))))
    if not minor then
        assert(err.code == (digits and "out_of_range" or "invalid_decimal"), err.code)
        assert(not exact or math.type(tonumber(digits)) == "float", "an amount that fits was refused")
        return
    end
    assert(exact == minor, "another amount")
    local written = decimal.format(minor, scale)
    local whole = #digits - scale
    local wanted = digits:sub(1, whole) .. (scale > 0 and "." .. digits:sub(whole + 1) or "")
    assert(written == wanted, "written in another way")
    assert(decimal.parse(written, scale) == minor, "not the same when read again")
end

local function check_currency(text, code)
    local minor, err = money.parse(text, code)
    if not minor then
        assert(err.code == "currency_not_supported" or err.code == "invalid_amount"
            or err.code == "amount_out_of_range", err.code)
        return
    end
    assert(minor >= 0 and minor <= money.MAX, "out of range")
    assert(money.parse(money.format(minor, code), code) == minor, "not the same when read again")
end

local function check_integer(value, scale)
    local text = decimal.format(value, scale)
    local minus, whole, fraction = text:match("^(%-?)(%d+)%.?(%d*)$")
    assert(whole and #fraction == scale and (minus == "-") == (value < 0), text)
    assert(math.tointeger(tonumber(minus .. (whole .. fraction):gsub("^0+(%d)", "%1"))) == value
        or value == math.mininteger, text)
end

--- Sums and products by floats say whether they fit, but for those that are close to the edge.
local function check_arithmetic(a, b)
    local size = math.abs(a + 0.0) + math.abs(b + 0.0)
    for name, near in pairs { add = a + 0.0 + b, sub = a + 0.0 - b, mul = (a + 0.0) * b } do
        local ran, result = pcall(decimal[name], a, b)
        local error = (size + math.abs(near)) / 2 ^ 50 + 1 -- what floats may be wrong by
        assert(not ran or math.abs(near - result) <= error, name .. " wrapped")
        assert(ran or math.abs(near) >= 2 ^ 62, name .. " refused what fits")
    end
end

--- a * num / den, half away from zero, from the quotient and the remainder of smaller numbers.
local function check_ratio(a, num, den)
    local result = decimal.ratio(a, num, den)
    local product = math.abs(a * num)
    local wanted = product // den + (product % den * 2 >= den and 1 or 0)
    assert(result == (a * num < 0 and -wanted or wanted), "rounded in another way")
end

local function check_split(amount, weights)
    local shares = inside.split(amount, weights)
    local sum, total = 0, 0
    for i, share in ipairs(shares) do
        sum, total = sum + share, total + weights[i]
    end
    assert(sum == amount, "the shares are not the whole")
    for i, share in ipairs(shares) do
        local floor = amount // total * weights[i] + amount % total * weights[i] // total
        assert(share == floor or share == floor + 1, "an unfair share")
    end
end

---@param input string
return function(input)
    local choice, text = input:byte() or 0, input:sub(2)
    check_text(text, choice % 19)
    check_currency(text, currencies[choice % #currencies + 1])
    if #text < 16 then
        return
    end
    local a, b = string.unpack("<i8i8", text)
    check_integer(a, choice % 19)
    check_arithmetic(a, b)
    check_arithmetic(a >> 33, b >> 31)
    check_ratio(a >> 33, (b >> 33) - (1 << 30), (b & 0xffffff) + 1)
    check_split(a >> 1, { 1 + (b & 0xffff), b >> 48, b >> 40 & 0xff })
end
