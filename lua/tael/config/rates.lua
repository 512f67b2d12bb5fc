--- Rates as people write them: "500/s", "5/m", "100/h".
local rates = {}

local WINDOWS = { s = 1000, m = 60000, h = 3600000 }

---@class tael.config.Rate
---@field count integer      how many …
---@field window_ms integer  … in how long

---@param value any
---@return tael.config.Rate? rate nil: not a rate
function rates.parse(value)
    if type(value) ~= "string" then
        return nil
    end
    local count, unit = value:match("^(%d+)/([smh])$")
    if not count or #count > 6 or tonumber(count) == 0 then
        return nil
    end
    return { count = math.tointeger(tonumber(count)), window_ms = WINDOWS[unit] }
end

---@param rate tael.config.Rate
---@return string
function rates.format(rate)
    for unit, window_ms in pairs(WINDOWS) do
        if rate.window_ms == window_ms then
            return rate.count .. "/" .. unit
        end
    end
    return rate.count .. "/" .. rate.window_ms .. "ms"
end

return rates
