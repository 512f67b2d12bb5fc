--- Notifications on their way: written down with what caused them, sent, and sent again until the merchant
--- answers exactly "success" (protocol reference §9.5, §9.7). A resend keeps notify_id and has a new time.
--- One task looks after all of them by the wall clock, so that a clock that is set ahead brings what is due.
local at_once = require "tael.at_once"
local crypto = require "tael.crypto"
local http = require "tael.http"
local json = require "tael.json"
local log = require "tael.log"
local task = require "tael.task"
local time = require "tael.time"

local behaviour = require "tael.sandbox.alipay.behaviour"
local clock = require "tael.sandbox.alipay.clock"
local db = require "tael.sandbox.alipay.db"
local notice = require "tael.sandbox.alipay.notice"
local variants = require "tael.sandbox.alipay.variants"

local deliveries = {}

local MINUTE, HOUR = 60 * 1000, 3600 * 1000
-- from one delivery to the next; eight deliveries in all
local INTERVALS = { 4 * MINUTE, 10 * MINUTE, 10 * MINUTE, HOUR, 2 * HOUR, 6 * HOUR, 15 * HOUR }
local ANSWER_MS = 5000
local LATE, HELD = MINUTE, 10 * MINUTE -- unless a test says how long
local LOOK_MS = 1000                   -- the wall clock may be set ahead by somebody else
local AT_ONCE = 128
local DUE = "sandbox.deliveries"

-- ---- what is to be sent ----

--- The statements that write a notification down, with what a test wants to be wrong about it.
local function row(state, trade, fields, wanted)
    local now = time.now()
    local pause = wanted.name == "delay" and clock.pause(state, wanted.ms, LATE)
        or wanted.name == "reorder" and clock.pause(state, wanted.ms, HELD)
    return { { "delivery.insert", {
        notify_id = fields.notify_id, app_id = trade.app_id, out_trade_no = trade.out_trade_no,
        url = trade.notify_url, fields = json.encode(fields), due_at = now + (pause or 0),
        spoil = variants.get(wanted.name) and wanted.name ~= "duplicate" and wanted.name ~= "reorder"
            and wanted.name or nil,
        copies = wanted.name == "duplicate" and 2 or 1, held = wanted.name == "reorder" and 1 or 0,
    } } }
end

local function statements(state, trade, op, make)
    local app = state.apps[trade.app_id]
    if not app or not trade.notify_url or state.notify == false then
        return {}
    end
    local wanted = behaviour.notice(state, trade, op)
    if wanted.name == "lose" then
        return {}
    end
    return row(state, trade, make(app), wanted)
end

--- The notification of a payment; none when the order named no notify_url.
---@param state table
---@param trade table as it is after the payment
---@return table[] statements for the unit that pays
function deliveries.of_payment(state, trade)
    return statements(state, trade, "pay", function(app)
        return notice.of_payment(trade, app)
    end)
end

--- The notification of a refund: of a partial one, unless a test wants all or none; `refund.notify` wants it
--- whatever is set.
---@param state table
---@param trade table as it is after the refund
---@param refund table
---@param at integer
---@return table[] statements
function deliveries.of_refund(state, trade, refund, at)
    local which = state.refund_notify or "partial"
    local partial = trade.refunded < trade.total
    if not refund.notify and (which == "none" or which == "partial" and not partial) then
        return {}
    end
    return statements(state, trade, "refund", function(app)
        return notice.of_refund(trade, app, refund, at)
    end)
end

-- ---- sending ----

--- Sends once and gives the answer's status and text.
---@return integer? status
---@return string answer, or why there was none
local function send(url, body)
    local answer, err = http.request {
        method = "POST", url = url, body = body, timeout_ms = ANSWER_MS, max_bytes = 65536,
        headers = { ["content-type"] = "application/x-www-form-urlencoded; charset=utf-8" },
    }
    if not answer then
        return nil, err.code
    end
    return answer.status, answer.raw
end

--- Sends the same bytes `times` at once.
---@param url string
---@param body string
---@param times integer
---@return table[] answers {status, body}
function deliveries.send_many(url, body, times)
    local answers, key = {}, "sandbox.sent." .. crypto.hex.encode(crypto.random(8))
    local missing = times
    for i = 1, times do
        task.spawn(function()
            local status, text = send(url, body)
            answers[i] = { status = status or 0, body = text }
            missing = missing - 1
            task.wake(key)
        end)
    end
    while missing > 0 do
        task.wait(key, 2 * ANSWER_MS)
    end
    return answers
end

local function body_of(delivery, app)
    local fields = assert(json.decode(delivery.fields))
    local variant = delivery.attempts == 0 and delivery.spoil and variants.get(delivery.spoil)
    return variants.write(variant or {}, fields, app.alipay_key)
end

local function note(delivery, state, attempts, due_at, answer)
    return { "delivery.note", {
        notify_id = delivery.notify_id, state = state, attempts = attempts, due_at = due_at,
        last_answer = answer,
    } }
end

--- One delivery and what follows from it.
local function deliver(state, delivery)
    local app = state.apps[delivery.app_id]
    if not app then -- taken out of the configuration
        db.commit { note(delivery, "given_up", delivery.attempts, time.now(), "no such application") }
        return
    end
    local first = deliveries.send_many(delivery.url, body_of(delivery, app), delivery.copies)[1]
    local attempts, now = delivery.attempts + 1, time.now()
    local success = first.status == 200 and first.body == "success"
    local interval = not success and INTERVALS[attempts]
    local outcome = success and "delivered" or interval and "waiting" or "given_up"
    local due_at = now + (interval and clock.pause(state, nil, interval) or 0)
    log.info("sandbox.notified", { order = delivery.out_trade_no, attempt = attempts, state = outcome })
    db.commit {
        note(delivery, outcome, attempts, due_at, ("%s %s"):format(first.status > 0 and first.status or "-",
            first.body:sub(1, 200):gsub("[^\32-\126]", "?"))),
        { "delivery.release", { app_id = delivery.app_id, notify_id = delivery.notify_id, now = now } },
    }
end

-- ---- the task that looks after them ----

--- Whoever wrote a notification down, or changed the clock, says so.
function deliveries.wake()
    task.wake(DUE)
end

local function start(state, delivery)
    local id = delivery.notify_id
    state.sending:start(id, 0, function()
        local good, err = pcall(deliver, state, delivery)
        if not good then -- the store was busy: it is still due
            log.error("sandbox.delivery", { error = tostring(err) })
            time.sleep(LOOK_MS)
        end
        task.wake("sandbox.delivered." .. id)
        deliveries.wake()
    end)
end

--- Starts what is due; gives when the next one is.
local function look(state)
    local now = time.now()
    state.sending:sweep()
    for _, delivery in ipairs(db.all("deliveries.next")) do
        local free = not state.sending:has(delivery.notify_id)
        if free and delivery.due_at > now then
            return delivery.due_at
        elseif free and not state.sending:is_full() then
            start(state, delivery)
        end
    end
end

local function earlier(one, other)
    return one and other and math.min(one, other) or one or other
end

--- What is due now is begun; gives how long nothing else will be. The last read and the wait that follows it
--- are one step: no wake comes between.
local function round(state, also)
    local next_at = earlier(also(), look(state))
    return next_at and math.min(math.max(next_at - time.now(), 0), LOOK_MS) or 24 * HOUR
end

--- Looks after everything that is due until the engine ends.
---@param state table
---@param also fun(): integer? other work by the clock; gives when it is next due, and waits before it looks
function deliveries.run(state, also)
    state.sending = at_once.new(AT_ONCE)
    task.keep("sandbox.deliveries", LOOK_MS, function()
        while true do
            task.wait(DUE, round(state, also))
        end
    end)
end

--- Waits until a notification was sent once.
---@param notify_id string
function deliveries.await(notify_id)
    while true do
        local delivery = db.first("delivery.get", { notify_id = notify_id })
        if not delivery or delivery.attempts > 0 or delivery.state ~= "waiting" then
            return
        end
        task.wait("sandbox.delivered." .. notify_id, 2 * ANSWER_MS)
    end
end

return deliveries
