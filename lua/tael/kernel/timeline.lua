--- The story of one payment, oldest first: its events, the calls to the channel, the channel's notifications,
--- its refunds. Facts as data, put together from what is stored; words are for whoever shows them.
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local registry = require "tael.kernel.registry"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"

local timeline = {}

local PAGE = 1000
local TURN = 32 -- entries of one turn: others wait for no more

local PAYMENT_FACTS = { "state", "reason", "late", "amount", "currency", "captured_amount", "refunded_amount",
    "closing" }
local ATTEMPT_FACTS = { "state", "product", "trade_no", "code" }
local REFUND_FACTS = { "state", "merchant_refund_id", "amount", "currency", "reason", "code", "decline_code",
    "channel_refund_no" }

---@class tael.kernel.Entry
---@field at integer ms
---@field rank integer order within one millisecond
---@field kind "event"|"refund"|"call"|"notification"|"repeat"
---@field id string?
---@field facts table

local function unavailable()
    return nil, { code = "store_unavailable", detail = "the store did not answer; ask again" }
end

--- After so many of them others go on first.
local function turn(count)
    if count % TURN == 0 then
        task.last()
    end
end

--- The named columns that are there; a column that became nothing is left out.
local function picked(columns, names)
    local out = {}
    for _, name in ipairs(names) do
        local value = columns[name]
        if value ~= json.null then
            out[name] = value
        end
    end
    return out
end

-- ---- events ----

local function evidence_of(data)
    local proof = data.evidence
    return proof and ids.encode(proof.kind, proof.id) or nil
end

local function attempt_facts(data)
    if not data.attempt then
        return nil
    end
    local facts = picked(data.attempt, ATTEMPT_FACTS)
    local account = data.attempt.account and registry.account(data.attempt.account)
    facts.id = ids.encode("att", data.attempt.id)
    facts.order_no = ids.order_number(data.attempt.id)
    facts.account, facts.channel = account and account.slug, account and account.channel
    return facts
end

local function refund_facts(data)
    if not data.refund then
        return nil
    end
    local facts = picked(data.refund, REFUND_FACTS)
    facts.id = ids.encode("ref", data.refund.id)
    return facts
end

--- What a person decided, and who had proposed the same before.
local function decision_facts(data)
    local decision = data.decision
    return type(decision) == "table" and { by = decision.by, note = decision.note, first = decision.first }
        or nil
end

--- What the merchant's rule said when the payment was made.
local function risk_facts(data)
    local decision = data.details and data.details.decision
    local risk = type(decision) == "table" and decision.risk
    return risk and { by = risk.by, risk = risk.risk, reason = risk.reason } or nil
end

--- Who chose the way of its first attempt.
local function routed_facts(data)
    local decision = data.attempt and data.details and data.details.decision
    return type(decision) == "table" and decision.by and { by = decision.by, reason = decision.reason } or nil
end

local function event_entry(row)
    local data = json.decode(row.data)
    local payment = data.payment and picked(data.payment, PAYMENT_FACTS)
    if payment and payment.late then
        payment.late = payment.late == 1
    end
    return {
        at = row.at, rank = row.type:find("%.created$") and 0 or 2,
        kind = data.refund and "refund" or "event", id = ids.encode("evt", row.id),
        facts = {
            type = row.type, actor = row.actor, version = row.version,
            payment = payment and next(payment) and payment or nil,
            attempt = attempt_facts(data), refund = refund_facts(data), evidence = evidence_of(data),
            decision = decision_facts(data), risk = risk_facts(data),
            routed = routed_facts(data),
            metadata = row.version > 1 and data.details ~= nil or nil,
            order = data.payment and data.payment.merchant_order_id,
        },
    }
end

--- Every event of the chain.
---@return table[]? rows newest first
local function chain_of(payment)
    local rows, at = {}, payment.last_event
    while at do
        local found = store.query("event.get", { event = at })
        if not found then
            return nil
        end
        rows[#rows + 1] = found[1]
        turn(#rows)
        at = found[1] and found[1].prev
    end
    return rows
end

-- ---- calls ----

local function call_entry(row, of)
    return {
        at = store.id_ms(row.id), rank = 1, kind = "call", id = ids.encode("cal", row.id),
        facts = {
            op = row.op, class = row.class, code = row.code, http_status = row.http_status, ms = row.ms,
            trace_no = row.trace_no, attempt = of.attempt and ids.encode("att", of.attempt),
            refund = of.refund and ids.encode("ref", of.refund),
        },
    }
end

local function add_calls(entries, object, of)
    local rows = store.query("call.of_object", { object = object })
    for _, row in ipairs(rows or {}) do
        entries[#entries + 1] = call_entry(row, of)
    end
    return rows ~= nil
end

local function add_attempts(entries, payment)
    local at = payment.attempt
    while at do
        local rows = store.query("attempt.get", { attempt = at })
        if not rows or not rows[1] or not add_calls(entries, at, { attempt = at }) then
            return false
        end
        at = rows[1].prev
    end
    return true
end

local function add_refunds(entries, payment)
    local after = 0
    repeat
        local rows = store.query("refund.of_payment", { payment = payment.id, after = after, n = PAGE })
        if not rows then
            return false
        end
        for i, row in ipairs(rows) do
            turn(i)
            if not add_calls(entries, row.id, { refund = row.id }) then
                return false
            end
            after = row.id
        end
    until #rows < PAGE
    return true
end

-- ---- notifications ----

local function notification_entry(row)
    local account = registry.account(row.account)
    return {
        at = row.at, rank = 1, kind = "notification", id = ids.encode("ntf", row.id),
        facts = {
            channel = account.channel, account = account.slug, verdict = row.verdict, effect = row.effect,
            failed_check = row.failed_check, source = row.source,
        },
    }
end

--- The same bytes once more, and once more: one entry, where it began. Rows come newest first.
---@return tael.kernel.Entry? entry one that is new
local function add_repeat(repeats, row)
    local entry = repeats[row.first]
    local is_new = not entry
    if is_new then
        entry = { rank = 3, kind = "repeat",
            facts = { first = ids.encode("ntf", row.first), count = 0, last_at = time.rfc3339(row.at) } }
        repeats[row.first] = entry
    end
    entry.at, entry.id = row.at, ids.encode("ntf", row.id)
    entry.facts.count = entry.facts.count + 1
    return is_new and entry or nil
end

--- All that changed anything, and all repeats in their number; of others that changed nothing the newest
--- thousand: a channel that sends more says nothing new.
---@return tael.kernel.Entry[]? newest first
local function notifications_of(payment)
    local list, repeats, idle, before = {}, {}, 0, math.maxinteger
    repeat
        local rows = store.query("notification.list_payment", { payment = payment.id, before = before,
            since = 0, n = PAGE })
        if not rows then
            return nil
        end
        for i, row in ipairs(rows) do
            turn(i)
            before = row.id
            if row.first then
                list[#list + 1] = add_repeat(repeats, row)
            elseif row.effect ~= "none" or idle < PAGE then
                idle = idle + (row.effect == "none" and 1 or 0)
                list[#list + 1] = notification_entry(row)
            end
        end
    until #rows < PAGE
    return list
end

local function add_notifications(entries, payment)
    local list = notifications_of(payment)
    for i = #(list or {}), 1, -1 do
        entries[#entries + 1] = list[i]
    end
    return list ~= nil
end

-- ---- all of it ----

local function sorted(entries)
    local order = {}
    for i, entry in ipairs(entries) do
        order[entry] = i
    end
    table.sort(entries, function(a, b)
        if a.at ~= b.at then
            return a.at < b.at
        elseif a.rank ~= b.rank then
            return a.rank < b.rank
        end
        return order[a] < order[b]
    end)
    return entries
end

local function view_of(payment, entries)
    local list = json.array {}
    for i, entry in ipairs(sorted(entries)) do
        turn(i)
        list[i] = { at = time.rfc3339(entry.at), kind = entry.kind, id = entry.id or json.null,
            facts = entry.facts }
    end
    return { object = "timeline", payment = ids.encode("pay", payment.id), entries = list }
end

---@param id_text string "pay_…"
---@return table? view
---@return table? err
function timeline.of(id_text)
    local id = ids.decode("pay", id_text)
    local rows = store.query("payment.get", { payment = id or 0 })
    if not rows then
        return unavailable()
    elseif not rows[1] then
        return nil, { code = "not_found", detail = "there is no such payment" }
    end
    local payment, entries = rows[1], {}
    local chain = chain_of(payment)
    if not chain then
        return unavailable()
    end
    for i = #chain, 1, -1 do
        turn(i)
        entries[#entries + 1] = event_entry(chain[i])
    end
    if add_attempts(entries, payment) and add_refunds(entries, payment)
        and add_notifications(entries, payment) then
        return view_of(payment, entries)
    end
    return unavailable()
end

return timeline
