--- tael trigger: has the sandbox do what channels do at the wrong time, and says what the engine made of it.
local exits = require "tael.cli.exits"
local listing = require "tael.cli.listing"
local objects = require "tael.cli.objects"
local paying = require "tael.cli.paying"
local refund = require "tael.cli.refund"
local refunds = require "tael.cli.refunds"
local screen = require "tael.cli.screen"
local simulator = require "tael.cli.simulator"
local text = require("tael.cli.texts").of
local nearest = require "tael.nearest"
local words = require "tael.cli.words"

local trigger = {
    name = "trigger", usage = "[EVENT [ID]]", min = 0, max = 2, asks = true, payment = 2,
    options = words.with_asking { times = { value = "N", integer = true, doc = "trigger_times" } },
}

local AMOUNT = "12.34"
local PAID_MS, REFUND_MS = 30000, 60000

-- ---- the payment that it happens to ----

local function get(call, id)
    local payment, failure = call.client:get(call.client.path("/v1/payments/{}", id))
    if not payment then
        failure.next = failure.next or "tael payments list"
    end
    return payment, failure
end

local function pay(call, payment)
    local sandbox, failure = simulator.of(call, payment.account)
    if not sandbox then
        return nil, failure
    end
    local paid
    paid, failure = paying.await(call, payment, { buyer = { simulator = sandbox, yes = true },
        wait_ms = PAID_MS })
    if paid == "interrupted" or paid and paid.state ~= "paid" then
        return exits.fail(exits.unknown, text("trigger.not_paid", { id = payment.id }),
            "tael explain " .. payment.id)
    end
    return paid, failure
end

--- The payment that was named, or a new one; paid first where that is wanted of a new one.
local function subject(call, id, paid)
    if id then
        return get(call, id)
    end
    local payment, failure = paying.create(call, AMOUNT, true)
    if payment and paid then
        return pay(call, payment)
    end
    return payment, failure
end

-- ---- what the engine made of it ----

--- The newest event of a type on a payment, printed.
local function print_event(call, payment, type_name)
    local page, failure = call.client:get("/v1/events", { payment = payment.id, type = type_name, limit = 1 })
    if not page then
        return nil, failure
    elseif not page.data[1] then
        return exits.fail(exits.unknown, text("trigger.no_event", { id = payment.id, type = type_name }),
            "tael explain " .. payment.id)
    end
    local event = page.data[1]
    if call.json then
        screen.object(event)
    else
        screen.line(("%s  %s  %s  %s"):format(event.id, event.type, event.data.id,
            objects.amount(event.data)))
    end
    return exits.done
end

local function paid(call, id)
    local payment, failure = subject(call, id, false)
    if payment and payment.state ~= "paid" then
        payment, failure = pay(call, payment)
    end
    if not payment then
        return nil, failure
    end
    return print_event(call, payment, "payment.paid")
end

--- What the payer never opened cannot be closed at the channel: it is opened first.
local function close(call, payment)
    local sandbox = simulator.of(call, payment.account)
    if sandbox and payment.state == "pending" then
        local order_no, failure = paying.order_no(call, payment.id)
        local opened = order_no
        if order_no then
            opened, failure = sandbox:open(payment, order_no)
        end
        if not opened then
            return nil, failure
        end
    end
    return call.client:post(call.client.path("/v1/payments/{}/close", payment.id))
end

local function closed(call, id)
    local payment, failure = subject(call, id, false)
    local status
    if payment then
        payment, failure, status = close(call, payment)
    end
    if not payment then
        return nil, failure
    elseif status == 202 then
        return exits.fail(exits.unknown, text("moves.closing", { id = payment.id }),
            text("moves.closing.next", { id = payment.id }))
    end
    return print_event(call, payment, payment.state == "paid" and "payment.paid" or "payment.closed")
end

local function refunded(call, id)
    local payment, failure = subject(call, id, true)
    local made
    if payment then
        made, failure = refund.give_back(call, payment, {})
    end
    if made then
        made, failure = refund.await(call, made, REFUND_MS)
    end
    if not made then
        return nil, failure
    elseif made.state ~= "succeeded" then
        return refunds.end_of(made)
    end
    return print_event(call, payment, "refund.succeeded")
end

-- ---- notifications ----

--- The newest notifications: of this payment, or refused before it was known whose they were. With those from
--- before: all that have come since, and the same again.
---@param call tael.cli.Call
---@param payment table
---@param before { newest: string?, views: table<string, table> }?
---@return { newest: string?, views: table<string, table> }?
---@return tael.cli.Failure?
local function received(call, payment, before)
    local found, query = { views = {} }, { limit = 100 }
    repeat
        local page, failure = call.client:get("/v1/notifications", query)
        if not page then
            return nil, failure
        end
        local since = true
        for _, view in ipairs(page.data) do
            local of = objects.given(view.payment)
            since = not before or not before.newest or view.id > before.newest
            if (of == payment.id or not of) and (since or before.views[view.id]) then
                found.views[view.id] = view
            end
            found.newest = found.newest or view.id
        end
        query.cursor = before and since and objects.given(page.next_cursor) or nil
    until not query.cursor
    return found
end

--- How many were applied, were told again, or were refused and where; by the text of each.
local function count(before, after)
    local sums = { new = 0, applied = 0, others = {} }
    local function add(key, values)
        local found = sums.others[key] or { count = 0, values = values }
        found.count, sums.others[key] = found.count + 1, found
    end
    for id, view in pairs(after) do
        local fresh = not before[id]
        sums.new = sums.new + (fresh and 1 or 0)
        if view.effect == "applied" then
            sums.applied, sums.first = sums.applied + 1, not fresh
        elseif fresh and view.verdict ~= "pass" then
            add("trigger.refused", { check = screen.text(view.failed_check) })
        elseif fresh and view.effect == "none" then
            add("unchanged", {})
        elseif fresh then
            add("trigger.effect", { effect = view.effect })
        end
    end
    return sums
end

--- "1 applied, 2 recognised as replay"; unchanged: the text for those that changed nothing.
local function outcome(sums, with_first, unchanged)
    local parts, rest = {}, {}
    if sums.applied > 0 and (with_first or not sums.first) then
        parts[1] = text("trigger.applied", { count = sums.applied })
    end
    for key, found in pairs(sums.others) do
        found.values.count = found.count
        rest[#rest + 1] = text(key == "unchanged" and unchanged or key, found.values)
    end
    table.sort(rest)
    table.move(rest, 1, #rest, #parts + 1, parts)
    return #parts > 0 and table.concat(parts, ", ") or text "trigger.nothing"
end

--- The same notification several times: the first of them may have come before.
local function told_same(sandbox, sums)
    local times = sums.new + (sums.first and 1 or 0)
    return text("trigger.same", { channel = sandbox.channel, times = times,
        outcome = outcome(sums, true, "trigger.replays") })
end

local function told(sandbox, sums, name)
    return text(sums.new == 1 and "trigger.delivered_one" or "trigger.delivered", { channel = sandbox.channel,
        count = sums.new, what = text("trigger.notify." .. name),
        outcome = outcome(sums, false, "trigger.unchanged") })
end

--- The same notification has the number of the one that was delivered first.
local function fields_of(sandbox, order_no, name)
    if name ~= "duplicate" then
        return {}
    end
    local answer, failure = sandbox:ask("GET", "/sandbox/deliveries?out_trade_no=" .. order_no)
    local first = answer and answer.deliveries[1]
    return answer and { notify_id = first and first.notify_id }, failure
end

local function deliver(call, payment, sandbox, name, times)
    local order_no, failure = paying.order_no(call, payment.id)
    if not order_no then
        return nil, failure
    end
    local opened
    opened, failure = sandbox:open(payment, order_no)
    if not opened then
        return nil, failure
    end
    local fields
    fields, failure = fields_of(sandbox, order_no, name)
    if not fields then
        return nil, failure
    end
    return sandbox:ask("POST", "/sandbox/notify",
        { out_trade_no = order_no, variant = name, times = times, fields = next(fields) and fields or nil })
end

local function print_outcome(call, payment, sandbox, name, before)
    local after, failure = received(call, payment, before)
    if not after then
        return nil, failure
    end
    local sums = count(before.views, after.views)
    if call.json then
        for id, view in pairs(after.views) do
            if not before.views[id] then
                screen.object(view)
            end
        end
    else
        screen.line(name == "duplicate" and told_same(sandbox, sums) or told(sandbox, sums, name))
        screen.hint(text("trigger.story", { id = payment.id }))
    end
    return exits.done
end

--- Of a payment that was paid already, the copies are fewer: its notification has come before.
local function times_of(call, name, payment)
    if call.flags.times then
        return call.flags.times
    elseif name == "duplicate" then
        return payment.state == "paid" and 2 or 3
    end
    return 1
end

--- What these tell of is a payment that has been paid.
local PAID_FIRST = { duplicate = true, reorder = true, finished = true, partial_refund = true }

local function notify(name)
    return function(call, id)
        local payment, failure = subject(call, id, false)
        local sandbox, before, sent
        if payment and PAID_FIRST[name] and payment.state == "pending" then
            payment, failure = pay(call, payment)
        end
        if payment then
            sandbox, failure = simulator.of(call, payment.account)
        end
        if sandbox then
            before, failure = received(call, payment)
        end
        if before then
            sent, failure = deliver(call, payment, sandbox, name, times_of(call, name, payment))
        end
        if not sent then
            return nil, failure
        end
        return print_outcome(call, payment, sandbox, name, before)
    end
end

-- ---- by name ----

local events = { ["payment.paid"] = paid, ["payment.closed"] = closed, ["refund.succeeded"] = refunded }
trigger.NOTIFICATIONS = {
    "duplicate", "reorder", "tamper", "bad_signature", "unsigned", "changed_amount", "other_app",
    "other_seller", "other_order", "duplicate_parameter", "stale", "late", "finished", "closed",
    "partial_refund",
}
for _, name in ipairs(trigger.NOTIFICATIONS) do
    events["notify." .. name] = notify(name)
end

local function list(call)
    local rows = {}
    for name in pairs(events) do
        rows[#rows + 1] = { name = name, about = text("trigger." .. name) }
    end
    table.sort(rows, function(a, b) return a.name < b.name end)
    listing.print(call, rows, "columns.trigger", function(row) return { row.name, row.about } end)
    return exits.done
end

function trigger.run(call)
    local name, id = call.rest[1], call.rest[2]
    if not name then
        return list(call)
    elseif not events[name] then
        local near = nearest(name, events)
        return exits.fail(exits.usage, text(near and "trigger.unknown_near" or "trigger.unknown",
            { name = name, near = near }), "tael trigger")
    end
    return events[name](call, id)
end

return trigger
