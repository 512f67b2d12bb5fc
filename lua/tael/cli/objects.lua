--- How objects of the API are written for people, in lists and sentences.
local json = require "tael.json"
local money = require "tael.kernel.money"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of
local time = require "tael.time"

local objects = {}

--- nil in place of null.
---@param value any
---@return any
function objects.given(value)
    if value == json.null then
        return nil
    end
    return value
end

--- "CNY 12.34"
---@param object table with amount and currency
---@param minor integer? another amount of its currency
---@return string
function objects.amount(object, minor)
    return money.format(minor or object.amount, object.currency, { symbol = true })
end

--- "closed (expired)", "paid late", in the state's colour.
---@param payment table
---@return string
function objects.state(payment)
    local reason = objects.given(payment.reason)
    return screen.state(payment.state, payment.state .. (reason and " (" .. reason .. ")" or "")
        .. (payment.late and " late" or ""))
end

--- "12:01:07.102", UTC as everything that the engine says.
---@param at string RFC 3339
---@return string
function objects.clock(at)
    return at:match("T(%d%d:%d%d:%d%d%.?%d*)") or at
end

--- Ms from one moment to another.
---@param from string RFC 3339
---@param to string RFC 3339
---@return integer?
function objects.between(from, to)
    local first, last = time.parse_rfc3339(from), time.parse_rfc3339(to)
    return first and last and last - first
end

--- Who chose a payment's way, and why: "rule: large amounts".
---@param decision { by: string, reason: any }
---@return string
function objects.decision(decision)
    local reason = objects.given(decision.reason)
    if decision.by == "rule" and reason then
        return text("pay.by_rule_reason", { reason = (reason:gsub("%c", " ")) })
    end
    return text("pay.by_" .. decision.by)
end

return objects
