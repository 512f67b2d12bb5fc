--- Durations as people write them: integer ms, or "30m" with one of the units ms s m h d.
local durations = {}

local UNITS = { ms = 1, s = 1000, m = 60000, h = 3600000, d = 86400000 }

---@param value any
---@return integer? ms nil: not a duration
function durations.parse(value)
    if math.type(value) == "integer" then
        return value >= 0 and value or nil
    elseif type(value) ~= "string" then
        return nil
    end
    local number, unit = value:match("^(%d+)(%a*)$")
    local factor = unit == "" and 1 or UNITS[unit]
    if not number or not factor or #number > 9 then
        return nil
    end
    return math.tointeger(number) * factor
end

--- The shortest exact text.
---@param ms integer
---@return string
function durations.format(ms)
    for _, unit in ipairs { "d", "h", "m", "s" } do
        if ms > 0 and ms % UNITS[unit] == 0 then
            return ms // UNITS[unit] .. unit
        end
    end
    return ms .. "ms"
end

return durations
