--- tael refunds: money given back, and what became of it.
local exits = require "tael.cli.exits"
local listing = require "tael.cli.listing"
local objects = require "tael.cli.objects"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of
local words = require "tael.cli.words"

local refunds = { name = "refunds" }

local PATH = "/v1/refunds"

local function list(call)
    return listing.show(call, PATH, "columns.refunds", function(refund)
        return {
            refund.id, screen.state(refund.state), objects.amount(refund), refund.payment,
            refund.merchant_refund_id, refund.created_at,
        }
    end)
end

local function asked(call, method, path)
    local refund, failure = call.client:request(method, call.client.path(path, call.rest[1]),
        { body = method == "POST" and {} or nil })
    if not refund and failure.exit == exits.no then
        failure.next = failure.next or "tael refunds list"
    end
    return refund, failure
end

--- A line for one refund.
---@param refund table
---@return string
function refunds.line(refund)
    return ("%s  %s  %s  %s"):format(refund.id, screen.state(refund.state), objects.amount(refund),
        refund.payment)
end

local function why(refund)
    local failure = objects.given(refund.failure)
    if not failure then
        return nil
    end
    return ("%s %s"):format(screen.text(failure.channel_code or failure.code), screen.text(failure.message))
end

local function show(call)
    local refund, failure = asked(call, "GET", PATH .. "/{}")
    if not refund then
        return nil, failure
    elseif call.json then
        screen.object(refund)
        return exits.done
    end
    screen.line(refunds.line(refund))
    local rows = {
        { "number", refund.merchant_refund_id }, { "reason", refund.reason },
        { "refund_no", refund.refund_no },
        { "channel_no", refund.channel_refund_no }, { "failure", why(refund) },
        { "created", refund.created_at }, { "succeeded", refund.succeeded_at },
    }
    for _, row in ipairs(rows) do
        row[1] = text("refunds.show." .. row[1])
    end
    screen.columns(rows, "  ")
    return exits.done
end

--- With what code a command ends that leaves a refund in this state, and what to do then.
---@param refund table
---@return integer? exit
---@return tael.cli.Failure?
function refunds.end_of(refund)
    if refund.state == "succeeded" then
        return exits.done
    elseif refund.state == "failed" or refund.state == "cancelled" then
        return exits.fail(exits.no, text("refunds.failed", { id = refund.id, why = why(refund) or "-" }),
            "tael refunds show " .. refund.id)
    elseif refund.state == "abnormal" then
        return exits.fail(exits.no, text("refunds.abnormal", { id = refund.id, why = why(refund) or "-" }),
            text("refunds.abnormal.next", { id = refund.id }))
    end
    return exits.fail(exits.unknown, text("refunds.open", { id = refund.id, state = refund.state }),
        "tael refunds show " .. refund.id)
end

local function retry(call)
    local refund, failure = asked(call, "POST", PATH .. "/{}/retry")
    if not refund then
        return nil, failure
    elseif call.json then
        screen.object(refund)
    else
        screen.line(refunds.line(refund))
    end
    return refunds.end_of(refund)
end

refunds.commands = {
    {
        name = "list", usage = "", min = 0, max = 0, run = list, asks = true,
        options = listing.options {
            payment = { value = "ID", doc = "payment_filter" },
            state = { value = "STATE", doc = "refund_state" },
            id = { value = "NUMBER", parameter = "merchant_refund_id", doc = "refund_filter" },
        },
    },
    {
        name = "show", usage = "ID", min = 1, max = 1, run = show, asks = true,
        options = words.with_asking {},
    },
    { name = "retry", usage = "ID", min = 1, max = 1, run = retry, asks = true,
        options = words.with_asking {} },
}

return refunds
