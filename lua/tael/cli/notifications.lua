--- tael notifications: what channels sent, and which check failed on which bytes.
local exits = require "tael.cli.exits"
local listing = require "tael.cli.listing"
local objects = require "tael.cli.objects"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of
local words = require "tael.cli.words"

local notifications = { name = "notifications" }

local PATH = "/v1/notifications"

local given = objects.given

local function list(call)
    return listing.show(call, PATH, "columns.notifications", function(object)
        return {
            object.id, object.received_at, object.channel .. "/" .. object.account,
            screen.state(object.verdict), object.failed_check, object.effect, object.payment,
        }
    end)
end

local function get(call)
    local view, failure = call.client:request("GET", call.client.path(PATH .. "/{}", call.rest[1]),
        { any_merchant = true })
    if not view and failure.exit == exits.no then
        failure.next = text "notifications.missing.next"
    end
    return view, failure
end

-- ---- show ----

local function show(call)
    local view, failure = get(call)
    if not view then
        return nil, failure
    elseif call.json then
        screen.object(view)
        return exits.done
    end
    screen.line(("%s  %s  %s/%s"):format(view.id, screen.state(view.verdict), view.channel, view.account))
    local facts = {
        { "received", text("notifications.from", { at = view.received_at, source = view.source }) },
        { "effect", view.effect }, { "payment", view.payment }, { "attempt", view.attempt },
        { "key", view.key_id },
        { "answered", ("%d %s"):format(view.answered.status, view.answered.body) },
        { "first", view.first }, { "repeats", #view.repeats }, { "digest", view.raw_sha256 },
    }
    for _, fact in ipairs(facts) do
        fact[1] = text("notifications.show." .. fact[1])
    end
    screen.columns(facts, "  ")
    screen.line("")
    local rows = {}
    for i, check in ipairs(view.checks) do
        rows[i] = { screen.state(check.verdict), check.name,
            given(check.micros) and check.micros .. " µs" or "-", given(check.detail) or "" }
    end
    screen.columns(rows, "  ")
    return exits.done
end

-- ---- explain ----

local function place_of(view)
    for i, check in ipairs(view.checks) do
        if check.name == view.failed_check then
            return i, given(check.detail)
        end
    end
    return 0
end

local function count_passed(view)
    local count = 0
    for _, check in ipairs(view.checks) do
        count = count + (check.verdict == "pass" and 1 or 0)
    end
    return count
end

local function key_of(view)
    return given(view.key_id) and "   " .. text("notifications.key", { id = view.key_id }) or ""
end

local function refused_lines(view, lines)
    local place, detail = place_of(view)
    lines[#lines + 1] = ("%s   %s/%s%s"):format(text("notifications.refused", { place = place,
        count = #view.checks, check = view.failed_check }), view.channel, view.account, key_of(view))
    if detail then
        lines[#lines + 1] = text("notifications.because", { detail = detail })
    end
end

local EFFECTS = { applied = true, late = true, review = true, surplus = true, unknown_order = true }

local function outcome_of(view)
    if view.effect == "none" then
        return given(view.first) and text("notifications.repeat", { id = view.first })
            or text "notifications.effect.none"
    elseif not EFFECTS[view.effect] then
        return view.effect
    end
    return text("notifications.effect." .. view.effect,
        { payment = given(view.payment) or text "notifications.a_payment" })
end

--- What is said of one notification; the last value is the step for a reader who wants to act.
---@param view table of GET /v1/notifications/{id}
---@return string[] lines
---@return string? next_step
function notifications.explain_lines(view)
    local lines = {}
    if given(view.failed_check) then
        refused_lines(view, lines)
    else
        lines[1] = ("%s   %s/%s%s"):format(text("notifications.passed", { count = count_passed(view) }),
            view.channel, view.account, key_of(view))
    end
    lines[#lines + 1] = text("notifications.outcome", { outcome = outcome_of(view) })
    lines[#lines + 1] = text("notifications.received", { at = view.received_at, source = view.source,
        status = view.answered.status, body = view.answered.body })
    if given(view.signed_text) then
        lines[#lines + 1] = text("notifications.signed_text", { text = view.signed_text })
    else
        lines[#lines + 1] = text "notifications.no_signed_text"
    end
    lines[#lines + 1] = text("notifications.digest", { digest = view.raw_sha256 })
    local differs = given(view.differs)
    if differs then
        lines[#lines + 1] = text("notifications.differs", { field = differs.field, signed = differs.signed,
            received = differs.received })
    end
    return lines, given(view.hint)
end

local function explain(call)
    local view, failure = get(call)
    if not view then
        return nil, failure
    end
    local lines, next_step = notifications.explain_lines(view)
    if call.json then
        screen.object(view)
    else
        for _, line in ipairs(lines) do
            screen.line(line)
        end
        if next_step then
            screen.next(next_step)
        end
    end
    return given(view.failed_check) and exits.no or exits.done
end

--- The stored bytes through today's checks.
local function replay(call)
    local view, failure = call.client:request("POST",
        call.client.path(PATH .. "/{}/replay", call.rest[1]), { any_merchant = true, body = {} })
    if not view then
        if failure.exit == exits.no then
            failure.next = failure.next or "tael notifications list"
        end
        return nil, failure
    elseif call.json then
        screen.object(view)
    else
        for _, line in ipairs((notifications.explain_lines(view))) do
            screen.line(line)
        end
    end
    return given(view.failed_check) and exits.no or exits.done
end

notifications.commands = {
    {
        name = "explain", usage = "ID", min = 1, max = 1, run = explain, asks = true,
        options = words.with_asking {},
    },
    {
        name = "replay", usage = "ID", min = 1, max = 1, run = replay, asks = true,
        options = words.with_asking {},
    },
    {
        name = "show", usage = "ID", min = 1, max = 1, run = show, asks = true,
        options = words.with_asking {},
    },
    {
        name = "list", usage = "", min = 0, max = 0, run = list, asks = true,
        options = listing.options {
            payment = { value = "ID", doc = "payment_filter" },
            channel = { value = "NAME", doc = "channel_filter" },
            verdict = { value = "WORD" }, effect = { value = "WORD" },
        },
    },
}

return notifications
