--- Alarms: what a person should know. One word in the log for all of them, so that an alert needs one rule,
--- and a counter for each kind. An order is asked about again and again, and a wrong key meets every order of
--- its account: what is said once more of the same thing within a while is counted only.
local log = require "tael.log"
local metrics = require "tael.kernel.metrics"
local time = require "tael.time"

local alarms = {}

local AGAIN_MS, TOLD_MAX = 600000, 4096

--- When this worker has told what, in ms of the monotonic clock.
---@type table<string, integer>
alarms.told = {}
local count = 0

-- What makes two alarms of a kind the same: for the account's own troubles the account; for a rule that fails
-- the rule, since what it says of that it makes up itself, of every payment something else; else the objects
-- that they are about, and where there are none the message.
local OF_ACCOUNT = { "account", "op", "detail" }
local OF_RULE = { "merchant", "rule", "failure", "generation" }
local OF_OBJECT = { "payment", "attempt", "refund", "refund_no", "check", "detail" }
local OF_MESSAGE = { "notification", "account", "channel", "merchant", "rule", "job", "generation", "detail" }

local function key_of(kind, fields)
    local names = kind:find("^channel_") and OF_ACCOUNT
        or kind == "rule_failed" and OF_RULE
        or (fields.payment or fields.attempt or fields.refund) and OF_OBJECT or OF_MESSAGE
    local parts = { kind }
    for _, name in ipairs(names) do
        parts[#parts + 1] = tostring(fields[name])
    end
    return table.concat(parts, "\n")
end

--- Has it been told just now? If not, it is from here on.
local function is_repeat(key)
    local now, at = time.monotonic(), alarms.told[key]
    if at and now - at < AGAIN_MS then
        return true
    elseif not at then
        count = count + 1
    end
    if count > TOLD_MAX then -- some are told once more than they need be
        alarms.told, count = {}, 1
    end
    alarms.told[key] = now
    return false
end

---@param kind string
---@param fields table of the log's line
function alarms.raise(kind, fields)
    metrics.count("tael_alarms_total", { kind = kind })
    if not is_repeat(key_of(kind, fields)) then
        fields.kind = kind
        log.error("alarm", fields)
    end
end

return alarms
