--- tael.time, in isolates: moments as ms since 1970 UTC, and how they are written. There is no clock here:
--- the time is tael.now(), or what a rule is given.
local time = {}

local DAY, FIRST, LAST = 86400000, -62135596800000, 253402300799999 -- of the years 1 to 9999
local UNITS = { ms = 1, s = 1000, m = 60000, h = 3600000, d = DAY }

local function offset_of(zone)
    local sign, hours, minutes = tostring(zone or "UTC"):match("^([+-])(%d%d):(%d%d)$")
    if sign then
        return (sign == "-" and -1 or 1) * (tonumber(hours) * 60 + tonumber(minutes)) * 60000
    elseif zone == nil or zone == "UTC" or zone == "Z" then
        return 0
    end
    error("tael.time: zone must be \"UTC\" or an offset such as \"+08:00\"", 3)
end

--- Days since 1970 of a date, and back (years begin in March: leap days are last).
local function days_of(year, month, day)
    year = month <= 2 and year - 1 or year
    local era = year // 400
    local of_era = year - era * 400
    local of_year = (153 * (month > 2 and month - 3 or month + 9) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
end

local function date_of(days)
    days = days + 719468
    local era = days // 146097
    local of_era = days - era * 146097
    local year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    local of_year = of_era - (365 * year + year // 4 - year // 100)
    local month = (5 * of_year + 2) // 153
    local day = of_year - (153 * month + 2) // 5 + 1
    month = month < 10 and month + 3 or month - 9
    return year + era * 400 + (month <= 2 and 1 or 0), month, day
end

--- "2026-11-23T20:01:07.102+08:00", with or without milliseconds, or "…Z"; nil when it is none.
function time.parse(text)
    local year, month, day, hour, minute, second, rest =
        tostring(text):match("^(%d%d%d%d)-(%d%d)-(%d%d)[Tt ](%d%d):(%d%d):(%d%d)(.*)$")
    local fraction, zone = (rest or ""):match("^%.?(%d*)([Zz+-].*)$")
    if not zone or not (zone:find("^[Zz]$") or zone:find("^[+-]%d%d:%d%d$")) or #fraction > 9 then
        return nil
    end
    local y, m, d = math.tointeger(year), math.tointeger(month), math.tointeger(day)
    local days = days_of(y, m, d)
    local again_y, again_m, again_d = date_of(days)
    hour, minute, second = math.tointeger(hour), math.tointeger(minute), math.tointeger(second)
    if y < 1 or again_y ~= y or again_m ~= m or again_d ~= d or hour > 23 or minute > 59 or second > 59 then
        return nil
    end
    return days * DAY + hour * UNITS.h + minute * UNITS.m + second * UNITS.s
        + math.tointeger((fraction .. "000"):sub(1, 3)) - offset_of(zone:upper() == "Z" and "UTC" or zone)
end

--- %Y %m %d %H %M %S %F %T %z %%; "%FT%T%z" without a format.
function time.format(ms, format, zone)
    if math.type(ms) ~= "integer" or ms < FIRST or ms > LAST then
        error("tael.time: ms must be an integer of the years 1 to 9999", 2)
    end
    local offset = offset_of(zone)
    local at = ms + offset
    local year, month, day = date_of(at // DAY)
    local seconds = at % DAY // 1000
    local parts = {
        Y = ("%04d"):format(year), m = ("%02d"):format(month), d = ("%02d"):format(day),
        H = ("%02d"):format(seconds // 3600), M = ("%02d"):format(seconds // 60 % 60),
        S = ("%02d"):format(seconds % 60), z = offset == 0 and "+00:00" or zone, ["%"] = "%",
    }
    parts.F = parts.Y .. "-" .. parts.m .. "-" .. parts.d
    parts.T = parts.H .. ":" .. parts.M .. ":" .. parts.S
    return (tostring(format or "%FT%T%z"):gsub("%%(.?)", function(letter)
        return parts[letter] or error("tael.time: format knows %Y %m %d %H %M %S %F %T %z and %%", 4)
    end))
end

--- "30m" is 1800000; units ms s m h d. nil when it is no duration.
function time.duration(text)
    local number, unit = tostring(text):match("^(%d+)(%a+)$")
    if not number or #number > 9 or not UNITS[unit] then
        return nil
    end
    return math.tointeger(number) * UNITS[unit]
end

return time
