--- Whether a payment's money may be given back, through which of its orders, and whether the channel would
--- take the request: everything that can be refused is refused here, before anything is written.
local channel_call = require "tael.channel.call"
local context = require "tael.kernel.context"
local details_of = require "tael.kernel.details"
local due = require "tael.kernel.due"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local payments = require "tael.kernel.payments"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"
local store = require "tael.store"
local time = require "tael.time"

local refund_plan = {}

local function problem(code, detail, more)
    local err = more or {}
    err.code, err.detail = code, detail
    return nil, err
end

--- The order that first brought the payment its money, by the chain of events.
local function first_success(payment)
    local at, found = payment.last_event, nil
    while at do
        local event, err = payments.one("event.get", { event = at })
        if not event then
            return nil, err
        end
        local attempt = json.decode(event.data).attempt
        found = attempt and attempt.state == "succeeded" and attempt.id or found
        at = event.prev
    end
    return found
end

--- What each paid order still has of its amount, the one that came first before the others.
local function orders_of(payment)
    local list, err = payments.attempts_of(payment)
    if not list then
        return nil, err
    end
    local paid = {}
    for _, attempt in ipairs(list) do
        if attempt.state == "succeeded" then
            paid[#paid + 1] = { attempt = attempt, left = math.maxinteger }
        end
    end
    if #paid < 2 then -- what was captured is this one's
        return paid
    end
    local first
    first, err = first_success(payment)
    if err then
        return nil, err
    end
    for i, order in ipairs(paid) do
        local sums
        sums, err = payments.one("refund.sums", { payment = payment.id, attempt = order.attempt.id })
        if not sums then
            return nil, err
        end
        order.left = order.attempt.amount - sums.reserved
        if order.attempt.id == first then
            table.insert(paid, 1, table.remove(paid, i))
        end
    end
    return paid
end

local function exceeds(refundable)
    return problem("refund_exceeds_captured",
        ("at most %d can be given back: the rest is refunded, or on its way"):format(refundable),
        { members = { refundable = refundable }, pointer = "/amount" })
end

--- The order that gives the money back, and how much.
local function choose_order(payment, wanted)
    if payment.state ~= "paid" then
        return problem("payment_not_refundable", "the payment is " .. payment.state .. ", not paid")
    end
    local paid, err = orders_of(payment)
    if not paid then
        return nil, err
    elseif not paid[1] then
        return problem("payment_not_refundable", "no order of the payment holds its money")
    end
    local refundable, most = payment.captured_amount - payment.refund_reserved, 0
    local amount = wanted or refundable
    for _, order in ipairs(paid) do
        local left = math.min(order.left, refundable)
        if amount > 0 and amount <= left then
            return order.attempt, amount
        end
        most = math.max(most, left)
    end
    return exceeds(most)
end

--- Refunds of an order that were done or may be.
local function count_of(attempt)
    local sums = payments.one("refund.sums", { payment = attempt.payment, attempt = attempt.id })
    return sums and sums.n or 0
end

--- What the channel's manifest says about refunds of this order.
local function check_channel(payment, attempt, amount, now)
    local account = registry.account(attempt.account)
    local package = registry.package(account)
    local can = package and package.capabilities.refund
    if not registry.prepared(account) then
        return problem("no_channel_available", "the account " .. account.slug .. " is no longer configured")
    elseif not can then
        return problem("not_implemented_by_channel", account.channel .. " gives no money back")
    elseif can.partial == false and amount ~= attempt.amount then -- the payment may have been paid twice
        return problem("payment_not_refundable", account.channel .. " gives back whole payments only",
            { pointer = "/amount" })
    elseif can.window_ms and payment.paid_at and now > payment.paid_at + can.window_ms then
        return problem("payment_not_refundable", ("%s gives money back for %s"):format(account.channel,
            can.window))
    elseif can.max_count and count_of(attempt) >= can.max_count then
        return problem("payment_not_refundable", ("%s takes at most %d refunds of a payment"):format(
            account.channel, can.max_count))
    end
    return account
end

--- What the package has against the request is heard before anything is written.
local function check_request(new, payment, attempt, account)
    local details, err = details_of.read(payment)
    if not details then
        return payments.store_problem(err)
    end
    local refund = { id = new.id, amount = new.amount, currency = payment.currency, reason = new.reason }
    local ctx = context.of(payment, details, attempt, account, new.now, refund)
    local request
    request, err = channel_call.build(registry.package(account), "refund", registry.prepared(account),
        ctx)
    if request then
        return true
    elseif err.code == "script_failed" then
        settle.alarm("script_failed", { channel = err.channel, detail = err.detail })
    end
    return problem(err.code, err.detail, { pointer = err.field and "/" .. err.field:gsub("%.", "/") or nil })
end

---@param request tael.kernel.RefundRequest
---@param checked boolean the channel's own part was checked in an earlier round
---@return tael.kernel.NewRefund?
---@return table? err {code, detail, pointer?, members?}
function refund_plan.make(request, checked)
    local payment, err = payments.one("payment.get", { payment = request.payment_id })
    if not payment then
        return nil, err or { code = "not_found", detail = "there is no such payment" }
    end
    local attempt, amount = choose_order(payment, request.input.amount)
    if not attempt then
        return nil, amount
    end
    local id, now = store.next_id(), time.now()
    local new = {
        payment = payment, attempt = attempt.id, account = attempt.account, id = id,
        request = request.digest, amount = amount,
        merchant_refund_id = request.input.merchant_refund_id or ids.encode("ref", id),
        reason = request.input.reason, actor = request.actor, now = now, key_digest = request.key_digest,
        due = due.id(due.again(now, now)),
    }
    if checked then
        return new
    end
    local account
    account, err = check_channel(payment, attempt, amount, now)
    if not account then
        return nil, err
    end
    local good
    good, err = check_request(new, payment, attempt, account)
    return good and new, err
end

return refund_plan
