--- How Alipay writes texts, amounts, times and payers, in answers and notifications alike (protocol
--- reference §7, §8.7, §9.3). Empty and missing are the same.
local money = require "tael.money"
local time = require "tael.time"

local values = {}

values.zone = "+08:00" -- of every time that Alipay writes
values.currency = "CNY"

---@param value any
---@return string?
function values.text(value)
    return type(value) == "string" and value ~= "" and value or nil
end

local text_of = values.text

--- An amount that cannot be read exactly is a fault of the message, never zero.
---@param text any "12.34"
---@return integer minor
function values.amount(text)
    local amount = money.parse(text, values.currency)
    if not amount then
        error("an amount is not a decimal text of yuan: " .. tostring(text):sub(1, 32), 0)
    end
    return amount
end

--- "2026-01-15 10:20:30", with a fraction where Alipay writes one.
---@param text any
---@return integer? ms
function values.time(text)
    return text_of(text) and time.parse(text, values.zone) or nil
end

--- Merchants see a number, an open id, or both.
---@param fields table
---@return table<string, string>
function values.payer(fields)
    return {
        buyer_id = text_of(fields.buyer_user_id) or text_of(fields.buyer_id),
        buyer_open_id = text_of(fields.buyer_open_id),
        login_hint = text_of(fields.buyer_logon_id),
    }
end

--- TRADE_CLOSED says "never paid" or "paid, and all was given back" (§7); whether it was ever paid, the other
--- fields tell.
values.given_back = "TRADE_CLOSED after payment"

---@param status any trade_status
---@param was_paid boolean
---@return string? state
---@return true? given_back
function values.state(status, was_paid)
    if status == "TRADE_CLOSED" and was_paid then
        return values.given_back, true
    end
    return text_of(status)
end

return values
