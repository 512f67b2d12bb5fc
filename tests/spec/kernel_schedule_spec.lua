-- When an open attempt is looked at again, what a query's outcome states, and the texts of API keys.
local support = require "tests.spec.kernel_support"
local due = require "tael.kernel.due"
local keys = require "tael.kernel.keys"
local query = require "tael.kernel.query"

local GRACE, POLL = 120000, { 2000, 5000, 15000, 60000, 300000, 1800000, 3600000 }

local function next_after(elapsed, attempt, query_after)
    local now = support.now + elapsed
    local at = due.next { attempt = support.attempt(attempt), created = support.now, now = now, grace = GRACE,
        poll = POLL, query_after = query_after }
    return at and at - now
end

describe("due.next", function()
    it("waits for the end of the order, then for the grace", function()
        assert.are.equal(1800000, next_after(0))
        assert.are.equal(GRACE, next_after(1800000))
        assert.are.equal(GRACE - 5000, next_after(1805000))
    end)

    it("asks at the channel's pauses before", function()
        local pauses = { 5000, 15000, 60000 }
        assert.are.equal(5000, next_after(0, {}, pauses))
        assert.are.equal(15000, next_after(5000, {}, pauses))
        assert.are.equal(60000, next_after(20000, {}, pauses))
        assert.are.equal(1800000 - 80000, next_after(80000, {}, pauses))
    end)

    it("asks soon after the end when the payer had opened it", function()
        assert.are.equal(2000, next_after(1800000, { state = "waiting_payer", trade_no = "T1" }))
        assert.are.equal(15000, next_after(1820000, { state = "waiting_payer", trade_no = "T1" }))
    end)

    it("neither hurries nor forgets when the clock was put back by an hour", function()
        local hour = 3600000
        local ends = { expires_at = support.now + 1800000 }
        assert.are.equal(60000, next_after(-hour, ends, { 5000, 15000, 60000 }),
            "what seems to come from the future")
        local unknown = { state = "unknown", updated_at = support.now, expires_at = support.now + 4 * hour }
        assert.are.equal(hour, next_after(-hour, unknown), "as long as it seems to take until it began")
        assert.are.equal(5000, next_after(-5000, unknown), "and soon, when that is near")
    end)

    it("never waits past a moment at which the order ends", function()
        assert.are.equal(1000, next_after(1799000, { state = "unknown" }))
        assert.are.equal(2000, next_after(1800000 + GRACE - 2000, { state = "unknown" }))
    end)

    it("asks ever more seldom while somebody wants it closed and nobody has opened it", function()
        local function next_closing(elapsed)
            local now = support.now + elapsed
            return due.next { attempt = support.attempt(), created = support.now, now = now, grace = GRACE,
                poll = POLL, closing_since = support.now } - now
        end
        assert.are.equal(2000, next_closing(0))
        assert.are.equal(15000, next_closing(20000))
        assert.are.equal(300000, next_closing(600000))
    end)

    it("asks ever more seldom once the time is over", function()
        local over = 1800000 + GRACE
        assert.are.equal(2000, next_after(over))
        assert.are.equal(5000, next_after(over + 6000))
        assert.are.equal(60000, next_after(over + 61000))
        assert.are.equal(3600000, next_after(over + 86400000))
    end)

    for _, state in ipairs { "unknown", "sent" } do
        it("asks soon about what is " .. state, function()
            assert.are.equal(2000, next_after(0, { state = state }))
            assert.are.equal(15000, next_after(20000, { state = state }))
        end)
    end

    it("ends with the attempt", function()
        for _, state in ipairs { "succeeded", "expired", "declined", "cancelled" } do
            assert.is_nil(next_after(0, { state = state }))
        end
    end)

    it("alarms only after a while", function()
        local function late(elapsed, attempt, payment)
            return due.too_long { attempt = support.attempt(attempt), payment = support.payment(payment),
                now = support.now + elapsed, grace = GRACE, alarm_after = 1800000 }
        end
        assert.is_false(late(1800000 + GRACE + 1800000))
        assert.is_true(late(1800000 + GRACE + 1800001))
        assert.is_true(late(1800001, { state = "unknown" }))
        assert.is_true(late(1800001, { state = "sent" }))
        assert.is_false(late(86400000, { state = "succeeded" }))
        local long = support.now + 86400000
        assert.is_true(late(1800001, { state = "waiting_payer", expires_at = long }, { closing = "cancel" }))
        assert.is_false(late(1800001, { state = "waiting_payer", expires_at = long }))
        assert.is_false(late(1800001, { state = "issued", expires_at = long }, { closing = "merchant" }))
    end)
end)

describe("an order is ended at the channel", function()
    local function wants(payment, attempt, elapsed)
        return due.wants_end(support.attempt(attempt), support.payment(payment), support.now + (elapsed or 0))
    end

    it("when somebody wants it, its time is over, or the payment is settled without it", function()
        assert.is_false(wants())
        assert.is_true(wants({}, {}, 1800000))
        for _, closing in ipairs { "merchant", "expired", "cancel" } do
            assert.is_true(wants { closing = closing })
        end
        for state, wanted in pairs { created = false, pending = false, authorized = false, review = false,
            paid = true, closed = true, failed = true } do
            assert.are.equal(wanted, wants { state = state }, state)
        end
    end)
end)

describe("a timer counts", function()
    local states = require "tael.kernel.states"

    it("when the attempt names it, whatever its state", function()
        assert.is_true(states.counts({ state = "issued", due = 5 }, 5))
        assert.is_true(states.counts({ state = "cancelled", due = 5 }, 5))
        assert.is_false(states.counts({ state = "issued", due = 6 }, 5))
    end)

    it("for an open attempt from before one was named", function()
        assert.is_true(states.counts({ state = "unknown" }, 5))
        assert.is_false(states.counts({ state = "succeeded" }, 5))
    end)

    it("for no attempt that is not there", function()
        assert.is_false(states.counts({}, 5))
    end)
end)

describe("a timer's id", function()
    it("begins with its time and ends with a stamp", function()
        local id = due.id(support.now)
        assert.are.equal(support.now, due.ms(id))
        assert.is_true(id >= due.before(support.now) and id < due.before(support.now + 1))
    end)

    it("is at the end of its range for a moment beyond", function()
        local id = due.id(support.now)
        for _, year in ipairs { 1, 1900, 1950 } do
            local ms = (year - 1970) * 31556952000
            assert.is_true(due.before(ms) < 0, year)
        end
        for _, year in ipairs { 2090, 2100, 9999 } do
            local ms = (year - 1970) * 31556952000
            assert.is_true(due.before(ms) > id, year)
        end
    end)

    it("is rarely the same twice", function()
        local seen, twice = {}, 0
        for _ = 1, 1000 do
            local id = due.id(support.now)
            twice = twice + (seen[id] and 1 or 0)
            seen[id] = true
        end
        assert.is_true(twice <= 2)
    end)
end)

describe("query.fact_of", function()
    local ok = { class = "ok", evidence = {}, result = { code = "10000", state = "succeeded",
        channel_state = "PAID",
        order_no = "N", trade_no = "T", amount = 1, currency = "CNY" } }

    it("gives the fact of an answer that was verified", function()
        local fact = query.fact_of(ok, "N")
        assert.are.equal("succeeded", fact.state)
        assert.are.equal("N", fact.order_no)
        assert.are.equal("PAID", fact.code)
    end)

    it("says that an order was not found", function()
        local fact = query.fact_of({ class = "not_found", evidence = {}, result = { code = "X" } }, "N")
        assert.are.equal("not_found", fact.state)
    end)

    it("takes an unmapped state as unknown", function()
        local fact = query.fact_of({ class = "unknown", evidence = {},
            result = { code = "10000", state = "unknown", channel_state = "ODD", order_no = "N" } }, "N")
        assert.are.equal("unknown", fact.state)
        assert.are.equal("ODD", fact.channel_state)
    end)

    for name, outcome in pairs {
        ["nothing came"] = { class = "unknown" },
        ["the signature is missing"] = { class = "unknown", result = ok.result },
        ["it claims success without evidence"] = { class = "ok", result = ok.result },
        ["the channel was busy"] = { class = "unknown", evidence = {}, result = { code = "20000" } },
        ["our configuration is wrong"] = { class = "config", evidence = {}, result = { code = "40002" } },
        ["the query itself was declined"] = { class = "declined", evidence = {},
            result = { code = "40004" } },
        ["nothing was sent"] = { class = "not_sent" },
        ["it has no state"] = { class = "ok", evidence = {}, result = { code = "10000" } },
    } do
        it("states nothing when " .. name, function()
            assert.is_nil(query.fact_of(outcome, "N"))
        end)
    end
end)

describe("an API key", function()
    local secret = ("aB3"):rep(10)

    it("says mode and id, and is checked without a read", function()
        local id = support.id(support.now, 77)
        local text = keys.format("test", id, secret)
        assert.matches("^tael_test_%w+$", text)
        assert.are.equal(10 + 12 + 30 + 6, #text)
        assert.are.same({ mode = "test", id = id, secret = secret }, keys.parse(text))
    end)

    it("with one wrong character is no key", function()
        local text = keys.format("test", 12345, secret)
        for at = 1, #text do
            local other = text:sub(at, at) == "x" and "y" or "x"
            assert.is_nil(keys.parse(text:sub(1, at - 1) .. other .. text:sub(at + 1)), at)
        end
        for _, bad in ipairs { "", "tael_test_", text .. "0", text:sub(1, -2), "tael_demo_"
            .. text:sub(11) } do
            assert.is_nil(keys.parse(bad))
        end
        assert.is_nil(keys.parse(nil))
    end)

    it("writes numbers in base 62 and reads them back", function()
        for _, number in ipairs { 0, 1, 61, 62, 12345678901234, math.maxinteger } do
            assert.are.equal(number, keys.number(keys.base62(number, 12)))
        end
        assert.is_nil(keys.number("zzzzzzzzzzzz"))
    end)
end)
