--- tael pay: a payment from the terminal. The payer scans the code that is drawn, or the simulated buyer pays
--- when Enter is pressed; then it is waited for what the channel says.
local code = require "tael.cli.code"
local exits = require "tael.cli.exits"
local json = require "tael.json"
local objects = require "tael.cli.objects"
local paying = require "tael.cli.paying"
local screen = require "tael.cli.screen"
local simulator = require "tael.cli.simulator"
local terminal = require "tael.terminal"
local text = require("tael.cli.texts").of
local time = require "tael.time"
local words = require "tael.cli.words"

local pay = {
    name = "pay", usage = "AMOUNT", min = 1, max = 1, asks = true,
    options = words.with_asking {
        currency = { value = "CODE" }, channel = { value = "NAME", doc = "pay_channel" },
        account = { value = "SLUG", doc = "pay_account" }, product = { value = "NAME", doc = "pay_product" },
        subject = { value = "TEXT" }, order = { value = "ORDER", doc = "pay_order" }, yes = {},
        wait = { value = "TIME", duration = true, doc = "pay_wait" },
    },
}

--- How it is said where the payer goes: drawn, or as an address to open.
local function show_action(payment)
    local action = payment.next_action
    if type(action) ~= "table" or screen.is_quiet() then
        return
    end
    local address = action.code_url or action.url
    if action.type == "qr_code" and code.draw(action.code_url, terminal.columns()) then
        return
    elseif address then
        screen.line(text("pay.open", { url = address }))
    elseif action.order_string then
        screen.line(text("pay.app", { order = action.order_string }))
    end
end

--- Where the simulated buyer pays at once, the line is ended by what became of it.
local function show_created(call, payment)
    local say = call.flags.yes and screen.part or screen.line
    local decision = paying.decision(call, payment)
    if decision and decision.by == "request" and not call.flags.channel and not call.flags.account then
        decision.by = "default" -- nobody has: we did
    end
    local routed = decision and payment.channel ~= json.null and text("pay.routed", {
        channel = payment.channel, why = objects.decision(decision) })
    say(("%s  %s%s"):format(payment.id, objects.amount(payment), routed and "  " .. routed or ""))
end

--- Ctrl-C: nothing is undone.
local function left_open(payment)
    return exits.fail(exits.unknown, text("pay.left_open", { id = payment.id, until_ = payment.expires_at }),
        text("pay.left_open.next", { id = payment.id }))
end

local function took(ms)
    return text("pay.took", { seconds = ("%.2f"):format(ms / 1000) })
end

local function paid_line(payment, attempt, took_ms)
    local evidence = attempt.evidence
    local proof = type(evidence) == "string" and evidence:find("^ntf_") and "pay.by_notify" or "pay.by_query"
    return ("%s      %s %s  %s   %s   %s"):format(screen.paint("green", text "pay.paid"), payment.channel,
        screen.text(attempt.trade_no), took(took_ms), text(proof), text "pay.no_webhook")
end

local function report_paid(call, payment, took_ms)
    local attempts, failure = call.client:get(call.client.path("/v1/payments/{}/attempts", payment.id))
    if not attempts then
        return nil, failure
    end
    for _, attempt in ipairs(attempts.data) do
        if attempt.state == "succeeded" then
            screen.line(paid_line(payment, attempt, took_ms))
            return exits.done
        end
    end
    return exits.fail(exits.internal, text("pay.no_attempt", { id = payment.id }),
        "tael explain " .. payment.id)
end

--- Ends the line of a payment that the simulated buyer pays at once.
local function end_line(call, payment, took_ms)
    if call.json or not call.flags.yes then
        return
    elseif payment and payment.state == "paid" then
        screen.line(("   %s %s"):format(screen.paint("green", text "pay.paid"), took(took_ms)))
    else
        screen.line ""
    end
end

--- With what code it ends, by the state it is in; whoever asked for JSON has read it already.
local function report(call, payment, took_ms)
    local state = payment.state
    if call.json then
        screen.object(payment)
    end
    if state == "paid" then
        return (call.json or call.flags.yes) and exits.done or report_paid(call, payment, took_ms)
    elseif state == "closed" or state == "failed" or state == "review" then
        local values = { id = payment.id, reason = screen.text(payment.reason) }
        return exits.fail(exits.no, text("pay.ended." .. state, values),
            text("pay.ended." .. state .. ".next", values))
    end
    return exits.fail(exits.unknown, text("pay.still_open", { id = payment.id, state = state }),
        text("pay.left_open.next", { id = payment.id }))
end

--- Whoever plays the buyer: the local sandbox, when the account is served by it.
local function buyer_of(call, payment)
    local found, failure = simulator.of(call, payment.account)
    if not found then
        return nil, failure
    end
    return { simulator = found, yes = call.flags.yes, keyboard = not call.flags.yes }
end

--- Says what is waited for. Where a person sits the line is left open: Enter ends it.
---@param with_buyer boolean Enter lets the simulated buyer pay
---@return boolean open
local function ask_person(with_buyer)
    local open = with_buyer and terminal.is "stdin" and terminal.is "stdout"
    local say = open and screen.part or screen.line
    say(text(with_buyer and "pay.scan_or_enter" or "pay.scan"))
    screen.flush()
    return open
end

--- Shows where to pay as soon as the channel has said it, once.
local function presenter(call, buyer, payment)
    local shown = { open = false }
    if call.json or call.flags.yes then
        return function() end, shown
    elseif payment.state == "pending" and not paying.ready(payment) then
        screen.line(text "pay.unanswered")
        screen.flush()
    end
    return function(now, pressed)
        if not shown.done and paying.ready(now) then
            shown.done = true
            show_action(now)
            shown.open = not pressed and ask_person(buyer ~= nil) -- Enter may have come before
        end
    end, shown
end

local function wait_and_report(call, payment)
    if paying.has_ended(payment) then
        end_line(call, payment, 0)
        return report(call, payment, 0)
    end
    local buyer, failure = buyer_of(call, payment)
    if not buyer and call.flags.yes then
        end_line(call)
        return nil, failure
    end
    local present, shown = presenter(call, buyer, payment)
    local begun = time.monotonic()
    local how = { buyer = buyer, wait_ms = call.flags.wait }
    how.changed = function(now) present(now, how.pressed) end
    local ended, wrong = paying.await(call, payment, how)
    local took_ms = time.monotonic() - (how.paid_at or begun)
    end_line(call, ended ~= "interrupted" and ended or nil, took_ms)
    if shown.open and not how.pressed then
        screen.line ""
    end
    if ended == "interrupted" then
        return left_open(payment)
    elseif not ended then
        return nil, wrong
    end
    return report(call, ended, took_ms)
end

function pay.run(call)
    local payment, failure = paying.create(call, call.rest[1], call.flags.yes)
    if not payment then
        return nil, failure
    elseif not call.json then
        show_created(call, payment)
    elseif not call.flags.yes then
        screen.object(payment)
        return exits.done
    end
    return wait_and_report(call, payment)
end

return pay
