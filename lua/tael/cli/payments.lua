--- tael payments: what the engine knows of a merchant's payments.
local exits = require "tael.cli.exits"
local json = require "tael.json"
local listing = require "tael.cli.listing"
local money = require "tael.kernel.money"
local screen = require "tael.cli.screen"
local words = require "tael.cli.words"

local payments = { name = "payments", summary = "payments of a merchant" }

local PATH = "/v1/payments"

local function amount(object)
    return money.format(object.amount, object.currency, { symbol = true })
end

local function state(object)
    local reason = object.reason ~= json.null and " (" .. object.reason .. ")" or ""
    return object.state .. reason .. (object.late and " late" or "")
end

local function list(call)
    local header = { "ID", "STATE", "AMOUNT", "ORDER", "CHANNEL", "CREATED" }
    return listing.show(call, PATH, header, function(payment)
        return {
            payment.id, state(payment), amount(payment), payment.merchant_order_id, payment.channel,
            payment.created_at,
        }
    end)
end

local function action(next_action)
    if next_action == json.null then
        return "-"
    end
    return next_action.type .. (type(next_action.url) == "string" and "  " .. next_action.url or "")
end

local function show_payment(payment)
    screen.line(("%s  %s  %s"):format(payment.id, state(payment), amount(payment)))
    local rows = {
        { "merchant", payment.merchant .. (payment.livemode and "" or "  (test)") },
        { "order", payment.merchant_order_id }, { "subject", payment.subject },
        { "channel", ("%s/%s %s"):format(screen.text(payment.channel), screen.text(payment.account),
            screen.text(payment.product)) },
        { "captured", payment.captured_amount }, { "refunded", payment.refunded_amount },
        { "created", payment.created_at }, { "expires", payment.expires_at }, { "paid", payment.paid_at },
        { "next action", action(payment.next_action) },
    }
    for _, row in ipairs(rows) do
        if math.type(row[2]) == "integer" then
            row[2] = money.format(row[2], payment.currency)
        end
    end
    screen.columns(rows, "  ")
end

local function show_attempts(attempts)
    local rows = { { "attempt", "state", "order number", "trade number", "evidence" } }
    for i, attempt in ipairs(attempts) do
        rows[i + 1] = { attempt.id, attempt.state, attempt.order_no, attempt.trade_no, attempt.evidence }
    end
    if #rows > 1 then
        screen.line("")
        screen.columns(rows, "  ")
    end
end

local function show(call)
    local id = call.rest[1]
    local payment, failure = call.client:get(call.client.path(PATH .. "/{}", id))
    if not payment then
        failure.next = failure.next or "tael payments list"
        return nil, failure
    elseif call.json then
        screen.object(payment)
        return exits.done
    end
    local attempts
    attempts, failure = call.client:get(call.client.path(PATH .. "/{}/attempts", id))
    if not attempts then
        return nil, failure
    end
    show_payment(payment)
    show_attempts(attempts.data)
    return exits.done
end

payments.commands = {
    {
        name = "list", usage = "", min = 0, max = 0, run = list, asks = true,
        summary = "newest first; with --json one object a line",
        options = listing.options {
            state = { value = "STATE", doc = "such as pending, paid, review" },
            order = { value = "ORDER", parameter = "merchant_order_id", doc = "the merchant's order" },
            channel = { value = "NAME", doc = "such as alipay" },
            ["order-no"] = { parameter = "order_no", value = "NUMBER", doc = "our number at the channel" },
            ["trade-no"] = { parameter = "trade_no", value = "NUMBER", doc = "the channel's number" },
        },
    },
    {
        name = "show", usage = "ID", min = 1, max = 1, run = show, asks = true,
        summary = "one payment with its attempts", options = words.with_asking {},
    },
}

return payments
