-- Counters in a real SQLite: where windows and days end, what a move adds, and what upkeep leaves.
require "tests.spec.kernel_support"
local crypto = require "tael.crypto"
local kernel_store = require "tests.spec.kernel_store"

package.loaded["tael.kernel.secrets"] = { get = function() return ("p"):rep(32) end }

local store, time = require "tael.store", require "tael.time"
local registry = require "tael.kernel.registry"
local counters = require "tael.kernel.counters"
local merchant_day = require "tael.kernel.merchant_day"
local retention = require "tael.kernel.retention"

local MINUTE, HOUR, DAY = 60000, 3600000, 86400000
local EPOCH_MS = 1577836800000
local START = 1764374400000 -- 2025-11-29T00:00:00Z
local MERCHANT = { id = 3, slug = "acme", zone = "+08:00" }
local PAYER = { client_ip = "203.0.113.9", user_agent = "B", buyer_id = "2088000011112222" }
local MONEY = { amount = 500, currency = "CNY" }

local now, last_id, db

before_each(function()
    now, last_id = START, 0
    db = kernel_store.new(3, function() return now end)
    store.next_id = function() -- as C makes them: they never go back
        last_id = math.max(last_id + 1, now - EPOCH_MS << 22)
        return last_id
    end
    store.query = function(name, params) return db:query(name, params) end
    store.commit = function(list) return db:commit(list) end
    time.now, time.monotonic, time.advanced = function() return now end, function() return now end,
        function() return 0 end
    time.sleep = function() end
    registry.config = { notifications = { retention = DAY }, idempotency = { retention = DAY } }
end)
after_each(function() db:remove() end)

local function counting(names, limits)
    local set = {}
    for name in names:gmatch "%S+" do
        set[#set + 1] = name
    end
    return { names = set, day_count = limits == "count" or limits == "both", day_amount = limits == "both" }
end

local function today(zone)
    return merchant_day.of(store.id_ms(store.next_id()), zone or "+08:00")
end

--- One payment is made; the row that it would have.
local function create(wanted, about)
    about = about or {}
    local merchant = about.merchant or MERCHANT
    local counted = counters.of_new(wanted, merchant, about.payer or PAYER)
    local list, packed = counters.created(counted, about.money or MONEY, today(merchant.zone),
        about.limits or {})
    local done, err = store.commit(list)
    local money = about.money or MONEY
    return done and { state = "pending", counted = packed, amount = money.amount, currency = money.currency,
        merchant = 3 }, err
end

local function read(wanted, about)
    about = about or {}
    local merchant = about.merchant or MERCHANT
    local at = store.id_ms(store.next_id())
    local past = assert(counters.read(wanted, counters.of_new(wanted, merchant, about.payer or PAYER),
        about.currency or "CNY", at, merchant_day.of(at, merchant.zone)))
    return past.history, past.taken
end

local function rows()
    return tonumber(db:run("SELECT COUNT(*) FROM counters;")[2])
end

describe("a window", function()
    local ends = { ["1h"] = HOUR, ["1d"] = DAY, ["7d"] = 7 * DAY, ["30d"] = 30 * DAY }
    for window, length in pairs(ends) do
        local name = "ip_attempts_" .. window
        it(name .. " is exact within a twelfth", function()
            local wanted, piece = counting(name), length // 12
            now = (START // piece) * piece + piece - 1 -- the last moment of a piece
            create(wanted)
            now = now + 1 + length - piece - 1
            assert.equal(1, read(wanted)[name], "the last moment of the twelfth piece")
            now = now + 1
            assert.equal(0, read(wanted)[name], "eleven twelfths later")
            now = now + piece
            now = (now // piece) * piece -- the first moment of a piece
            create(wanted)
            now = now + length - 1
            assert.equal(1, read(wanted)[name])
            now = now + 1
            assert.equal(0, read(wanted)[name], "what is older than the window never counts")
        end)
    end

    it("sums what is in different pieces, and each subject for itself", function()
        local wanted = counting "ip_attempts_1h merchant_attempts_1h payer_attempts_1d"
        for i = 0, 10 do
            now = START + i * 5 * MINUTE
            create(wanted, { payer = { client_ip = i % 2 == 0 and "203.0.113.9" or "203.0.113.10",
                buyer_id = "2088000011112222" } })
        end
        assert.are.same({ ip_attempts_1h = 6, merchant_attempts_1h = 11, payer_attempts_1d = 11 },
            read(wanted))
        assert.are.same({ ip_attempts_1h = 0, merchant_attempts_1h = 11, payer_attempts_1d = 0 },
            read(wanted, { payer = {} }))
    end)

    it("does not begin anew when the clock goes back, nor ends", function()
        local wanted = counting "ip_attempts_1h attempts_today"
        create(wanted)
        now = now - 20 * DAY
        create(wanted)
        assert.are.same({ ip_attempts_1h = 2, attempts_today = 2 }, read(wanted))
        now = START + 2 * HOUR
        assert.are.same({ ip_attempts_1h = 0, attempts_today = 2 }, read(wanted))
    end)

    it("counts what a node with a clock ahead has written, as far as one window", function()
        local wanted = counting "ip_attempts_1h"
        now = START + 30 * MINUTE
        create(wanted)
        now, last_id = START, 0
        assert.equal(1, read(wanted).ip_attempts_1h)
        now, last_id = START + 3 * HOUR, 0
        create(wanted)
        now, last_id = START, 0
        assert.equal(1, read(wanted).ip_attempts_1h)
    end)
end)

describe("a day", function()
    for _, zone in ipairs { "+08:00", "+00:00", "-05:30", "+14:00" } do
        it("ends at midnight in " .. zone, function()
            local merchant = { id = 3, zone = zone }
            local wanted = counting("attempts_today", "count")
            local about = { merchant = merchant, limits = { max_day_count = 2 } }
            now = merchant_day.of(START, zone).ends - 1
            assert.is_table(create(wanted, about))
            assert.is_table(create(wanted, about))
            local _, err = create(wanted, about)
            assert.are.same({ "guard", "day_limit" }, { err.code, err.otherwise })
            local history, taken = read(wanted, about)
            assert.are.same({ 2, 2 }, { history.attempts_today, taken.attempts })
            now = now + 1
            history, taken = read(wanted, about)
            assert.are.same({ 0, 0 }, { history.attempts_today, taken.attempts })
            assert.is_table(create(wanted, about))
        end)
    end

    it("is that of the zone's clock", function()
        local day = merchant_day.of(START, "+08:00") -- 08:00 there
        assert.are.same({ START - 8 * HOUR, START + 16 * HOUR }, { day.starts, day.ends })
        assert.equal(day.number, merchant_day.of(day.starts, "+08:00").number)
        assert.equal(day.number - 1, merchant_day.of(day.starts - 1, "+08:00").number)
    end)

    it("has an amount in each currency, and all payments in its number", function()
        local wanted = counting("", "both")
        local about = { limits = { max_day_count = 3, max_day_amount = 1000 } }
        assert.is_table(create(wanted, about))
        about.money = { amount = 501, currency = "CNY" }
        assert.equal("day_limit", select(2, create(wanted, about)).otherwise)
        about.money = { amount = 1000, currency = "USD" }
        assert.is_table(create(wanted, about))
        about.money = { amount = 500, currency = "CNY" }
        assert.is_table(create(wanted, about))
        local _, taken = read(wanted)
        assert.are.same({ 3, 1000 }, { taken.attempts, taken.amount })
        about.money = { amount = 1, currency = "EUR" }
        assert.equal("day_limit", select(2, create(wanted, about)).otherwise, "the fourth")
    end)

    it("counts what has no limit of its own", function()
        local wanted = counting("", "both")
        create(wanted)
        create(wanted)
        assert.equal("day_limit", select(2, create(wanted, { limits = { max_day_count = 2 } })).otherwise)
        assert.is_table(create(wanted, { limits = { max_day_count = 3 } }))
    end)

    it("holds for a limit whose name is put together", function()
        local limits = { max_day_count = 1 }
        local function made()
            return store.commit((counters.created(counters.uncounted(), MONEY, today(), limits)))
        end
        assert.is_table(made())
        assert.equal("day_limit", select(2, made()).otherwise)
    end)
end)

describe("a place of a day", function()
    local wanted = counting("", "both")
    local function taken()
        local _, day = read(wanted)
        return { day.attempts, day.amount }
    end
    local function move(payment, to)
        assert(store.commit(counters.moved(payment, { to = to })))
        payment.state = to
    end

    it("is given back once, and taken again by what is paid late or reviewed", function()
        local payment = create(wanted)
        create(wanted)
        for _, step in ipairs { { "review", 2 }, { "closed", 1 }, { "failed", 1 }, { "review", 2 },
            { "closed", 1 }, { "paid", 2 } } do
            move(payment, step[1])
            assert.are.same({ step[2], step[2] * 500 }, taken(), step[1])
        end
    end)

    it("is that of the day on which it was made", function()
        local payment = create(wanted)
        now = now + DAY
        create(wanted)
        move(payment, "closed")
        assert.are.same({ 1, 500 }, taken())
    end)

    it("may be gone with its row", function()
        local payment = create(wanted)
        db:run("DELETE FROM counters;")
        move(payment, "closed")
        assert.equal(0, rows())
    end)
end)

describe("a move", function()
    local NAMES = "payer_attempts_1h payer_paid_1d payer_failed_7d payer_refunds_30d payer_amount_1d"
    local wanted = counting(NAMES)

    it("adds to what it is, and to nothing else", function()
        local payment = create(wanted)
        local function after(list)
            if #list > 0 then
                assert(store.commit(list))
            end
            local history = read(wanted)
            return ("%d %d %d %d %d"):format(history.payer_attempts_1h, history.payer_paid_1d,
                history.payer_failed_7d, history.payer_refunds_30d, history.payer_amount_1d)
        end
        assert.equal("1 0 0 0 0", after {})
        assert.equal("1 0 1 0 0", after(counters.moved(payment, { attempt_to = "declined" })))
        assert.equal("1 0 1 0 0", after(counters.moved(payment, { attempt_to = "expired", to = "closed" })))
        assert.equal("2 0 1 0 0", after(counters.tried_again(payment, today)))
        assert.equal("2 1 1 0 500", after(counters.moved(payment, { to = "paid" })))
        payment.state = "paid"
        assert.equal("2 1 1 0 500", after(counters.moved(payment, { attempt_to = "succeeded" })), "again")
        assert.equal("2 1 1 1 500", after(counters.refunded(payment)))
        assert.equal("2 2 1 1 950", after(counters.moved({ state = "review", counted = payment.counted,
            amount = 500, currency = "CNY" }, { to = "paid", amount = 450 })))
    end)

    it("sums money of one currency", function()
        for _, currency in ipairs { "CNY", "USD", "CNY" } do
            local payment = create(wanted, { money = { amount = 100, currency = currency } })
            assert(store.commit(counters.moved(payment, { to = "paid" })))
        end
        assert.are.same({ 200, 3 }, { read(wanted).payer_amount_1d, read(wanted).payer_paid_1d })
        assert.equal(100, read(wanted, { currency = "USD" }).payer_amount_1d)
    end)

    it("of a payment that counts for nobody writes nothing", function()
        local payment = { state = "pending", amount = 1, currency = "CNY" }
        assert.are.same({}, counters.moved(payment, { to = "paid" }))
        assert.are.same({}, counters.moved(payment, { to = "closed" }))
        assert.are.same({}, counters.tried_again(payment))
        assert.are.same({}, counters.refunded(payment))
    end)

    it("writes only what is named", function()
        local only = counting "payer_paid_1d"
        local payment = create(only)
        assert.equal(0, rows())
        assert(store.commit(counters.moved(payment, { attempt_to = "declined" })))
        assert.equal(0, rows())
        assert(store.commit(counters.moved(payment, { to = "paid" })))
        assert.equal(1, rows())
    end)

    it("is never refused for a sum that is too large", function()
        local payment = create(wanted, { money = { amount = 100000000000000, currency = "CNY" } })
        db:run("UPDATE counters SET amount = 100000000000000001;")
        for _ = 1, 3 do
            assert(store.commit(counters.moved(payment, { to = "paid" })))
        end
        assert.equal(300000000000000, read(wanted).payer_amount_1d, "of the piece that was not full")
        db:run("UPDATE counters SET amount = 100000000000000001;")
        assert(store.commit(counters.moved(payment, { to = "paid" })))
        assert.equal(100000000000000001, read(wanted).payer_amount_1d)
    end)
end)

describe("who is counted", function()
    it("is the network of an address of IPv6", function()
        local wanted = counting "ip_attempts_1h"
        create(wanted, { payer = { client_ip = "2001:db8:1:2:3:4:5:6" } })
        assert.equal(1, read(wanted, { payer = { client_ip = "2001:db8:1:2::1" } }).ip_attempts_1h)
        assert.equal(0, read(wanted, { payer = { client_ip = "2001:db8:1:3::1" } }).ip_attempts_1h)
    end)

    it("is a payer by the first id that there is, of one merchant", function()
        local key = counters.payer_key(3, { buyer_id = "2088", openid = "o1" })
        assert.matches("^%x+$", key)
        assert.equal(32, #key)
        assert.equal(key, counters.payer_key(3, { buyer_id = "2088" }))
        assert.not_equal(key, counters.payer_key(3, { openid = "2088" }))
        assert.not_equal(key, counters.payer_key(4, { buyer_id = "2088" }))
        assert.is_nil(counters.payer_key(3, { name = "A" }))
        assert.is_string(counters.payer_key(3, { id_number = "1" }))
        assert.not_equal(crypto.hex.encode(crypto.digest("sha256", "2088")):sub(1, 32), key)
    end)
end)

describe("upkeep", function()
    it("keeps what is to be kept, for as long as a configuration can say", function()
        local digest = ("k"):rep(16)
        local function is_there()
            return #store.query("idempotency.get", { key_digest = digest }) == 1
        end
        retention.pass()
        now = now + HOUR
        assert(store.commit { { "idempotency.insert", { key_digest = digest, object = 1 } } })
        now = now + HOUR
        for _, days in ipairs { 1, 36500, 365000, 999999999 } do
            registry.config.idempotency.retention = days * DAY
            for _ = 1, 3 do
                retention.pass()
            end
            assert.is_true(is_there(), days .. " days")
        end
        now, registry.config.idempotency.retention = now + 2 * DAY, DAY
        retention.pass()
        assert.is_false(is_there())
    end)

    it("forgets nothing for a day after the clock has jumped: what it shows may be wrong", function()
        package.loaded["tael.kernel.retention"] = nil
        local fresh = require "tael.kernel.retention"
        local ahead, digest = 0, ("k"):rep(16)
        time.now = function() return now + ahead end
        local function is_there_after(ms)
            now = now + ms
            for _ = 1, 3 do
                fresh.pass()
            end
            return #store.query("idempotency.get", { key_digest = digest }) == 1
        end
        assert(store.commit { { "idempotency.insert", { key_digest = digest, object = 1 } } })
        assert.is_true(is_there_after(HOUR))
        ahead = 365 * DAY
        assert.is_true(is_there_after(MINUTE))
        assert.is_true(is_there_after(HOUR))
        ahead = 0
        assert.is_true(is_there_after(MINUTE))
        assert.is_false(is_there_after(2 * DAY))
    end)

    it("forgets few rows in a unit, and lets others go between two", function()
        for i = 1, 200 do
            local digest = ("%016d"):format(i)
            assert(store.commit { { "idempotency.insert", { key_digest = digest, object = i } } })
            assert(store.commit { { "call.insert", { call = store.next_id(), object = 1, op = "query",
                account = 7, request = "raw" } } })
        end
        local function left()
            return tonumber(db:run("SELECT COUNT(*) FROM idempotency;")[2]),
                tonumber(db:run("SELECT COUNT(request) FROM calls;")[2])
        end
        local commit, most, units, pauses = store.commit, 0, 0, 0
        store.commit = function(list)
            local keys, calls = left()
            local done, err = commit(list)
            local keys_now, calls_now = left()
            most, units = math.max(most, keys - keys_now, calls - calls_now), units + 1
            return done, err
        end
        time.sleep = function() pauses = pauses + 1 end
        now = now + 2 * DAY
        retention.pass()
        assert.are.same({ 0, 0 }, { left() })
        assert.is_true(most > 0 and most <= 64, most)
        assert.are.same({ 8, 8 }, { units, pauses })
    end)

    it("goes on where the machine is stopped for hours each day, which is a jump, too", function()
        package.loaded["tael.kernel.retention"] = nil
        local fresh = require "tael.kernel.retention"
        local stopped, digest = 0, ("k"):rep(16)
        time.now = function() return now + stopped end
        assert(store.commit { { "idempotency.insert", { key_digest = digest, object = 1 } } })
        for _ = 1, 4 do
            fresh.pass()
            now, stopped = now + 12 * HOUR, stopped + 12 * HOUR
        end
        assert.equal(0, #store.query("idempotency.get", { key_digest = digest }))
    end)

    it("begins with the oldest row, also when all was kept for longer than there have been ids", function()
        registry.config.idempotency.retention = 36500 * DAY
        registry.config.notifications.retention = 36500 * DAY
        local digest = ("k"):rep(16)
        assert(store.commit { { "idempotency.insert", { key_digest = digest, object = 1 } } })
        assert(store.commit { { "call.insert", { call = store.next_id(), object = 1, op = "query",
            account = 7, request = "raw" } } })
        retention.pass()
        now = now + 5 * DAY
        registry.config.idempotency.retention, registry.config.notifications.retention = DAY, DAY
        for _ = 1, 4 do
            retention.pass()
        end
        assert.equal(0, #store.query("idempotency.get", { key_digest = digest }))
        assert.equal("0", db:run("SELECT COUNT(request) FROM calls;")[2])
    end)

    it("removes pieces that no window reaches, and no others", function()
        local wanted = counting("ip_attempts_1h ip_attempts_1d ip_attempts_7d ip_attempts_30d attempts_today",
            "count")
        create(wanted)
        assert.equal(6, rows())
        local left = {}
        for _, hours in ipairs { 1, 1.1, 24, 27, 73, 8 * 24, 30 * 24, 33 * 24 } do
            now = START + hours * HOUR // 1 | 0
            local before = read(wanted)
            for _ = 1, 3 do -- a row is alone in its time: a few steps from the oldest one are enough
                retention.pass()
            end
            assert.are.same(before, read(wanted))
            left[#left + 1] = rows()
        end
        assert.are.same({ 6, 5, 5, 4, 2, 1, 1, 0 }, left)
    end)
end)
