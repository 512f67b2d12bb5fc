--- Putting a payment before a person because the merchant's script wants that: whoever pays it meanwhile has
--- paid it, and what becomes of it a person decides (review.lua). Money that was taken is not held back.
local alarms = require "tael.kernel.alarms"
local change = require "tael.kernel.change"
local events_wake = require "tael.kernel.events_wake"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local log = require "tael.log"
local payments = require "tael.kernel.payments"
local settle = require "tael.kernel.settle"
local task = require "tael.task"
local time = require "tael.time"
local units = require "tael.kernel.units"

local hold = {}

local ALLOWED = json.array { "created", "pending" }

local function unit_of(payment, reason, actor)
    local now = time.now()
    local event, hash = units.next_event(payment, {
        type = "payment.review", actor = actor, now = now, data = {
            payment = { state = "review", reason = "script", closing = payment.closing and json.null or nil },
            decision = { by = actor, note = reason },
        },
    })
    return {
        { "payment.review", { payment = payment.id, version_was = payment.version, hash = hash, now = now,
            reason = "script" } },
        event,
    }
end

local function announce(payment, reason, actor)
    local id = ids.encode("pay", payment.id)
    log.info("payment.review", { payment = id, actor = actor, reason = "script" })
    alarms.raise("review_wanted", { payment = id, detail = reason })
    task.wake("payment:" .. payment.id)
    events_wake.announce(payment.merchant)
    payments.entered(payment, "review")
end

--- Done again it changes nothing.
---@param id_text string "pay_…"
---@param reason string for the person
---@param actor string
---@return true?
---@return table? err {code, detail, members?}: not_found, state_conflict …
function hold.begin(id_text, reason, actor)
    return change.payment(id_text, function(payment)
        if payment.state == "review" then
            return true
        elseif payment.state ~= "pending" and payment.state ~= "created" then
            return nil, { code = "state_conflict", detail = "the payment is " .. payment.state,
                members = { state = payment.state, allowed = ALLOWED } }
        end
        local done, err = settle.commit(unit_of(payment, reason, actor))
        if not done then
            return nil, err
        end
        announce(payment, reason, actor)
        return true
    end)
end

return hold
