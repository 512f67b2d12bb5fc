--- tael notifications: what channels sent, and which check failed on which bytes.
local exits = require "tael.cli.exits"
local json = require "tael.json"
local listing = require "tael.cli.listing"
local screen = require "tael.cli.screen"
local words = require "tael.cli.words"

local notifications = { name = "notifications", summary = "what channels sent, and what the checks said" }

local PATH = "/v1/notifications"

local function given(value)
    return value ~= nil and value ~= json.null and value or nil
end

local function list(call)
    return listing.show(call, PATH, { "ID", "RECEIVED", "ACCOUNT", "VERDICT", "CHECK", "EFFECT", "PAYMENT" },
        function(object)
            return {
                object.id, object.received_at, object.channel .. "/" .. object.account, object.verdict,
                object.failed_check, object.effect, object.payment,
            }
        end)
end

local function get(call)
    local view, failure = call.client:request("GET", call.client.path(PATH .. "/{}", call.rest[1]),
        { any_merchant = true })
    if not view and failure.exit == exits.no then
        failure.next = "refused messages are kept only for a while; what there is: tael notifications list"
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
    screen.line(("%s  %s  %s/%s"):format(view.id, view.verdict, view.channel, view.account))
    screen.columns({
        { "received", view.received_at .. "  from " .. view.source }, { "effect", view.effect },
        { "payment", view.payment }, { "attempt", view.attempt }, { "key", view.key_id },
        { "answered", ("%d %s"):format(view.answered.status, view.answered.body) },
        { "repeat of", view.first }, { "repeats", #view.repeats }, { "sha-256", view.raw_sha256 },
    }, "  ")
    screen.line("")
    local rows = {}
    for i, check in ipairs(view.checks) do
        rows[i] = { check.verdict, check.name, given(check.micros) and check.micros .. " µs" or "-",
            given(check.detail) or "" }
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
    return given(view.key_id) and "   key " .. view.key_id or ""
end

local function refused_lines(view, lines)
    local place, detail = place_of(view)
    lines[#lines + 1] = ("refused at check %d of %d: %s   %s/%s%s"):format(place, #view.checks,
        view.failed_check, view.channel, view.account, key_of(view))
    if detail then
        lines[#lines + 1] = "because: " .. detail
    end
end

local outcome = {
    applied = "it paid %s", late = "it paid %s, which was closed already",
    review = "%s waits for a person's decision", surplus = "a second success for %s",
    unknown_order = "no payment of this account has such an order",
}

local function outcome_of(view)
    if view.effect == "none" then
        return given(view.first) and "a repeat of " .. view.first .. "; nothing changed" or "nothing changed"
    end
    return (outcome[view.effect] or view.effect):format(given(view.payment) or "a payment")
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
        lines[1] = ("passed all %d checks   %s/%s%s"):format(count_passed(view), view.channel, view.account,
            key_of(view))
    end
    lines[#lines + 1] = "outcome: " .. outcome_of(view)
    lines[#lines + 1] = ("received %s from %s, answered %d %s"):format(view.received_at, view.source,
        view.answered.status, view.answered.body)
    if given(view.signed_text) then
        lines[#lines + 1] = "signed text, redacted: " .. view.signed_text
    else
        lines[#lines + 1] = "signed text: none could be built from these bytes"
    end
    lines[#lines + 1] = "raw bytes, sha-256: " .. view.raw_sha256
    local differs = given(view.differs)
    if differs then
        lines[#lines + 1] = ("it fits if field %s is %s (received %s)"):format(differs.field, differs.signed,
            differs.received)
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
            screen.hint("next: " .. next_step)
        end
    end
    return given(view.failed_check) and exits.no or exits.done
end

notifications.commands = {
    {
        name = "explain", usage = "ID", min = 1, max = 1, run = explain, asks = true,
        summary = "which check failed on which bytes; exits 1 when one failed",
        options = words.with_asking {},
    },
    {
        name = "show", usage = "ID", min = 1, max = 1, run = show, asks = true,
        summary = "one notification with every check", options = words.with_asking {},
    },
    {
        name = "list", usage = "", min = 0, max = 0, run = list, asks = true,
        summary = "newest first; with --json one object a line",
        options = listing.options {
            payment = { value = "ID", doc = "of one payment" },
            channel = { value = "NAME", doc = "such as alipay" },
            verdict = { value = "WORD", doc = "pass, refused or error" },
            effect = { value = "WORD", doc = "such as applied, none, review, unknown_order" },
        },
    },
}

return notifications
