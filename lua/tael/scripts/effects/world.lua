--- Effects of time, chance and the log.
local crypto = require "tael.crypto"
local log = require "tael.log"
local time = require "tael.time"

local M = {}

function M.now()
    return time.now()
end

--- time.format gives "2026-11-23 20:01:07".
local FORMAT_MAX = 256

function M.date(_, format, ms, zone)
    if #format > FORMAT_MAX then
        return nil, "format must have at most 256 bytes"
    end
    zone = zone or "UTC"
    if zone ~= "UTC" and not zone:find("^[+-]%d%d:%d%d$") then
        return nil, "zone must be \"UTC\" or an offset such as \"+08:00\""
    end
    local told, text = pcall(time.format, ms or time.now(), zone)
    local parts = {}
    if not told then
        return nil, "ms is beyond the calendar"
    end
    parts.Y, parts.m, parts.d, parts.H, parts.M, parts.S = text:match("^(%d+)-(%d+)-(%d+) (%d+):(%d+):(%d+)")
    parts.F, parts.T = text:sub(1, 10), text:sub(12)
    parts.z, parts["%"] = zone == "UTC" and "+0000" or zone:gsub(":", ""), "%"
    local wrong
    local out = format:gsub("%%(.?)", function(letter)
        wrong = wrong or not parts[letter] and "format knows %Y %m %d %H %M %S %F %T %z and %%" or nil
        return parts[letter]
    end)
    return not wrong and out or nil, wrong
end

--- Numbers that would make some results likelier than others are drawn again.
function M.random(_, first, last)
    local span = last - first + 1
    if first > last or span <= 0 then
        return nil, "the first must not be greater than the last, and 2^63 - 1 numbers are the most"
    end
    local most = math.maxinteger - (math.maxinteger % span + 1) % span
    repeat
        local drawn = ("<i8"):unpack(crypto.random(8)) & math.maxinteger
        if drawn <= most then
            return first + drawn % span
        end
    until false
end

local DIGITS = "0123456789abcdefghjkmnpqrstvwxyz" -- Crockford's

local function written(number, digits)
    local out = {}
    for i = digits, 1, -1 do
        local digit = number & 31
        out[i] = DIGITS:sub(digit + 1, digit + 1)
        number = number >> 5
    end
    return table.concat(out)
end

function M.id(_, prefix)
    if prefix and not prefix:find("^[a-z][a-z0-9]*$") or prefix and #prefix > 16 then
        return nil, "prefix must be 1 to 16 small letters and digits, a letter first"
    end
    local high, low = ("<i5i5"):unpack(crypto.random(10))
    local text = written(time.now(), 10) .. written(high & 0xffffffffff, 8) .. written(low & 0xffffffffff, 8)
    return prefix and prefix .. "_" .. text or text
end

-- ---- the log ----

local LINES_MAX, MESSAGE_MAX, FIELDS_MAX, VALUE_MAX = 20, 1000, 16, 500
local SCALARS = { string = true, number = true, boolean = true }

--- Its fields stand in a table of their own: none can pass for one of the engine's.
local function fields_of(given)
    local fields, count = {}, 0
    for name, value in pairs(given) do
        count = count + 1
        if type(name) ~= "string" or not name:find("^[%a_][%w_.-]*$") or #name > 40 then
            return nil, "names of fields are texts of at most 40 letters, digits and _.-"
        elseif not SCALARS[type(value)] then
            return nil, "field '" .. name .. "' must be a text, a number or a boolean"
        end
        fields["script." .. name] = type(value) == "string" and value:sub(1, VALUE_MAX) or value
    end
    if count > FIELDS_MAX then
        return nil, "at most 16 fields"
    end
    return fields
end

local function writer(level)
    return function(run, message, given)
        if #message > MESSAGE_MAX then
            return nil, "message must have at most 1000 bytes"
        end
        local fields, wrong = fields_of(given or {})
        if not fields then
            return nil, wrong
        end
        run.lines = (run.lines or 0) + 1
        if run.lines > LINES_MAX then -- how many is told when the call ends
            run.dropped = (run.dropped or 0) + 1
            return
        end
        fields.merchant, fields.message = run.merchant and run.merchant.slug, message
        fields.generation = run.generation.id
        log[level]("script." .. level, fields)
    end
end

for _, level in ipairs { "info", "warn", "error" } do
    M["log." .. level] = writer(level)
end

return M
