---@meta tael.time

--- The world's clocks, and dates as text. Dates are computed on the Gregorian calendar, years 1 to 9999,
--- without time zones of the system. Clocks and sleep are refused in pure functions.
---@class tael.time
local time = {}

---@class tael.time.Error
---@field code "invalid_time"
---@field message string

---@return integer ms since 1970 UTC
function time.now() end

---@return integer ms since some moment, never going back
function time.monotonic() end

---@return integer us of the same clock: for how long a step took
function time.micros() end

--- Puts the wall clock ahead for everybody in this world, a companion too; monotonic, micros, sleep and
--- timers do not notice. Raises unless the application planned `clock = "adjustable"` (development,
--- simulators). On a start such a clock begins no earlier than the newest thing in the store.
---@param ms integer 0 …, at most to the end of 2079
---@return integer ms as advanced() says then
function time.advance(ms) end

---@return integer ms that the wall clock was put ahead by, all in all; 0 where it is the system's
function time.advanced() end

--- Waits.
---@param ms integer 0 to 366 days
function time.sleep(ms) end

---@param ms integer
---@return string # "2026-11-23T12:01:07.102Z"
function time.rfc3339(ms) end

--- RFC 3339 with 'T', seconds, an optional fraction of 1 to 9 digits (cut to ms), and 'Z' or an offset.
---@param text string
---@return integer? ms
---@return tael.time.Error? err
function time.parse_rfc3339(text) end

---@param ms integer
---@param zone string "UTC" or an offset like "+08:00"
---@return string # "2026-11-23 20:01:07"
function time.format(ms, zone) end

--- The form of format, with an optional fraction.
---@param text string
---@param zone string
---@return integer? ms
---@return tael.time.Error? err
function time.parse(text, zone) end

return time
