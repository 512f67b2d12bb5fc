--- tael payments: what the engine knows of a merchant's payments, and what moves one.
local exits = require "tael.cli.exits"
local listing = require "tael.cli.listing"
local money = require "tael.kernel.money"
local moves = require "tael.cli.moves"
local objects = require "tael.cli.objects"
local screen = require "tael.cli.screen"
local texts = require "tael.cli.texts"
local words = require "tael.cli.words"

local payments = { name = "payments" }

local PATH = "/v1/payments"

local text, given = texts.of, objects.given

local function list(call)
    return listing.show(call, PATH, "columns.payments", function(payment)
        return {
            payment.id, objects.state(payment), objects.amount(payment), payment.merchant_order_id,
            payment.channel, payment.created_at,
        }
    end)
end

--- What the payer does next: its kind, and what to open or draw.
local function action(payment)
    local next_action = given(payment.next_action)
    if not next_action then
        return nil
    end
    local what = next_action.url or next_action.code_url or next_action.hint or next_action.order_string
    return next_action.type .. (type(what) == "string" and "  " .. what or "")
end

--- What the merchant's rule said, and why.
local function risk_of(payment)
    local risk = objects.given(payment.risk)
    if not risk then
        return nil
    end
    local why = risk.by == "default" and text "story.rule_failed" or objects.given(risk.reason)
    return why and ("%s: %s"):format(risk.risk, screen.text(why)) or risk.risk
end

local function show_payment(payment)
    screen.line(("%s  %s  %s"):format(payment.id, objects.state(payment), objects.amount(payment)))
    local rows = {
        { "merchant", payment.merchant .. (payment.livemode and "" or "  (test)") },
        { "order", payment.merchant_order_id }, { "subject", payment.subject },
        { "channel", ("%s/%s %s"):format(screen.text(payment.channel), screen.text(payment.account),
            screen.text(payment.product)) },
        { "risk", risk_of(payment) },
        { "captured", payment.captured_amount }, { "refunded", payment.refunded_amount },
        { "created", payment.created_at }, { "expires", payment.expires_at }, { "paid", payment.paid_at },
        { "closed", payment.closed_at }, { "next_action", action(payment) },
    }
    for _, row in ipairs(rows) do
        row[1] = text("payments.show." .. row[1])
        if math.type(row[2]) == "integer" then
            row[2] = money.format(row[2], payment.currency)
        end
    end
    screen.columns(rows, "  ")
end

local function show_attempts(attempts)
    local rows = {}
    for i, attempt in ipairs(attempts) do
        rows[i] = { attempt.id, screen.state(attempt.state), attempt.order_no, attempt.trade_no,
            attempt.evidence }
    end
    if #rows > 0 then
        screen.line("")
        screen.table(texts.list "columns.attempts_short", rows, "  ")
    end
end

--- One payment, or why not with where to look.
local function get(call, id)
    local payment, failure = call.client:get(call.client.path(PATH .. "/{}", id))
    if not payment then
        failure.next = failure.next or "tael payments list"
    end
    return payment, failure
end

local function attempts_of(call, id)
    local answer, failure = call.client:get(call.client.path(PATH .. "/{}/attempts", id))
    if not answer then
        failure.next = failure.next or "tael payments list"
        return nil, failure
    end
    return answer.data
end

local function show(call)
    local payment, failure = get(call, call.rest[1])
    if not payment then
        return nil, failure
    elseif call.json then
        screen.object(payment)
        return exits.done
    end
    local attempts
    attempts, failure = attempts_of(call, payment.id)
    if not attempts then
        return nil, failure
    end
    show_payment(payment)
    show_attempts(attempts)
    screen.hint(text("payments.show.story", { id = payment.id }))
    return exits.done
end

local function attempts(call)
    local found, failure = attempts_of(call, call.rest[1])
    if not found then
        return nil, failure
    end
    listing.print(call, found, "columns.attempts", function(attempt)
        return {
            attempt.id, screen.state(attempt.state), ("%s/%s %s"):format(attempt.channel, attempt.account,
                attempt.product), attempt.order_no, attempt.trade_no, #attempt.calls, attempt.evidence,
            attempt.created_at,
        }
    end)
    return exits.done
end

payments.commands = {
    {
        name = "list", usage = "", min = 0, max = 0, run = list, asks = true,
        options = listing.options {
            state = { value = "STATE", doc = "payment_state" },
            order = { value = "ORDER", parameter = "merchant_order_id", doc = "order_filter" },
            channel = { value = "NAME", doc = "channel_filter" },
            ["order-no"] = { parameter = "order_no", value = "NUMBER", doc = "order_no" },
            ["trade-no"] = { parameter = "trade_no", value = "NUMBER", doc = "trade_no" },
        },
    },
    {
        name = "show", usage = "ID", min = 1, max = 1, run = show, asks = true, payment = 1,
        options = words.with_asking {},
    },
    {
        name = "attempts", usage = "ID", min = 1, max = 1, run = attempts, asks = true, payment = 1,
        options = words.with_asking {},
    },
    { name = "close", usage = "ID", min = 1, max = 1, run = moves.close, asks = true, payment = 1,
        options = words.with_asking {} },
    { name = "cancel", usage = "ID", min = 1, max = 1, run = moves.cancel, asks = true, payment = 1,
        options = words.with_asking {} },
    { name = "sync", usage = "ID", min = 1, max = 1, run = moves.sync, asks = true, payment = 1,
        options = words.with_asking {} },
    {
        name = "review", usage = "ID", min = 1, max = 1, run = moves.review, asks = true, payment = 1,
        options = words.with_asking {
            decision = { value = "paid|closed|failed|pending" },
            note = { value = "TEXT", doc = "review_note" },
        },
    },
}

return payments
