--- Alipay's times: text in GMT+8, and what an order says about its end.
local time = require "tael.time"

local clock = {}

local zone = "+08:00"
local day = 24 * 3600 * 1000
local units = { m = 60 * 1000, h = 3600 * 1000, d = day }

---@param ms integer
---@return string "2026-01-15 10:20:30"
function clock.text(ms)
    return time.format(ms, zone)
end

---@param text string?
---@return integer? ms
function clock.parse(text)
    if type(text) ~= "string" or #text ~= 19 then
        return nil
    end
    return (time.parse(text, zone))
end

--- How long something of the simulator takes: what a test said, or the usual time at the sandbox's speed.
---@param state table {speed}
---@param said integer? ms
---@param usual integer ms
---@return integer ms
function clock.pause(state, said, usual)
    return said or math.max(usual // state.speed, 1)
end

--- When an order that was opened at `now` ends: time_expire wins over timeout_express, `life` is the default.
---@param content table biz_content
---@param now integer
---@param life integer ms
---@return integer? ms
---@return string? name of the parameter that is wrong
function clock.expiry(content, now, life)
    if content.time_expire ~= nil then
        local at = clock.parse(content.time_expire)
        return at, not at and "time_expire" or nil
    end
    local express = content.timeout_express
    if express == nil then
        return now + life
    elseif express == "1c" then
        return (now + 8 * 3600 * 1000) // day * day + day - 8 * 3600 * 1000
    end
    local number, unit = tostring(express):match("^([1-9]%d?%d?%d?%d?)([mhd])$")
    local said = number and math.tointeger(tonumber(number)) * units[unit]
    if not said or said > 15 * day then
        return nil, "timeout_express"
    end
    return now + said
end

return clock
