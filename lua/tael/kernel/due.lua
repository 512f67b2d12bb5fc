--- When an open attempt is looked at again. Stateless: the schedule follows from the attempt's row and
--- the clock, so a restart forgets nothing.
local crypto = require "tael.crypto"
local states = require "tael.kernel.states"

local due = {}

local EPOCH_MS = 1577836800000 -- 2020-01-01 UTC, where ids begin
local STAMP_BITS = 22

--- Id of a timer: due time, then 22 random bits. Two of one millisecond collide once in four million;
--- the guard of timer.insert then asks for another stamp.
---@param ms integer
---@return integer
function due.id(ms)
    local stamp = (">I3"):unpack(crypto.random(3)) & (1 << STAMP_BITS) - 1
    return due.before(ms) | stamp
end

--- Ids of all timers due before this moment are below it.
---@param ms integer
---@return integer
function due.before(ms)
    return ms - EPOCH_MS << STAMP_BITS
end

--- When a timer of this id is due.
---@param id integer
---@return integer ms
function due.ms(id)
    return (id >> STAMP_BITS) + EPOCH_MS
end

--- The step of a list for what has been waiting this long: short at first, then ever longer.
local function step(list, waited)
    local chosen = list[1]
    for _, ms in ipairs(list) do
        if ms <= waited then
            chosen = ms
        end
    end
    return chosen
end

--- query_after lists the pauses between queries while the payer has time; nil when the list is used up.
local function next_query(list, created, now)
    local at = created
    for _, pause in ipairs(list) do
        at = at + pause
        if at > now then
            return at
        end
    end
end

---@class tael.kernel.Looking
---@field attempt table row
---@field created integer ms
---@field now integer ms
---@field grace integer ms
---@field poll integer[] ms
---@field query_after integer[]? ms

---@param input tael.kernel.Looking
---@return integer? ms nil: the attempt is settled
function due.next(input)
    local attempt, now = input.attempt, input.now
    if not states.attempt_open[attempt.state] then
        return nil
    end
    local last = attempt.expires_at + input.grace
    if attempt.state == "unknown" or now >= last then
        local since = attempt.state == "unknown" and attempt.updated_at or last
        return now + step(input.poll, now - since)
    end
    return math.min(next_query(input.query_after or {}, input.created, now) or last, last)
end

--- Has it been open for longer than anybody should wait for it?
---@param input { attempt: table, now: integer, grace: integer, alarm_after: integer }
function due.too_long(input)
    local attempt = input.attempt
    local since = attempt.state == "unknown" and attempt.updated_at or attempt.expires_at + input.grace
    return states.attempt_open[attempt.state] == true and input.now - since > input.alarm_after
end

return due
