--- Another attempt of a payment that is still open: the payer changes from one way of paying to another.
--- 1 None starts while the channel may be taking money through an earlier one; beside one that only waits
--- for its payer, only where a second success is given back (states.may_start). 2 Asked for once more, the
--- same way is the same attempt.
local change = require "tael.kernel.change"
local counters = require "tael.kernel.counters"
local creation = require "tael.kernel.creation"
local details_of = require "tael.kernel.details"
local events_wake = require "tael.kernel.events_wake"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local log = require "tael.log"
local merchant_day = require "tael.kernel.merchant_day"
local orders = require "tael.kernel.orders"
local payments = require "tael.kernel.payments"
local registry = require "tael.kernel.registry"
local states = require "tael.kernel.states"
local task = require "tael.task"
local units = require "tael.kernel.units"
local ways = require "tael.kernel.ways"

local attempts = {}

local OF_A_WAY = { product = true, channel = true, account = true } -- what the request may say

local refusals = {
    state_conflict = "the payment takes no further attempt",
    attempt_open = "an earlier attempt may still take money: wait until it has ended, or create payments "
        .. "with parallel = refund_surplus",
}

local function open_of(payment)
    local list, err = payments.attempts_of(payment)
    if not list then
        return nil, err
    end
    local open = {}
    for _, attempt in ipairs(list) do
        open[#open + 1] = states.attempt_open[attempt.state] and attempt or nil
    end
    return open
end

--- The open attempt that already goes the way that is asked for.
local function same_way(open, account, product)
    for _, attempt in ipairs(open) do
        if attempt.account == account.id and attempt.product == product then
            return attempt
        end
    end
end

local function refuse(code, payment)
    return nil, { code = code, detail = refusals[code],
        members = { state = payment.state, allowed = json.array { "pending" } } }
end

--- The unit's statements, with the payment's row as it stands after it.
local function unit_of(payment, order, actor)
    local now = order.row.updated_at
    local event, hash = units.next_event(payment, {
        type = order.row.state == "issued" and "attempt.issued" or "attempt.sent", object = order.row.id,
        actor = actor, now = now,
        data = { payment = { attempt = order.row.id }, attempt = units.order_columns(order.row) },
    })
    local row, timer = orders.statements(order)
    local after = setmetatable({ attempt = order.row.id, version = payment.version + 1, last_hash = hash,
        updated_at = now }, { __index = payment })
    return units.append({
        { "payment.another", { payment = payment.id, version_was = payment.version, hash = hash, now = now,
            attempt = order.row.id, prev_attempt = payment.attempt } },
        row, event, timer,
    }, counters.tried_again(payment, function()
        return merchant_day.of(now, registry.merchant(payment.merchant).zone)
    end)), after
end

local function begin(payment, account, product, actor)
    local details, err = details_of.read(payment)
    if not details then
        return nil, err
    end
    local order
    order, err = creation.plan_attempt({ payment = payment, details = details, account = account,
        product = product, expires_at = payment.expires_at, prev = payment.attempt }, OF_A_WAY)
    if not order then
        return nil, err
    end
    local statements, after = unit_of(payment, order, actor)
    return orders.begin(order, { payment = after, details = details, statements = statements, actor = actor,
        committed = function()
            log.info("attempt." .. order.row.state, { payment = ids.encode("pay", payment.id),
                attempt = ids.encode("att", order.row.id), account = account.slug, actor = actor })
            events_wake.announce(task.scope())
        end })
end

--- nil and a guard's error: the payment moved meanwhile.
---@return boolean? done
---@return boolean|table started, or err
---@return table? same row of the open attempt that goes this way
local function round(payment, input, actor)
    local account, product = ways.choose(input)
    if not account then
        return nil, product
    end
    local open, err = open_of(payment)
    if not open then
        return nil, err
    end
    local same = payment.state == "pending" and not payment.closing and same_way(open, account, product)
    if same then
        return true, false, same
    end
    local may, code = states.may_start(payment, open)
    if not may then
        return refuse(code, payment)
    end
    local done
    done, err = begin(payment, account, product, actor)
    if not done then
        return nil, err
    end
    return true, true
end

--- Starts another attempt. Waits for the channel's answer where the order is ours to send.
---@param id_text string "pay_…"
---@param input { channel: string?, product: string?, account: string? }
---@param actor string
---@return { payment: table, started: boolean }?
---@return table? err {code, detail, pointer?, members?}
function attempts.start(id_text, input, actor)
    return change.payment(id_text, function(payment)
        local done, started, same = round(payment, input, actor)
        if not done then
            return nil, started
        end
        local view, err
        if same then -- a newer one may go another way
            view, err = payments.view_by(payment, same)
        else
            view, err = payments.get(id_text)
        end
        return view and { payment = view, started = started }, err
    end)
end

return attempts
