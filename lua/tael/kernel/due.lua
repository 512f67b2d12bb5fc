--- When an open attempt is looked at again. Stateless: the schedule follows from the attempt's row and
--- the clock, so a restart forgets nothing.
local crypto = require "tael.crypto"
local registry = require "tael.kernel.registry"
local states = require "tael.kernel.states"
local store = require "tael.store"
local time = require "tael.time"

local due = {}

local EPOCH_MS = 1577836800000 -- 2020-01-01 UTC, where ids begin
local STAMP_BITS, STAMP_BYTES = 22, 3
local REACH_MS = 1 << 63 - STAMP_BITS -- what an id can say, before EPOCH_MS and after it: 69 years
local STAMPS_AT_ONCE = 64 -- the system is asked for randomness once for so many

local stamps, next_stamp = "", 1

local function random_stamp()
    if next_stamp > #stamps then
        stamps, next_stamp = crypto.random(STAMPS_AT_ONCE * STAMP_BYTES), 1
    end
    local stamp = (">I3"):unpack(stamps, next_stamp)
    next_stamp = next_stamp + STAMP_BYTES
    return stamp & (1 << STAMP_BITS) - 1
end

--- Id of a timer: due time, then 22 random bits. Two of one millisecond collide once in four million;
--- the guard of timer.insert then asks for another stamp.
---@param ms integer
---@return integer
function due.id(ms)
    return due.before(ms) | random_stamp()
end

--- Ids of all timers due before this moment are below it. A moment that no id can say, as a list may be asked
--- for one, is as near to it as ids come: it must not wrap around.
---@param ms integer
---@return integer
function due.before(ms)
    return math.max(-REACH_MS, math.min(ms - EPOCH_MS, REACH_MS - 1)) << STAMP_BITS
end

--- When a timer of this id is due.
---@param id integer
---@return integer ms
function due.ms(id)
    return (id >> STAMP_BITS) + EPOCH_MS
end

--- When what has this id was made. Ids never go back: after the clock did, they are ahead of it for a while,
--- and what is new was made now.
---@param id integer of a row, not of a timer
---@return integer ms
function due.made(id)
    return math.min(store.id_ms(id), time.now())
end

--- The pause of a list for what has been waiting this long: short at first, then ever longer. A wait
--- that has not begun yet (the clock was put back) counts as long as it is until then, lest it be a storm.
---@param list integer[] ms
---@param waited integer ms
---@return integer ms
function due.pause(list, waited)
    local chosen = list[1]
    waited = math.abs(waited)
    for _, ms in ipairs(list) do
        if ms <= waited then
            chosen = ms
        end
    end
    return chosen
end

--- query_after lists the pauses between queries while the payer has time; nil when the list is used up. What
--- was created in the future (the clock was put back) waits no longer than for the longest of them.
local function next_query(list, created, now)
    local at, longest = created, math.max(0, table.unpack(list))
    for _, pause in ipairs(list) do
        at = at + pause
        if at > now then
            return math.min(at, now + longest)
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
---@field closing_since integer? ms, since when the order is to be ended before its time

--- Since when it has been waiting for an answer that will not come by itself; nil: it has time.
local function waiting_since(input, last)
    local attempt = input.attempt
    if attempt.state == "unknown" or attempt.state == "sent" then
        return attempt.updated_at
    elseif input.now >= last then
        return last
    elseif input.now >= attempt.expires_at and attempt.trade_no then
        return attempt.expires_at
    end
    return input.closing_since
end

--- No later than `at`, and not past a moment at which the order ends.
local function no_later(at, now, moments)
    for _, moment in ipairs(moments) do
        if moment > now then
            at = math.min(at or moment, moment)
        end
    end
    return at
end

--- At its end an order is looked at, and once more when nobody can open it any longer.
---@param input tael.kernel.Looking
---@return integer? ms nil: the attempt is settled
function due.next(input)
    local attempt, now = input.attempt, input.now
    if not states.attempt_open[attempt.state] then
        return nil
    end
    local last = attempt.expires_at + input.grace
    local since = waiting_since(input, last)
    local at
    if since then
        at = now + due.pause(input.poll, now - since)
    else
        at = next_query(input.query_after or {}, input.created, now)
    end
    return no_later(at, now, { attempt.expires_at, last })
end

--- Shall this open order be ended at the channel: somebody wants it, its time is over, or the payment is
--- settled without it?
---@param attempt table row
---@param payment table row
---@param now integer ms
---@return boolean
function due.wants_end(attempt, payment, now)
    local settled = payment.state == "paid" or payment.state == "closed" or payment.state == "failed"
    return payment.closing ~= nil or settled or now >= attempt.expires_at
end

--- When this attempt is looked at next, by what is configured.
---@param attempt table row
---@param payment table row
---@param now integer ms
---@return integer? ms nil: the attempt is settled
function due.of(attempt, payment, now)
    local config = registry.config.payments
    return due.next {
        attempt = attempt, created = store.id_ms(attempt.id), now = now, grace = config.grace,
        poll = config.poll, query_after = registry.product(attempt).query_after_ms,
        closing_since = now < attempt.expires_at and due.wants_end(attempt, payment, now)
            and payment.updated_at or nil,
    }
end

--- When a question is repeated that nothing has answered yet.
---@param since integer ms
---@param now integer ms
---@return integer ms
function due.again(since, now)
    return now + due.pause(registry.config.payments.poll, now - since)
end

--- Has it been open for longer than anybody should wait for it?
---@param input { attempt: table, payment: table, now: integer, grace: integer, alarm_after: integer }
function due.too_long(input)
    local attempt, payment = input.attempt, input.payment
    local waits = attempt.state == "unknown" or attempt.state == "sent"
    local since = waits and attempt.updated_at or attempt.expires_at + input.grace
    if payment.closing and attempt.state ~= "issued" then -- an order that nobody has opened cannot be ended
        since = math.min(since, payment.updated_at)
    end
    return states.attempt_open[attempt.state] == true and input.now - since > input.alarm_after
end

return due
