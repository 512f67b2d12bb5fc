--- Proves the store against its own record: the rows of payments, attempts and refunds follow from the
--- events, each payment's chain holds, the evidence is as it was, every event is sealed once, and the seals
--- hold under the audit key. Reads only; what is wrong comes back as a list, nothing is repaired.
--- Memory does not grow with the store: payments are walked one by one, seals beside the events.
local chain = require "tael.kernel.chain"
local crypto = require "tael.crypto"
local fold = require "tael.kernel.fold"
local ids = require "tael.kernel.ids"
local proofs = require "tael.kernel.proofs"
local registry = require "tael.kernel.registry"
local seals = require "tael.kernel.seals"
local secrets = require "tael.kernel.secrets"
local store = require "tael.store"
local task = require "tael.task"

local rebuild = {}

local PAGE = 500

---@class tael.kernel.Difference
---@field kind "row"|"chain"|"evidence"|"missing"|"seal"
---@field merchant string slug
---@field object string public id, or "seal 7"
---@field detail string

local function must(rows, err)
    if not rows then
        error("store: " .. tostring(err and err.code), 0)
    end
    return rows
end

local function report(found, kind, merchant, object, detail)
    local known = registry.merchant(merchant)
    found[#found + 1] = { kind = kind, merchant = known and known.slug or "all", object = object,
        detail = detail }
end

local function each_row(statement, fn)
    local after = 0
    repeat
        local rows = must(store.query(statement, { after = after, n = PAGE }))
        for _, row in ipairs(rows) do
            task.set_scope(row.merchant)
            fn(row)
            after = row.id
        end
        task.set_scope(0)
    until #rows < PAGE
end

-- ---- one payment ----

--- The payment's events, oldest first, by the pointers from its row.
local function events_of(payment, found)
    local list, at = {}, payment.last_event
    while at do
        local row = must(store.query("event.get", { event = at }))[1]
        if not row then
            report(found, "missing", payment.merchant, ids.encode("evt", at),
                "the chain names it; it is not there")
            return nil
        end
        list[#list + 1] = row
        at = row.prev
        if at and at >= row.id then
            report(found, "chain", payment.merchant, ids.encode("evt", row.id),
                "the event before it is no older one")
            return nil
        end
    end
    for i = 1, #list // 2 do -- each put before all others would move them all, once for each
        list[i], list[#list + 1 - i] = list[#list + 1 - i], list[i]
    end
    return list
end

--- What an event is about, by its type and what it holds.
local function object_of(payment, event, data)
    local kind = event.type:match("^(%l+)%.")
    if kind == "payment" then
        return payment.id
    end
    return type(data[kind]) == "table" and data[kind].id or nil
end

local function check_link(payment, before, event, version, data, found)
    local name = ids.encode("evt", event.id)
    if event.payment ~= payment.id or event.version ~= version then
        report(found, "chain", payment.merchant, name, ("is not version %d of its payment"):format(version))
    elseif event.hash ~= chain.hash(before and before.hash, event) then
        report(found, "chain", payment.merchant, name, "its hash does not fit what it says")
    end
    if data and event.object ~= object_of(payment, event, data) then
        report(found, "chain", payment.merchant, name, "it names another object than its type says")
    end
end

--- What moved money is still there, and still says what the event says that it said.
local function check_evidence(payment, event, proof, found)
    local wrong = proof and proofs.wrong(proof)
    if wrong then
        report(found, "evidence", payment.merchant, ids.encode(proof.kind, proof.id)
            or ids.encode("evt", event.id), wrong)
    end
end

--- Checks each event and adds them up; nil where one cannot be read: nothing follows from the rest.
---@return tael.kernel.Folded?
local function fold_events(payment, events, found)
    local folded = fold.new()
    for i, event in ipairs(events) do
        local data, wrong = fold.read(event)
        check_link(payment, events[i - 1], event, i, data, found)
        if data then
            check_evidence(payment, event, data.evidence, found)
        else
            report(found, "chain", payment.merchant, ids.encode("evt", event.id), wrong)
        end
        folded = data and folded
        if folded then
            fold.add(folded, event, data)
        end
    end
    return folded
end

local function compare(prefix, wanted, row, found)
    local columns = fold.differences(wanted, row)
    if #columns > 0 then
        report(found, "row", row.merchant, ids.encode(prefix, row.id), table.concat(columns, ", "))
    end
end

--- What hangs on a payment: how it is read, and what it is called outside.
local children = {
    attempts = { statement = "attempt.get", name = "attempt", prefix = "att", page = "attempt.page" },
    refunds = { statement = "refund.get", name = "refund", prefix = "ref", page = "refund.page" },
}

local function check_children(payment, folded, which, found)
    local child, count = children[which], 0
    for id, wanted in pairs(folded[which]) do
        local row = must(store.query(child.statement, { [child.name] = id }))[1]
        if row then
            compare(child.prefix, wanted, row, found)
        else
            report(found, "missing", payment.merchant, ids.encode(child.prefix, id),
                "the events name it; it is not there")
        end
        count = count + 1
    end
    return count
end

--- The payment's sums are those of its refunds.
local function check_sums(payment, folded, found)
    local reserved, refunded = 0, 0
    for _, refund in pairs(folded.refunds) do
        local released = refund.state == "failed" or refund.state == "cancelled"
        local amount = math.type(refund.amount) == "integer" and refund.amount or 0
        reserved = reserved + (released and 0 or amount)
        refunded = refunded + (refund.state == "succeeded" and amount or 0)
    end
    if reserved ~= payment.refund_reserved or refunded ~= payment.refunded_amount then
        report(found, "row", payment.merchant, ids.encode("pay", payment.id),
            "its refunds sum up to something else")
    end
end

local function check_payment(payment, found, counts)
    local events = events_of(payment, found)
    counts.payments = counts.payments + 1
    if not events then
        return
    end
    counts.events = counts.events + #events
    local folded = fold_events(payment, events, found)
    if not folded then
        return
    end
    compare("pay", folded.payment, payment, found)
    check_sums(payment, folded, found)
    for which in pairs(children) do
        counts[which] = counts[which] + check_children(payment, folded, which, found)
    end
end

--- Rows that no payment's events have made.
local function check_strays(which, counts, found)
    local child, rows = children[which], 0
    each_row(child.page, function(row)
        rows = rows + 1
        if not must(store.query("payment.get", { payment = row.payment }))[1] then
            report(found, "missing", row.merchant, ids.encode("pay", row.payment),
                ("%s belongs to it; it is not there"):format(ids.encode(child.prefix, row.id)))
        end
    end)
    if rows ~= counts[which] then
        report(found, "row", 0, which, ("%d rows, %d follow from events"):format(rows, counts[which]))
    end
end

---@class tael.kernel.Compared
---@field payments integer
---@field attempts integer
---@field refunds integer
---@field events integer

--- Makes the rows of every payment, its attempts and its refunds again from the events and compares.
---@return tael.kernel.Difference[] differences
---@return tael.kernel.Compared counts
function rebuild.compare()
    local found, counts = {}, { payments = 0, attempts = 0, refunds = 0, events = 0 }
    local scope = task.scope()
    each_row("payment.page", function(payment)
        check_payment(payment, found, counts)
    end)
    check_strays("attempts", counts, found)
    check_strays("refunds", counts, found)
    task.set_scope(scope)
    return found, counts
end

-- ---- seals beside events ----

---@class tael.kernel.SealCursor
---@field number integer of the seal being read; 0: none yet
---@field seal table?
---@field ids integer[]
---@field at integer next of ids
---@field seen table[] events read for it
---@field mac string? of the seal before
---@field sealed_upto integer the sealer has passed all events up to this id
---@field cut boolean? an event below it was found that no seal holds

local function next_seal(cursor, found)
    local row = must(store.query("seal.by_number", { number = cursor.number + 1 }))[1]
    if not row then
        local last = must(store.query("seal.last"))[1]
        if last and last.number > cursor.number then
            report(found, "seal", cursor.merchant, "seal " .. cursor.number + 1, "it is not there")
            row = last
        end
    end
    if not row then
        return false
    end
    cursor.number, cursor.seal = row.number, row
    cursor.ids, cursor.at, cursor.seen = seals.decode(row.events), 1, {}
    return true
end

local function close_seal(cursor, key, found)
    local seal, name = cursor.seal, "seal " .. cursor.number
    if #cursor.ids ~= seal.count or seals.digest(cursor.seen) ~= seal.digest then
        report(found, "seal", cursor.merchant, name, "its digest does not fit its events")
    end
    if not crypto.equal(seals.mac(key, seal, cursor.mac), seal.mac) then
        report(found, "seal", cursor.merchant, name,
            "it was not made with the audit key, or the one before was changed")
    end
    cursor.mac, cursor.seal = seal.mac, nil
end

--- Walks on to the seal that should hold this event; nil id: to the end of all seals.
local function advance(cursor, event, key, found)
    while cursor.seal or next_seal(cursor, found) do
        local sealed = cursor.ids[cursor.at]
        if not sealed then
            close_seal(cursor, key, found)
        elseif event and sealed > event.id then
            report(found, "seal", cursor.merchant, ids.encode("evt", event.id),
                "no seal holds it, though later ones do")
            return
        else
            cursor.at = cursor.at + 1
            if event and sealed == event.id then
                cursor.seen[#cursor.seen + 1] = event
                return
            end
            report(found, "missing", cursor.merchant, ids.encode("evt", sealed),
                "it is sealed; it is not there")
        end
    end
    if event and event.id <= cursor.sealed_upto and not cursor.cut then
        cursor.cut = true
        report(found, "seal", cursor.merchant, ids.encode("evt", event.id),
            "no seal holds it or what follows, though the sealer has passed them")
    end
end

local function cursor_of(cursors, merchant, sealed_upto)
    if not cursors[merchant] then
        cursors[merchant] = { merchant = merchant, number = 0, ids = {}, at = 1, seen = {},
            sealed_upto = sealed_upto }
    end
    return cursors[merchant]
end

--- Up to which event the sealer says that it has passed all.
local function position(found)
    local upto, err = seals.position()
    if err and err.code == "damaged" then
        report(found, "seal", 0, "settings", err.message)
        return 0
    end
    return must(upto, err)
end

local function check_events(found)
    local key, cursors, count = secrets.get("audit"), {}, 0
    local sealed_upto = position(found) -- read first: what is sealed meanwhile is above it
    each_row("event.page", function(event)
        count = count + 1
        advance(cursor_of(cursors, event.merchant, sealed_upto), event, key, found)
        if event.payment and event.version == 1
            and not must(store.query("payment.get", { payment = event.payment }))[1] then
            report(found, "missing", event.merchant, ids.encode("pay", event.payment),
                "its events are there; the payment is not")
        end
    end)
    for _, merchant in ipairs(registry.merchants()) do
        task.set_scope(merchant.id)
        advance(cursor_of(cursors, merchant.id, sealed_upto), nil, key, found)
    end
    task.set_scope(0)
    return count
end

--- Chains, seals and rows. An operator's task (scope 0).
---@return tael.kernel.Difference[] differences
---@return tael.kernel.Compared counts
function rebuild.verify()
    local scope = task.scope()
    task.set_scope(0)
    local found = {}
    local events = check_events(found)
    local differences, counts = rebuild.compare()
    table.move(differences, 1, #differences, #found + 1, found)
    if events ~= counts.events then
        report(found, "chain", 0, "events", ("%d rows, %d belong to a payment's chain"):format(events,
            counts.events))
    end
    task.set_scope(scope)
    return found, counts
end

return rebuild
