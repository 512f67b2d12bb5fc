---@meta tael.decimal

--- Exact amounts: text to minor units and back, and arithmetic that raises instead of wrapping. Knows no
--- currencies: scale is the number of decimals, 0 to 18.
---@class tael.decimal
local decimal = {}

---@class tael.decimal.Error
---@field code "invalid_decimal"|"out_of_range"
---@field message string

--- Digits without sign, blanks, exponent or leading zeros; at most scale decimals, fewer are padded.
---@param text string
---@param scale integer
---@return integer? minor
---@return tael.decimal.Error? err
function decimal.parse(text, scale) end

---@param minor integer
---@param scale integer
---@return string # exactly scale decimals
function decimal.format(minor, scale) end

---@param a integer
---@param b integer
---@return integer
function decimal.add(a, b) end

---@param a integer
---@param b integer
---@return integer
function decimal.sub(a, b) end

---@param a integer
---@param b integer
---@return integer
function decimal.mul(a, b) end

--- a * num / den, halves away from zero.
---@param a integer
---@param num integer
---@param den integer greater than 0
---@return integer
function decimal.ratio(a, num, den) end

return decimal
