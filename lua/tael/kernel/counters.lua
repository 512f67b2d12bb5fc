--- What merchants' rules know of the past: counters of a merchant, an address, a payer and a device in
--- windows of an hour to thirty days, and what a day's limits have left.
--- 1 A counter moves in the unit of what it counts, behind a statement that only one unit passes: neither
--- a crash nor a repeat loses or doubles it. 2 Only what the merchant's source names is written and read.
--- What a payment is counted in is fixed when it is made and stands in its row, so that its later moves need
--- no script. 3 Time is that of ids, which never goes back, however the clock does, and is one for all
--- workers. 4 A window is the last twelve pieces of time, the present one included: what is older than the
--- window never counts, what is younger than eleven twelfths of it always does. 5 What identifies a person is
--- kept as a keyed hash. 6 A day's limit counts payments that were made on the merchant's day and have not
--- ended unpaid; the guard of counter.take decides, not what was read before.
local counters_of = require "tael.scripts.inside.counters"
local crypto = require "tael.crypto"
local json = require "tael.json"
local secrets = require "tael.kernel.secrets"
local source = require "tael.kernel.source"
local store = require "tael.store"

local counters = {}

local DAY_MS = 86400000
local PIECES = 12

---@type table<string, integer> ms of one piece, by window
counters.SPANS = { ["1h"] = 300000, ["1d"] = 7200000, ["7d"] = 50400000, ["30d"] = 216000000,
    today = DAY_MS }

--- How long a row may be asked for, by the length of its piece.
---@type { name: string, span: integer, keep: integer }[]
counters.KEPT = { { name = "today", span = DAY_MS, keep = 3 * DAY_MS } }
for _, window in ipairs(counters_of.WINDOWS) do
    local span = counters.SPANS[window]
    counters.KEPT[#counters.KEPT + 1] = { name = window, span = span, keep = (PIECES + 1) * span }
end

-- ---- who is counted ----

local function keyed(what, merchant, ...)
    local told = ("zzi8" .. ("s2"):rep(select("#", ...))):pack("tael.counters.1", what, merchant, ...)
    return crypto.hmac("sha256", secrets.get("pepper"), told):sub(1, 16)
end

local function given(payer, name)
    local value = payer[name]
    return value ~= json.null and value or nil
end

local PAYER_IDS = { "buyer_id", "buyer_open_id", "openid", "id_number" }

local function payer_hash(merchant, payer)
    for _, kind in ipairs(PAYER_IDS) do
        local value = given(payer, kind)
        if value then
            return keyed("payer", merchant, kind, value)
        end
    end
end

--- A payer as rules see one: the same for the same id, of no use elsewhere.
---@param merchant integer
---@param payer table of the request
---@return string? key nil: the request says no id
function counters.payer_key(merchant, payer)
    local hash = payer_hash(merchant, payer)
    return hash and crypto.hex.encode(hash)
end

---@type table<string, fun(merchant: integer, payer: table): string?>
local subject_of = {
    merchant = function() return "m" end,
    ip = function(merchant, payer)
        local ip = given(payer, "client_ip")
        return ip and "i" .. keyed("ip", merchant, source.group(ip))
    end,
    payer = function(merchant, payer)
        local hash = payer_hash(merchant, payer)
        return hash and "p" .. hash
    end,
    device = function(merchant, payer) -- many have the same browser, few of them behind one address
        local ip, agent = given(payer, "client_ip"), given(payer, "user_agent")
        return ip and agent and "d" .. keyed("device", merchant, source.group(ip), agent)
    end,
}

local function day_subject(kind, number)
    return (">c1i8"):pack(kind, number)
end

-- ---- which counters ----

local BIT = {} ---@type table<string, table<string, integer>> by metric and window
for i, metric in ipairs(counters_of.METRICS) do
    BIT[metric] = {}
    for k, window in ipairs(counters_of.WINDOWS) do
        BIT[metric][window] = 1 << ((i - 1) * #counters_of.WINDOWS + k - 1)
    end
end

---@class tael.kernel.Masks what a source names, for asking and for adding
---@field of table<string, integer> bits by subject
---@field today boolean

local masks = setmetatable({}, { __mode = "k" }) ---@type table<tael.scripts.Counting, tael.kernel.Masks>

local function masks_of(counting)
    local known = masks[counting]
    if not known then
        known = { of = {}, today = false }
        for _, name in ipairs(counting.names) do
            local counter = counters_of.known[name]
            if counter.window == "today" then
                known.today = true
            else
                known.of[counter.subject] = (known.of[counter.subject] or 0)
                    | BIT[counter.metric][counter.window]
            end
        end
        masks[counting] = known
    end
    return known
end

---@class tael.kernel.Counted what one payment is counted in
---@field today boolean
---@field day integer? number of the day of whose limits it takes a place
---@field count boolean? the day's number of payments counts
---@field total boolean? the day's amount counts
---@field entries { name: string?, subject: string, mask: integer }[] name: of a new one

--- What a new payment is to be counted in; nil: nothing.
---@param counting tael.scripts.Counting?
---@param merchant table of the registry
---@param payer table? of the request
---@return tael.kernel.Counted?
function counters.of_new(counting, merchant, payer)
    if not counting then
        return nil
    end
    local known = masks_of(counting)
    local counted = { today = known.today, count = counting.day_count, total = counting.day_amount,
        entries = {} }
    for _, name in ipairs(counters_of.SUBJECTS) do
        local subject = known.of[name] and subject_of[name](merchant.id, payer or {})
        if subject then
            counted.entries[#counted.entries + 1] = { name = name, subject = subject, mask = known.of[name] }
        end
    end
    return counted
end

--- One that takes a place of a day's limits and is counted nowhere else.
---@return tael.kernel.Counted
function counters.uncounted()
    return { today = false, entries = {} }
end

local TODAY, COUNT, TOTAL = 1, 2, 4

--- As the payment's row keeps it.
local function pack(counted)
    local flags = (counted.today and TODAY or 0) | (counted.count and COUNT or 0)
        | (counted.total and TOTAL or 0)
    local parts = { (">Bi8"):pack(flags, counted.day or 0) }
    for _, entry in ipairs(counted.entries) do
        parts[#parts + 1] = (">I4s1"):pack(entry.mask, entry.subject)
    end
    return table.concat(parts)
end

local function unpack(packed)
    local flags, day, at = (">Bi8"):unpack(packed)
    local counted = { today = flags & TODAY ~= 0, count = flags & COUNT ~= 0, total = flags & TOTAL ~= 0,
        entries = {} }
    counted.day = (counted.count or counted.total) and day or nil
    while at <= #packed do
        local entry = {}
        entry.mask, entry.subject, at = (">I4s1"):unpack(packed, at)
        counted.entries[#counted.entries + 1] = entry
    end
    return counted
end

-- ---- asked ----

---@class tael.kernel.Past
---@field history table<string, integer> the counters that are named
---@field taken { attempts: integer, amount: integer } what the day's limits have taken

local NOTHING = { attempts = 0, amount = 0 }

--- What a rule sees, from the read's rows.
local function past_of(counting, rows)
    local sums, history = {}, {}
    for _, row in ipairs(rows) do
        sums[row.subject] = sums[row.subject] or {}
        sums[row.subject][row.span] = row
    end
    for _, name in ipairs(counting.names) do
        local counter = counters_of.known[name]
        local rows_of = sums[counter.window == "today" and "today" or counter.subject]
        local row = rows_of and rows_of[counters.SPANS[counter.window]]
        history[name] = row and row[counter.metric] or 0
    end
    return { history = history, taken = sums.day and sums.day[DAY_MS] or NOTHING }
end

--- What there is to know before the rules are asked: one read, none when nothing is named.
---@param counting tael.scripts.Counting
---@param counted tael.kernel.Counted
---@param currency string
---@param now integer ms, of an id
---@param day tael.kernel.Day
---@return tael.kernel.Past?
---@return table? err of the store
function counters.read(counting, counted, currency, now, day)
    local params = { now = now, currency = currency,
        today = counted.today and day_subject("t", day.number) or nil,
        day = (counted.count or counted.total) and day_subject("l", day.number) or nil }
    for _, entry in ipairs(counted.entries) do
        params[entry.name == "merchant" and "whole" or entry.name] = entry.subject
    end
    if not params.today and not params.day and #counted.entries == 0 then
        return past_of(counting, {})
    end
    local rows, err = store.query("counter.read", params)
    if not rows then
        return nil, err
    end
    return past_of(counting, rows)
end

--- What the day's limits have taken, where a rule gave one that its source does not name.
---@param currency string
---@param now integer ms, of an id
---@param day tael.kernel.Day
---@return { attempts: integer, amount: integer }?
---@return table? err of the store
function counters.taken(currency, now, day)
    local rows, err = store.query("counter.read", { now = now, currency = currency,
        day = day_subject("l", day.number) })
    return rows and past_of({ names = {} }, rows).taken, err
end

-- ---- added ----

--- What an occurrence adds, and the counters for whose sake it does.
local OCCURRENCES = {
    attempt = { attempts = 1, metrics = { "attempts" } },
    paid = { paid = 1, metrics = { "paid", "amount" } },
    failed = { failed = 1, metrics = { "failed" } },
    refund = { refunds = 1, metrics = { "refunds" } },
}
for _, occurrence in pairs(OCCURRENCES) do
    occurrence.bits = {}
    for _, window in ipairs(counters_of.WINDOWS) do
        local bits = 0
        for _, metric in ipairs(occurrence.metrics) do
            bits = bits | BIT[metric][window]
        end
        occurrence.bits[window] = bits
    end
end

local function add(list, row, occurrence, money)
    list[#list + 1] = { "counter.add", { id = row.id, subject = row.subject, span = row.span,
        bucket = row.bucket, currency = money.currency, attempts = occurrence.attempts or 0,
        paid = occurrence.paid or 0, failed = occurrence.failed or 0, refunds = occurrence.refunds or 0,
        amount = occurrence.paid and money.amount or 0 } }
end

local function add_all(list, counted, name, money)
    local occurrence = OCCURRENCES[name]
    for _, entry in ipairs(counted.entries) do
        for _, window in ipairs(counters_of.WINDOWS) do
            if entry.mask & occurrence.bits[window] ~= 0 then
                local id, span = store.next_id(), counters.SPANS[window]
                add(list, { id = id, subject = entry.subject, span = span,
                    bucket = store.id_ms(id) // span * span }, occurrence, money)
            end
        end
    end
end

--- One more attempt of a merchant whose rules want to know the day's.
local function add_today(list, day, money)
    add(list, { id = store.next_id(), subject = day_subject("t", day), span = DAY_MS, bucket = day * DAY_MS },
        OCCURRENCES.attempt, money)
end

-- ---- the limits of a day ----

--- Of one row that the day's limits have: its number of payments, or its amount of one currency.
local function day_row(day, currency, attempts, amount)
    return { id = store.next_id(), subject = day_subject("l", day), span = DAY_MS, bucket = day * DAY_MS,
        currency = currency, attempts = attempts, amount = amount }
end

local function each_day_row(counted, money, fn)
    if counted.count then
        fn(day_row(counted.day, "", 1, 0), "max_day_count")
    end
    if counted.total then
        fn(day_row(counted.day, money.currency, 0, money.amount), "max_day_amount")
    end
end

local function take(list, counted, money, limits)
    each_day_row(counted, money, function(row, limit)
        if limits[limit] then
            row.most = limits.max_day_count or math.maxinteger
            row.most_amount = limits.max_day_amount or math.maxinteger
            list[#list + 1] = { "counter.take", row }
        else
            row.paid, row.failed, row.refunds = 0, 0, 0
            list[#list + 1] = { "counter.add", row }
        end
    end)
end

local function give(list, counted, money)
    each_day_row(counted, money, function(row)
        row.id = nil
        list[#list + 1] = { "counter.give", row }
    end)
end

-- ---- what happens to a payment ----

---@class tael.kernel.Money
---@field amount integer
---@field currency string

--- A payment is made: what is added to its unit, and what its row keeps. The limits decide in the unit: a
--- guard that fails says day_limit.
---@param counted tael.kernel.Counted
---@param money tael.kernel.Money
---@param day tael.kernel.Day
---@param limits { max_day_count: integer?, max_day_amount: integer? }
---@return table[] statements
---@return string packed
function counters.created(counted, money, day, limits)
    local list = {}
    counted.count = counted.count or limits.max_day_count ~= nil
    counted.total = counted.total or limits.max_day_amount ~= nil
    counted.day = (counted.count or counted.total) and day.number or nil
    take(list, counted, money, limits)
    if counted.today then
        add_today(list, day.number, money)
    end
    add_all(list, counted, "attempt", money)
    return list, pack(counted)
end

--- The payer tries another way.
---@param payment table row before it
---@param day fun(): tael.kernel.Day the merchant's, now
---@return table[] statements
function counters.tried_again(payment, day)
    local list = {}
    if payment.counted then
        local counted = unpack(payment.counted)
        if counted.today then
            add_today(list, day().number, payment)
        end
        add_all(list, counted, "attempt", payment)
    end
    return list
end

--- While one of these, nothing was paid and the day's limits have their place back.
local UNPAID = { closed = true, failed = true }

---@class tael.kernel.CountedMove
---@field to string? the payment's next state
---@field attempt_to string? the attempt's
---@field amount integer? what was paid, where it is not what was asked for

--- A payment or its attempt moves.
---@param payment table row before it
---@param move tael.kernel.CountedMove
---@return table[] statements
function counters.moved(payment, move)
    local list = {}
    if not payment.counted then
        return list
    end
    local counted, to = unpack(payment.counted), move.to
    if counted.day and to and UNPAID[to] and not UNPAID[payment.state] then
        give(list, counted, payment)
    elseif counted.day and to and UNPAID[payment.state] and not UNPAID[to] then
        take(list, counted, payment, {})
    end
    if to == "paid" and payment.state ~= "paid" then
        add_all(list, counted, "paid", { amount = move.amount or payment.amount,
            currency = payment.currency })
    end
    if move.attempt_to == "declined" then
        add_all(list, counted, "failed", payment)
    end
    return list
end

--- Money has gone back.
---@param payment table row before it
---@return table[] statements
function counters.refunded(payment)
    local list = {}
    if payment.counted then
        add_all(list, unpack(payment.counted), "refund", payment)
    end
    return list
end

return counters
