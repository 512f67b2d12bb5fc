--- The day on a merchant's wall: merchants.<slug>.zone of the configuration, whatever accounts it has.
local merchant_day = {}

local DAY_MS = 86400000

---@class tael.kernel.Day
---@field number integer days since the first of 1970, by that clock
---@field starts integer ms
---@field ends integer ms: the next day's start

local offsets = {} ---@type table<string, integer> ms, of the zones that there are

local function offset_of(zone)
    local sign, hours, minutes = zone:match("^([+-])(%d%d):(%d%d)$")
    local offset = sign and (hours * 60 + minutes) * 60000 // 1 or 0
    offsets[zone] = sign == "-" and -offset or offset
    return offsets[zone]
end

---@param now integer ms
---@param zone string "+08:00"; another word counts as UTC
---@return tael.kernel.Day
function merchant_day.of(now, zone)
    local offset = offsets[zone] or offset_of(zone)
    local number = (now + offset) // DAY_MS
    return { number = number, starts = number * DAY_MS - offset, ends = (number + 1) * DAY_MS - offset }
end

return merchant_day
