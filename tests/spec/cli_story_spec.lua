--- The story of a payment: which facts stand on which line.
require "tests.spec.cli_support"
local story = require "tael.cli.story"

local function entry(at, kind, id, facts)
    return { at = "2026-11-23T12:" .. at .. "Z", kind = kind, id = id, facts = facts }
end

local created = entry("01:07.102", "event", "evt_1", {
    type = "payment.created", actor = "key_1", order = "A1001",
    payment = { amount = 1234, currency = "CNY", state = "pending" },
    attempt = { id = "att_1", channel = "alipay", account = "acme-main", product = "qr", state = "sent" },
})
local call = entry("01:07.104", "call", "cal_1",
    { op = "create", code = "10000", class = "ok", ms = 207, attempt = "att_1" })
local issued = entry("01:07.311", "event", "evt_2",
    { type = "attempt.issued", actor = "channel:alipay", evidence = "cal_1",
        attempt = { id = "att_1", state = "waiting_payer" } })
local notified = entry("01:09.020", "notification", "ntf_1",
    { channel = "alipay", account = "acme-main", verdict = "pass", effect = "applied" })
local paid = entry("01:09.020", "event", "evt_3", { type = "payment.paid", actor = "channel:alipay",
    evidence = "ntf_1", payment = { state = "paid" }, attempt = { id = "att_1", state = "succeeded" } })

local function view(signed)
    local checks = {}
    for i = 1, 13 do
        checks[i] = { verdict = i == 9 and "skipped" or "pass" }
    end
    return { checks = checks, key_id = "9f2c01ab", signed_text = signed }
end

local FIRST = "notify_id=1&notify_time=2026-11-23 20:01:09&trade_status=TRADE_SUCCESS"
local AGAIN = "notify_id=1&notify_time=2026-11-23 20:04:41&trade_status=TRADE_SUCCESS"
local OTHER = "notify_id=2&notify_time=2026-11-23 20:04:41&trade_status=WAIT_BUYER_PAY"

describe("a story", function()
    it("tells a move by what proves it, a call behind its attempt", function()
        assert.are.same({
            "12:01:07.102 created   CNY 12.34  order A1001  key_1",
            "12:01:07.102 attempt   alipay/acme-main qr  → sent"
                .. "     12:01:07.104 call create 10000 OK 207 ms → waiting_payer",
            "12:01:09.020 notify    ntf_1 12 checks ok (key 9f2c01ab) → paid",
        }, story.lines({ created, call, issued, notified, paid }, { ntf_1 = view(FIRST) }))
    end)

    it("says who chose the way, where somebody did", function()
        for told, decision in pairs {
            ["  (rule: large amounts)"] = { by = "rule", reason = "large\namounts" },
            ["  (rule)"] = { by = "rule" }, ["  (request)"] = { by = "request" }, [""] = { by = "default" },
        } do
            created.facts.routed = decision
            assert.are.equal("12:01:07.102 attempt   alipay/acme-main qr" .. told .. "  → sent",
                story.lines({ created }, {})[2])
        end
        created.facts.routed = nil
    end)

    it("counts repeats on the line of what they repeat", function()
        local again = entry("04:41.009", "notification", "ntf_2", { verdict = "pass", effect = "none" })
        local more = entry("04:42.009", "notification", "ntf_3", { verdict = "pass", effect = "none" })
        local lines = story.lines({ notified, paid, again, more },
            { ntf_1 = view(FIRST), ntf_2 = view(AGAIN), ntf_3 = view(AGAIN) })
        assert.are.same({ "12:01:09.020 notify    ntf_1 12 checks ok (key 9f2c01ab) → paid"
            .. "     12:04:41.009 repeat, no effect (x2)" }, lines)
    end)

    it("counts the same bytes once more with them", function()
        local again = entry("04:41.009", "notification", "ntf_2", { verdict = "pass", effect = "none" })
        local bytes = entry("04:41.010", "repeat", "ntf_3", { first = "ntf_2", count = 2 })
        local views = { ntf_1 = view(FIRST), ntf_2 = view(AGAIN) }
        local lines = story.lines({ notified, paid, again, bytes }, views)
        assert.are.equal(1, #lines)
        assert.is_truthy(lines[1]:find("repeat, no effect (x3)", 1, true))
        local early = entry("04:41.008", "repeat", "ntf_3", { first = "ntf_2", count = 2 })
        lines = story.lines({ notified, paid, early, again }, views)
        assert.are.equal(1, #lines)
        -- though it stands before its first
        assert.is_truthy(lines[1]:find("repeat, no effect (x3)", 1, true))
        lines = story.lines({ notified, paid, entry("04:41.010", "repeat", "ntf_3",
            { first = "ntf_1", count = 1 }) }, { ntf_1 = view(FIRST) })
        assert.is_truthy(lines[1]:find("12:04:41.010 repeat, no effect (x1)", 1, true))
    end)

    it("does not take other news for a repeat", function()
        local other = entry("04:41.009", "notification", "ntf_2", { verdict = "pass", effect = "none" })
        local lines = story.lines({ notified, paid, other }, { ntf_1 = view(FIRST), ntf_2 = view(OTHER) })
        assert.are.equal("12:04:41.009 notify    ntf_2 12 checks ok (key 9f2c01ab) → no effect (none)",
            lines[2])
    end)

    it("names the check that refused", function()
        local refused = entry("04:41.009", "notification", "ntf_2",
            { verdict = "refused", failed_check = "amount", effect = "review" })
        local review = entry("04:41.009", "event", "evt_4", { type = "payment.review", evidence = "ntf_2",
            payment = { state = "review", reason = "amount_mismatch" } })
        assert.are.same({ "12:04:41.009 notify    ntf_2 refused at amount → review (amount_mismatch)" },
            story.lines({ refused, review }, { ntf_2 = view(FIRST) }))
    end)

    it("tells refunds, wishes and decisions that no channel proves", function()
        assert.are.same({
            "12:05:00.000 refund    ref_1  CNY 5.00  R1  key_1  → created",
            "12:05:01.000 event     updated  closing (merchant)  key_1",
            "12:05:02.000 event     closed  decided by usr_1: lost  operator  → closed (manual)",
        }, story.lines({
            entry("05:00.000", "refund", "evt_5", { type = "refund.created", actor = "key_1",
                refund = { id = "ref_1", state = "created", amount = 500, currency = "CNY",
                    merchant_refund_id = "R1" } }),
            entry("05:01.000", "event", "evt_6", { type = "payment.updated", actor = "key_1",
                payment = { closing = "merchant" } }),
            entry("05:02.000", "event", "evt_7", { type = "payment.closed", actor = "operator",
                payment = { state = "closed", reason = "manual" },
                decision = { by = "usr_1", note = "lost" } }),
        }, {}))
    end)

    it("names who decided on the line of the channel's answer, and what came late", function()
        local asked = entry("06:00.000", "call", "cal_2", { op = "query", code = "10000", attempt = "att_1" })
        local closed = entry("06:00.000", "event", "evt_8", { type = "payment.closed", evidence = "cal_2",
            payment = { state = "closed", reason = "manual" },
            decision = { by = "operator", note = "lost" } })
        local late = entry("07:00.000", "event", "evt_9", { type = "payment.paid", evidence = "ntf_1",
            payment = { state = "paid", late = true } })
        assert.are.same({
            "12:01:09.020 notify    ntf_1 12 checks ok (key 9f2c01ab) → paid late",
            "12:06:00.000 call      query 10000 decided by operator: lost → closed (manual)",
        }, story.lines({ notified, asked, closed, late }, { ntf_1 = view(FIRST) }))
    end)

    it("says when another day begins", function()
        local late = { at = "2026-11-24T00:00:01.000Z", kind = "call", id = "cal_2",
            facts = { op = "query", code = "10000", attempt = "att_1" } }
        assert.are.same({ "2026-11-24", "00:00:01.000 call      query 10000" },
            { table.unpack(story.lines({ created, late }, {}), 3) })
    end)
end)
