--- Schedules as crontab(5) writes them: minute, hour, day of the month, month, day of the week. Numbers, "*",
--- lists, ranges, steps; names of months and days. Where both days are named, either will do. On a clock that
--- is a fixed time away from UTC, so that no slot is missing or comes twice.
local time = require "tael.time"

local cron = {}

local MINUTE_MS, DAY_MS = 60000, 86400000
local DAYS_MAX = 366 * 40 -- a 29 February on one day of the week comes at least that often
local MONTH_MIN = 28 -- days

local MONTHS = { jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8, sep = 9, oct = 10,
    nov = 11, dec = 12 }
local DAYS = { sun = 0, mon = 1, tue = 2, wed = 3, thu = 4, fri = 5, sat = 6 }

local FIELDS = {
    { name = "minute", min = 0, max = 59 }, { name = "hour", min = 0, max = 23 },
    { name = "day of the month", min = 1, max = 31 }, { name = "month", min = 1, max = 12, names = MONTHS },
    { name = "day of the week", min = 0, max = 7, names = DAYS },
}

local function number_of(field, text)
    local number = field.names and field.names[text:lower()]
        or text:find("^%d%d?$") and math.tointeger(tonumber(text))
    return number and number >= field.min and number <= field.max and number or nil
end

--- "*", "7", "1-5", with "/2" behind all but a number.
local function range_of(field, part)
    local what, step = part:match("^([^/]+)/?(%d*)$")
    local stepped = part:find("/", 1, true) ~= nil
    step = stepped and math.tointeger(tonumber(step)) or not stepped and 1 or nil
    if not what or not step or step < 1 then
        return nil
    elseif what == "*" then
        return field.min, field.max, step
    end
    local from, to = what:match("^([^-]+)-([^-]+)$")
    from, to = number_of(field, from or what), number_of(field, to or what)
    if not from or not to or from > to or stepped and from == to then
        return nil
    end
    return from, to, step
end

local function read_field(field, text)
    local set = { any = text:sub(1, 1) == "*" }
    for part in (text .. ","):gmatch("([^,]*),") do
        local from, to, step = range_of(field, part)
        if not from then
            return nil, ("'%s' is no %s (%d to %d)"):format(part, field.name, field.min, field.max)
        end
        for number = from, to, step do
            set[number] = true
        end
    end
    return set
end

---@class tael.scripts.Schedule
---@field minute table<integer, true>
---@field hour table<integer, true>
---@field day table<integer, true> any: every day
---@field month table<integer, true>
---@field weekday table<integer, true> 0 is Sunday
---@field offset integer ms, of the clock from UTC

---@param zone any "+08:00", "UTC" or nil for UTC
---@return integer? ms nil: not a zone
function cron.offset(zone)
    if zone == nil or zone == "UTC" then
        return 0
    end
    local sign, hours, minutes = tostring(zone):match("^([+-])(%d%d):(%d%d)$")
    if not sign or tonumber(hours) > 14 or tonumber(minutes) > 59 then
        return nil
    end
    local ms = (tonumber(hours) * 60 + tonumber(minutes)) * MINUTE_MS
    return math.tointeger(sign == "-" and -ms or ms)
end

--- Days since 1970 of a date, and back (proleptic Gregorian).
local function date_of(days)
    local year, month, day = time.format(days * DAY_MS, "UTC"):match("^(%d+)-(%d+)-(%d+)")
    return math.tointeger(tonumber(year)), math.tointeger(tonumber(month)), math.tointeger(tonumber(day))
end

local Schedule = {}
Schedule.__index = Schedule

--- Is the day, in days since 1970 on its clock, one of its?
---@param days integer
---@return boolean
---@return integer? day of the month, where that month is none of its
function Schedule:is_day(days)
    local _, month, day = date_of(days)
    if not self.month[month] then
        return false, day
    end
    local by_day, by_weekday = self.day[day] or false, self.weekday[(days + 4) % 7] or false
    if self.day.any or self.weekday.any then
        return by_day and by_weekday
    end
    return by_day or by_weekday
end

--- The minutes of a day on which it falls, from one on.
local function first_minute(schedule, from)
    for hour = from // 60, 23 do
        if schedule.hour[hour] then
            for minute = hour == from // 60 and from % 60 or 0, 59 do
                if schedule.minute[minute] then
                    return hour * 60 + minute
                end
            end
        end
    end
end

--- Its first slot from a minute of a day on. Of a month that is none of its few days are looked at.
---@return integer? ms nil: there is none in forty years
local function first_slot(schedule, day, minute)
    local ends = day + DAYS_MAX
    while day <= ends do
        local is_day, beside = schedule:is_day(day)
        local found = is_day and first_minute(schedule, minute)
        if found then
            return (day * 1440 + found) * MINUTE_MS - schedule.offset
        end
        day, minute = beside and math.max(day - beside + MONTH_MIN, day) + 1 or day + 1, 0
    end
end

--- Its next slot after a moment.
---@param after integer ms since 1970 UTC
---@return integer ms
function Schedule:next(after)
    local at = (after + self.offset) // MINUTE_MS + 1 -- in minutes on its clock
    return first_slot(self, at // 1440, at % 1440)
        or error("a schedule that never comes", 0) -- cron.read has looked
end

--- The last minute of a day on which it falls, up to one.
local function last_minute(schedule, upto)
    for hour = upto // 60, 0, -1 do
        if schedule.hour[hour] then
            for minute = hour == upto // 60 and upto % 60 or 59, 0, -1 do
                if schedule.minute[minute] then
                    return hour * 60 + minute
                end
            end
        end
    end
end

--- Its newest slot in a time: after `from`, at `upto` at the latest; nil when there is none.
---@param from integer ms
---@param upto integer ms
---@return integer? ms
function Schedule:last(from, upto)
    local at = (upto + self.offset) // MINUTE_MS
    local day, minute, first = at // 1440, at % 1440, (from + self.offset) // DAY_MS
    while day >= first do
        local is_day, beside = self:is_day(day)
        local found = is_day and last_minute(self, minute)
        if found then
            local slot = (day * 1440 + found) * MINUTE_MS - self.offset
            return slot > from and slot or nil
        end
        day, minute = day - (beside or 1), 1439
    end
end

---@param text any "15 3 * * *"
---@param zone any "+08:00"; nil: UTC
---@return table? schedule
---@return string? what is wrong
function cron.read(text, zone)
    local offset = cron.offset(zone)
    if type(text) ~= "string" then
        return nil, "schedule is a text such as \"15 3 * * *\""
    elseif not offset then
        return nil, "zone is a text such as \"+08:00\", or \"UTC\""
    end
    local words, sets = {}, {}
    for word in text:gmatch("%S+") do
        words[#words + 1] = word
    end
    if #words ~= #FIELDS then
        return nil, ("schedule '%s' has %d fields: five are needed, minute hour day month weekday"):format(
            text, #words)
    end
    for i, field in ipairs(FIELDS) do
        local wrong
        sets[i], wrong = read_field(field, words[i])
        if not sets[i] then
            return nil, ("schedule '%s': %s"):format(text, wrong)
        end
    end
    sets[5][0] = sets[5][0] or sets[5][7]
    local schedule = setmetatable({ minute = sets[1], hour = sets[2], day = sets[3], month = sets[4],
        weekday = sets[5], offset = offset }, Schedule)
    if not first_slot(schedule, 0, 0) then
        return nil, ("schedule '%s': there is no such day"):format(text)
    end
    return schedule
end

return cron
