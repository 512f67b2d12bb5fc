--- tael events: what happened, from the sealed record.
local json = require "tael.json"
local listing = require "tael.cli.listing"

local events = { name = "events", summary = "what happened, from the sealed record" }

local function list(call)
    local header = { "ID", "TIME", "TYPE", "OBJECT", "ACTOR", "SEAL" }
    return listing.show(call, "/v1/events", header, function(event)
        local seal = event.chain.seal
        return {
            event.id, event.timestamp, event.type, event.data.id, event.actor,
            seal ~= json.null and seal or "not yet",
        }
    end)
end

events.commands = {
    {
        name = "list", usage = "", min = 0, max = 0, run = list, asks = true,
        summary = "newest first, or with --after in the order of commits; with --json one object a line",
        options = listing.options {
            payment = { value = "ID", doc = "of one payment" },
            type = { value = "TYPE", doc = "such as payment.paid" },
            after = { value = "ID", doc = "only what was committed after this event" },
        },
    },
}

return events
