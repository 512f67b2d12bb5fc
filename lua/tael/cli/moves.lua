--- tael payments close, cancel, sync, review: what moves a payment after it was created.
local exits = require "tael.cli.exits"
local objects = require "tael.cli.objects"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of

local moves = {}

--- What a refusal says of the state, and what it still allows.
local function explain(failure, id)
    local problem = failure.problem
    if problem and problem.code == "state_conflict" then
        local allowed = type(problem.allowed) == "table" and table.concat(problem.allowed, ", ") or ""
        local other = allowed ~= "" and not allowed:find(tostring(problem.state), 1, true)
        failure.more = other and { text("moves.allowed", { states = allowed }) } or failure.more
        failure.next = "tael explain " .. id
    elseif failure.exit == exits.no then
        failure.next = failure.next or "tael payments list"
    end
    return nil, failure
end

local function print_payment(call, payment)
    if call.json then
        screen.object(payment)
    else
        screen.line(("%s  %s  %s"):format(payment.id, objects.state(payment), objects.amount(payment)))
    end
end

local function post(call, action)
    local id = call.rest[1]
    local payment, failure, status = call.client:post(call.client.path("/v1/payments/{}/" .. action, id))
    if not payment then
        return explain(failure, id)
    end
    print_payment(call, payment)
    return payment, nil, status
end

--- Close and cancel: the channel has the last word, and may not have said it yet.
local function ended(call, action)
    local payment, failure, status = post(call, action)
    if not payment then
        return nil, failure
    elseif status == 202 then
        return exits.fail(exits.unknown, text("moves.closing", { id = payment.id }),
            text("moves.closing.next", { id = payment.id }))
    elseif payment.state == "paid" then
        return exits.fail(exits.no, text("moves.paid_first", { id = payment.id }),
            "tael refund " .. payment.id)
    end
    return exits.done
end

---@param call tael.cli.Call
function moves.close(call)
    return ended(call, "close")
end

---@param call tael.cli.Call
function moves.cancel(call)
    return ended(call, "cancel")
end

---@param call tael.cli.Call
function moves.sync(call)
    local payment, failure = post(call, "sync")
    return payment and exits.done, failure
end

local DECISIONS = { paid = true, closed = true, failed = true, pending = true }

---@param call tael.cli.Call
function moves.review(call)
    local id, decision, note = call.rest[1], call.flags.decision, call.flags.note
    if not decision or not DECISIONS[decision] then
        return exits.fail(exits.usage, text "moves.no_decision", text "moves.no_decision.next")
    elseif not note then
        return exits.fail(exits.usage, text "moves.no_note", text "moves.no_note.next")
    end
    local payment, failure = call.client:post(call.client.path("/v1/payments/{}/review", id),
        { decision = decision, note = note })
    if not payment then
        return explain(failure, id)
    end
    print_payment(call, payment)
    if payment.state == "review" then
        screen.next(text "moves.second_person")
    end
    return exits.done
end

return moves
