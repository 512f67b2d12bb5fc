--- tael explain: the story of a payment, line by line, from whatever belongs to it.
local exits = require "tael.cli.exits"
local notifications = require "tael.cli.notifications"
local objects = require "tael.cli.objects"
local screen = require "tael.cli.screen"
local story = require "tael.cli.story"
local text = require("tael.cli.texts").of
local words = require "tael.cli.words"

local explain = {
    name = "explain", usage = "ID", min = 1, max = 1, asks = true, payment = 1,
    options = words.with_asking {},
}

--- Where an object's payment is read, by the prefix of its id.
local FOUND_BY = {
    ref = { "/v1/refunds/{}", function(refund) return refund.payment end },
    ntf = { "/v1/notifications/{}", function(view) return objects.given(view.payment) end },
    evt = { "/v1/events/{}", function(event)
        return event.data.object == "payment" and event.data.id or event.data.payment
    end },
}

--- The id of the payment; a notification that belongs to none is given back itself.
local function payment_of(call, id)
    local prefix = id:match("^(%l+)_")
    local how = FOUND_BY[prefix]
    if prefix == "pay" then
        return id
    elseif not how then
        return exits.fail(exits.usage, text("explain.prefix", { id = id }), text "explain.prefix.next")
    end
    local object, failure = call.client:get(call.client.path(how[1], id))
    if not object then
        failure.next = failure.next or text "explain.missing.next"
        return nil, failure
    end
    return how[2](object), nil, object
end

--- Of each notification of the story, what its checks said.
local function views_of(call, entries)
    local views = {}
    for _, entry in ipairs(entries) do
        if entry.kind == "notification" then
            views[entry.id] = call.client:get(call.client.path("/v1/notifications/{}", entry.id))
        end
    end
    return views
end

--- A notification that has no payment is explained by its own checks.
local function explain_alone(call, view)
    if call.json then
        screen.object(view)
        return exits.done
    end
    local lines, next_step = notifications.explain_lines(view)
    for _, line in ipairs(lines) do
        screen.line(line)
    end
    if next_step then
        screen.next(next_step)
    end
    return exits.done
end

function explain.run(call)
    local id, failure, object = payment_of(call, call.rest[1])
    if failure then
        return nil, failure
    elseif not id then
        return explain_alone(call, object)
    end
    local timeline
    timeline, failure = call.client:get(call.client.path("/v1/payments/{}/timeline", id))
    if not timeline then
        failure.next = failure.next or "tael payments list"
        return nil, failure
    elseif call.json then
        screen.object(timeline)
        return exits.done
    end
    for _, line in ipairs(story.lines(timeline.entries, views_of(call, timeline.entries))) do
        screen.line(line)
    end
    return exits.done
end

return explain
