--- A payment's timeline as lines. What proves a move stands with the move: a call or a notification says to
--- which state it led. A call follows its attempt on the same line, repeats their notification: the same
--- bytes again, or the same text but for its times.
local money = require "tael.kernel.money"
local objects = require "tael.cli.objects"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of

local story = {}

local WORD_WIDTH = 9

local function amount(facts)
    return money.format(facts.amount, facts.currency, { symbol = true })
end

--- "12:01:07.102 created   CNY 12.34"
local function line(at, word, rest)
    return ("%s %s %s"):format(objects.clock(at), screen.pad(text("story." .. word), WORD_WIDTH),
        (rest:gsub("\n", "\\n")))
end

local function present(...)
    local list = {}
    for i = 1, select("#", ...) do
        local part = select(i, ...)
        list[#list + 1] = part and part ~= "" and part or nil
    end
    return list
end

--- What is there, with two blanks between.
local function joined(...)
    return table.concat(present(...), "  ")
end

--- What is there, with one.
local function sentence(...)
    return table.concat(present(...), " ")
end

--- "→ paid": the state that an event led to; of the attempt, when the payment's own stayed.
local function arrow(facts)
    local payment = facts and facts.payment or {}
    local other = facts and (facts.refund or facts.attempt) or {}
    local state = payment.state or other.state
    if not state then
        return nil
    end
    local reason = payment.state and payment.reason and " (" .. payment.reason .. ")" or ""
    return "→ " .. screen.state(state, state .. reason .. (payment.late and " late" or ""))
end

--- Who decided it, where a person did.
local function decided(facts)
    local decision = facts and facts.decision
    return decision and text("story.decided", { by = decision.by or "-", note = decision.note or "-" })
end

-- ---- one function for each kind of entry: the lines of it ----

local function created(entry)
    local facts = entry.facts
    local lines = { line(entry.at, "created", joined(
        amount(facts.payment), facts.order and text("story.order", { order = facts.order }), facts.actor)) }
    local attempt, risk = facts.attempt, facts.risk
    if risk and (risk.risk ~= "allow" or risk.reason) then
        lines[2] = line(entry.at, "rule", joined("→ " .. screen.state(risk.risk),
            risk.by == "default" and text "story.rule_failed" or risk.reason))
    end
    if attempt then
        lines[#lines + 1] = line(entry.at, "attempt", joined(
            ("%s/%s %s"):format(attempt.channel, attempt.account, attempt.product),
            facts.routed and facts.routed.by ~= "default" and "(" .. objects.decision(facts.routed) .. ")",
            "→ " .. screen.state(attempt.state)))
    end
    return lines
end

--- What an event without a proof of its own says, beside its state.
local function about_event(facts)
    local payment, attempt = facts.payment or {}, facts.attempt or {}
    return joined(
        (facts.type:gsub("^%l+%.", "")),
        payment.closing and text("story.closing", { reason = payment.closing }),
        attempt.channel and attempt.product and ("%s/%s %s"):format(attempt.channel, attempt.account,
            attempt.product),
        decided(facts), facts.metadata and text "story.metadata", facts.actor, arrow(facts))
end

local function event(entry)
    if entry.facts.type == "payment.created" then
        return created(entry)
    end
    return { line(entry.at, "event", about_event(entry.facts)) }
end

local function refund(entry)
    local facts = entry.facts
    local known = facts.refund or {}
    return { line(entry.at, "refund", joined(
        known.id, known.amount and known.currency and amount(known), known.merchant_refund_id,
        known.decline_code, facts.actor, known.state and "→ " .. screen.state(known.state))) }
end

--- "create 10000 OK 207 ms → waiting_payer"
local function call(entry, moved)
    local facts = entry.facts
    return { line(entry.at, "call", sentence(facts.op, facts.code, facts.class and facts.class:upper(),
        facts.ms and facts.ms .. " ms", decided(moved), arrow(moved))) }
end

local function verdict(entry, view)
    local facts = entry.facts
    if facts.failed_check then
        return text("story.refused", { check = facts.failed_check })
    end
    local passed = 0
    for _, check in ipairs(view and view.checks or {}) do
        passed = passed + (check.verdict == "pass" and 1 or 0)
    end
    local key = view and objects.given(view.key_id)
    return key and text("story.checks", { count = passed, key = key }) or facts.verdict
end

local function notification(entry, moved, view)
    return { line(entry.at, "notify", sentence(entry.id, verdict(entry, view), decided(moved),
        arrow(moved) or text("story.effect", { effect = entry.facts.effect }))) }
end

local function repeats(entry)
    return { ("%s %s"):format(objects.clock(entry.at), text("story.repeat", { count = entry.facts.count })) }
end

--- What a notification says, without the moment at which it was sent.
local function said(view)
    local signed = view and objects.given(view.signed_text)
    return signed and signed:gsub("%d%d%d%d%-%d%d%-%d%d[ T+]%d%d:%d%d:%d%d", "")
end

--- In the same order, but no repeat before what it repeats: of two at once the later one may be the first.
local function firsts_first(entries)
    local list, awaited, waiting = {}, {}, {}
    for _, entry in ipairs(entries) do
        awaited[entry.id] = entry.kind == "notification" or nil
    end
    local function put(entry)
        list[#list + 1] = entry
        awaited[entry.id] = nil
        for _, other in ipairs(waiting[entry.id] or {}) do
            put(other)
        end
    end
    for _, entry in ipairs(entries) do
        local first = entry.kind == "repeat" and entry.facts.first
        if first and awaited[first] then
            waiting[first] = waiting[first] or {}
            table.insert(waiting[first], entry)
        else
            put(entry)
        end
    end
    return list
end

--- Notifications that changed nothing because another has said the same become repeats of that one.
local function with_repeats(entries, views)
    local list, first_of, repeated = {}, {}, {}
    for _, entry in ipairs(firsts_first(entries)) do
        local told = entry.kind == "notification" and not entry.facts.failed_check and said(views[entry.id])
        local first = told and entry.facts.effect == "none" and first_of[told]
        local known = first and repeated[first] or entry.kind == "repeat" and repeated[entry.facts.first]
        if known then
            known.facts.count = known.facts.count + (entry.facts.count or 1)
            repeated[entry.id] = known
        elseif first then
            repeated[first] = { at = entry.at, kind = "repeat", id = entry.id,
                facts = { first = first, count = 1 } }
            repeated[entry.id] = repeated[first]
            list[#list + 1] = repeated[first]
        else
            list[#list + 1] = entry
            repeated[entry.facts.first or 0] = entry
        end
        first_of[told or 0] = first_of[told or 0] or entry.id
    end
    return list
end

local LINES_OF = {
    event = event, refund = refund, call = call, notification = notification, ["repeat"] = repeats,
}

-- ---- all of it ----

--- Events by what proves them: they are told by their proof.
local function proofs_of(entries)
    local by_proof, ids = {}, {}
    for _, entry in ipairs(entries) do
        ids[entry.id] = true
    end
    for _, entry in ipairs(entries) do
        local proof = entry.facts.evidence
        if proof and ids[proof] then
            by_proof[proof] = by_proof[proof] or entry.facts
        end
    end
    return by_proof
end

--- The place of the line that an entry follows on; nil: it has a line of its own.
local function follows(entry, places)
    if entry.kind == "repeat" then
        return places[entry.facts.first]
    elseif entry.kind == "call" and entry.facts.op == "create" then
        return places[entry.facts.attempt]
    end
end

--- The lines of an entry; none when it is told by what proves it.
local function lines_of(entry, by_proof, views)
    local evidence = entry.facts.evidence
    if evidence and by_proof[evidence] == entry.facts then
        return {}
    end
    return LINES_OF[entry.kind](entry, by_proof[entry.id], views[entry.id])
end

---@param entries table[] of GET /v1/payments/{id}/timeline
---@param views table<string, table> notifications by id
---@return string[]
function story.lines(entries, views)
    local lines, places, day = {}, {}, nil
    local by_proof = proofs_of(entries)
    entries = with_repeats(entries, views)
    for _, entry in ipairs(entries) do
        local date = entry.at:sub(1, 10)
        if day and day ~= date then
            lines[#lines + 1] = date
            places = {}
        end
        day = date
        local place = follows(entry, places)
        for _, made in ipairs(lines_of(entry, by_proof, views)) do
            if place then
                lines[place] = ("%s     %s"):format(lines[place], (made:gsub("^(%S+ %S+) +", "%1 ")))
            else
                lines[#lines + 1] = made
            end
        end
        places[entry.id] = places[entry.id] or #lines
        local attempt = entry.facts.attempt
        if type(attempt) == "table" then
            places[attempt.id] = places[attempt.id] or #lines
        end
    end
    return lines
end

return story
