--- tael clock: puts the clock of a development engine and its sandbox ahead, and says what came due.
local exits = require "tael.cli.exits"
local following = require "tael.cli.following"
local screen = require "tael.cli.screen"
local simulator = require "tael.cli.simulator"
local text = require("tael.cli.texts").of
local words = require "tael.cli.words"

local clock = { name = "clock" }

--- What the engine says when it may not.
local function refused(failure)
    local code = failure.problem and failure.problem.code
    if code == "not_found" or code == "forbidden" or code == "method_not_allowed" then
        failure.exit, failure.more = exits.refused, nil
        failure.message = text "clock.refused"
        failure.next = text "clock.refused.next"
    end
    return nil, failure
end

--- From now on, for every merchant: what is closed.
local function watch(call)
    local watched = {}
    for slug in pairs(call.config.merchants) do
        watched[#watched + 1] = following.begin(call.client:as(slug), { type = "payment.closed" })
    end
    return watched
end

local function closed_in(watched)
    local closed = 0
    for _, news in ipairs(watched) do
        local page
        repeat
            page = news:next(0) or {}
            closed = closed + #page
        until #page == 0
    end
    return closed
end

local function counted(count, one, many)
    return text(count == 1 and one or many, { count = count })
end

local function advance(call)
    local given = call.rest[1]
    local ms = words.duration(given)
    if not ms or ms < 1000 or ms % 1000 ~= 0 then
        return exits.fail(exits.usage, text("clock.duration", { given = given }), "tael clock advance 2h")
    end
    local watched = watch(call)
    local answer, failure = call.client:request("POST", "/v1/system/clock",
        { body = { advance_in = ms // 1000 }, any_merchant = true })
    if not answer then
        return refused(failure)
    elseif call.json then
        screen.object(answer)
        return exits.done
    end
    screen.line(text("clock.done", { by = given,
        closed = counted(closed_in(watched), "clock.closed.one", "clock.closed.many"),
        pending = counted(simulator.pending(call) or 0, "clock.pending.one", "clock.pending.many") }))
    return exits.done
end

clock.commands = {
    {
        name = "advance", usage = "TIME", min = 1, max = 1, run = advance, asks = true,
        options = words.with_asking {},
    },
}

return clock
