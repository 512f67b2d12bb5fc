--- Letting a payment go that the merchant's rules held back before any channel heard of it: a person said
--- that it may, and its first order is made now, the way that was chosen when it was created.
local creation = require "tael.kernel.creation"
local details_of = require "tael.kernel.details"
local json = require "tael.json"
local orders = require "tael.kernel.orders"
local registry = require "tael.kernel.registry"
local time = require "tael.time"
local units = require "tael.kernel.units"

local release = {}

--- The unit's statements, with the payment's row as it stands after it.
local function unit_of(payment, order, decision, actor)
    local now = order.row.updated_at
    local event, hash = units.next_event(payment, {
        type = "payment.pending", actor = actor, now = now, data = {
            payment = { state = "pending", reason = json.null, proposal = json.null, attempt = order.row.id },
            attempt = units.order_columns(order.row), decision = decision,
        },
    })
    local row, timer = orders.statements(order)
    local after = {}
    for name, value in pairs(payment) do
        after[name] = value
    end
    after.state, after.reason, after.proposal, after.attempt = "pending", nil, nil, order.row.id
    after.version, after.last_hash, after.updated_at = payment.version + 1, hash, now
    return {
        { "payment.let_go", { payment = payment.id, version_was = payment.version, hash = hash, now = now,
            attempt = order.row.id } },
        row, event, timer,
    }, after
end

local function conflict(detail, payment)
    return nil, { code = "state_conflict", detail = detail,
        members = { state = payment.state, allowed = json.array { "review" } } }
end

--- Waits for the channel's answer where the order is ours to send.
---@param payment table row, under review
---@param decision table for the record
---@param actor string
---@return boolean? done
---@return table? err a problem, or the store's; a guard's: the payment moved meanwhile
function release.begin(payment, decision, actor)
    if payment.attempt or payment.reason ~= "risk" then
        return conflict("only a payment that a rule held back, before any order, can go its way", payment)
    elseif time.now() >= payment.expires_at then
        return conflict("the payment has expired while it waited: close it", payment)
    end
    local details, err = details_of.read(payment)
    if not details then
        return nil, err
    end
    local held = details.held or {}
    local account = registry.account(held.account)
    if not account or not account.fields then
        return nil, { code = "no_channel_available",
            detail = "the account that was chosen is not there any more" }
    end
    local order
    order, err = creation.plan_attempt({ payment = payment, details = details, account = account,
        product = held.product, expires_at = payment.expires_at }, {})
    if not order then
        return nil, err
    end
    local statements, after = unit_of(payment, order, decision, actor)
    return orders.begin(order, { payment = after, details = details, statements = statements, actor = actor })
end

return release
