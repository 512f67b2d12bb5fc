--- tael refund: gives money back, all that is left or a part, and waits for what the channel says.
local crypto = require "tael.crypto"
local exits = require "tael.cli.exits"
local following = require "tael.cli.following"
local objects = require "tael.cli.objects"
local paying = require "tael.cli.paying"
local refunds = require "tael.cli.refunds"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of
local time = require "tael.time"
local words = require "tael.cli.words"

local WAIT_MS = 60000

local refund = {
    name = "refund", usage = "PAYMENT [AMOUNT]", min = 1, max = 2, asks = true, payment = 1,
    options = words.with_asking {
        id = { value = "NUMBER", doc = "refund_id" }, reason = { value = "TEXT", doc = "refund_reason" },
        wait = { value = "TIME", duration = true, doc = "refund_wait" },
    },
}

--- What is asked for: the amount in the payment's currency.
local function body_of(call, payment)
    local body = { reason = call.flags.reason, merchant_refund_id = call.flags.id }
    if call.rest[2] then
        local failure
        body.amount, failure = paying.amount(call.rest[2], payment.currency)
        if not body.amount then
            return nil, failure
        end
    end
    return body
end

---@param call tael.cli.Call
---@param payment table
---@param body table of POST /v1/payments/{id}/refunds
---@return table? refund
---@return tael.cli.Failure?
function refund.give_back(call, payment, body)
    local made, failure = call.client:request("POST",
        call.client.path("/v1/payments/{}/refunds", payment.id),
        { body = body, key = "cli-" .. crypto.hex.encode(crypto.random(12)) })
    local left = failure and failure.problem and math.tointeger(failure.problem.refundable)
    if left then -- as the amount was asked for, not in minor units
        failure.message = text("refund.exceeds", { left = objects.amount(payment, left) })
        failure.more = nil
    end
    if not made and failure.exit == exits.unknown then
        failure.next = "tael refunds list --payment " .. payment.id
    elseif not made then
        failure.next = failure.next or "tael payments show " .. payment.id
    end
    return made, failure
end

local function create(call)
    local payment, failure = call.client:get(call.client.path("/v1/payments/{}", call.rest[1]))
    if not payment then
        failure.next = failure.next or "tael payments list --state paid"
        return nil, failure
    end
    local body
    body, failure = body_of(call, payment)
    if not body then
        return nil, failure
    end
    return refund.give_back(call, payment, body)
end

local SETTLED = { succeeded = true, failed = true, cancelled = true, abnormal = true }

--- The refund as it stands when it has ended, or when the time is over.
---@param call tael.cli.Call
---@param made table
---@param wait_ms integer
---@return table? refund
---@return tael.cli.Failure?
function refund.await(call, made, wait_ms)
    local deadline = time.monotonic() + wait_ms
    local news, failure = following.begin(call.client, { payment = made.payment })
    while news do
        made, failure = call.client:get(call.client.path("/v1/refunds/{}", made.id))
        local left = deadline - time.monotonic()
        if not made or SETTLED[made.state] or left <= 0 then
            return made, failure
        end
        local events
        events, failure = news:next(math.max(left, 1000))
        news = events and news
    end
    return nil, failure
end

function refund.run(call)
    local made, failure = create(call)
    if made then
        made, failure = refund.await(call, made, call.flags.wait or WAIT_MS)
    end
    if not made then
        return nil, failure
    elseif call.json then
        screen.object(made)
    else
        screen.line(refunds.line(made))
    end
    return refunds.end_of(made)
end

return refund
