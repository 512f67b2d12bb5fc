--- tael events: what happened, from the sealed record, and what happens now.
local exits = require "tael.cli.exits"
local following = require "tael.cli.following"
local inbox = require "tael.cli.inbox"
local listing = require "tael.cli.listing"
local objects = require "tael.cli.objects"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of
local words = require "tael.cli.words"

local events = { name = "events" }

local function list(call)
    return listing.show(call, "/v1/events", "columns.events", function(event)
        return {
            event.id, event.timestamp, event.type, event.data.id, event.actor,
            objects.given(event.chain.seal) or text "events.unsealed",
        }
    end)
end

-- ---- tail ----

local function print_event(call, event)
    if call.json then
        screen.object(event)
        return
    end
    local data = event.data
    local amount = math.type(data.amount) == "integer" and objects.amount(data) or "-"
    screen.line(("%s  %s  %s  %s  %s  %s"):format(event.timestamp, event.id,
        screen.pad(screen.state(data.state or "", event.type), 18), data.id, amount, event.actor))
end

local function watch(news)
    return function(box)
        local happened, failure
        repeat
            happened, failure = news:next()
            box:put(happened and "events" or "failure", happened or failure)
        until not happened
    end
end

local DAY_MS = 86400000

--- Prints events until Ctrl-C, until there were so many, or until nobody reads them any more.
local function tail(call)
    local news, failure = following.begin(call.client, { payment = call.flags.payment, type = call.flags.type,
        after = call.flags.after })
    if not news then
        return nil, failure
    end
    local box <close> = inbox.new()
    box:watch_interrupt()
    screen.hint(text "events.tail")
    box:spawn(watch(news))
    local left = call.flags.count or math.huge
    while left > 0 and not screen.broken() do
        local name, value = box:take(DAY_MS)
        if name == "failure" then
            return nil, value
        elseif name == "interrupt" then
            break
        end
        for _, event in ipairs(name == "events" and value or {}) do
            if left > 0 then
                print_event(call, event)
                left = left - 1
            end
        end
        screen.flush()
    end
    return exits.done
end

events.commands = {
    {
        name = "list", usage = "", min = 0, max = 0, run = list, asks = true,
        options = listing.options {
            payment = { value = "ID", doc = "payment_filter" }, type = { value = "TYPE", doc = "event_type" },
            after = { value = "ID", doc = "event_after" },
        },
    },
    {
        name = "tail", usage = "", min = 0, max = 0, run = tail, asks = true,
        options = words.with_asking {
            payment = { value = "ID", doc = "payment_filter" }, type = { value = "TYPE", doc = "event_type" },
            after = { value = "ID", doc = "event_after" }, count = { value = "N", integer = true },
        },
    },
}

return events
