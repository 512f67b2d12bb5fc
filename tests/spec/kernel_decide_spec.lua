local support = require "tests.spec.kernel_support"
local decide = require "tael.kernel.decide"
local states = require "tael.kernel.states"

local function case(payment, attempt, fact, more)
    local made = support.case(more)
    made.payment = support.payment(payment)
    made.attempt = support.attempt(attempt)
    made.fact = fact or support.success()
    return made
end

describe("a success", function()
    it("pays a pending payment", function()
        local decision = decide(support.case())
        assert.are.equal("applied", decision.effect)
        assert.are.equal("payment.paid", decision.event)
        assert.are.same({ to = "paid", late = 0, captured_amount = 1234, paid_at = support.now + 5000 },
            decision.payment)
        assert.are.same({ to = "succeeded", trade_no = "T1", code = "PAID" }, decision.attempt)
        assert.is_nil(decision.alarm)
    end)

    for _, state in ipairs { "closed", "failed" } do
        it("after " .. state .. " pays late and alarms", function()
            local decision = decide(case({ state = state }, { state = "expired" }))
            assert.are.equal("late", decision.effect)
            assert.are.equal("paid", decision.payment.to)
            assert.are.equal(1, decision.payment.late)
            assert.are.equal("paid_late", decision.alarm)
        end)
    end

    it("that a message tells of an order which was given back is asked about first", function()
        local given = decide(case({ closing = "cancel" }, nil, { state = "unknown", given_back = true,
            trade_no = "T1" }))
        local ended = { state = given.attempt.to, code = given.attempt.code, trade_no = "T1" }
        for _, state in ipairs { "closed", "paid", "review" } do
            local told = decide(case({ state = state }, ended, nil, { by = "ntf" }))
            assert.are.same({ "none", true }, { told.effect, told.confirm }, state)
            local early = decide(case({ state = state }, ended, nil, { by = "cal", reversing = true }))
            assert.are.same({ "none", true }, { early.effect, early.confirm }, state)
            assert.are_not.equal("none", decide(case({ state = state }, ended, nil, { by = "cal" })).effect)
            local again = decide(case({ state = state }, ended, { state = "unknown", given_back = true }))
            assert.are.same({ effect = "none", detail = "what was paid has been given back" }, again)
        end
    end)

    it("that came before changes nothing", function()
        local decision = decide(case({ state = "paid" }, { state = "succeeded", trade_no = "T1" }))
        assert.are.equal("none", decision.effect)
        assert.is_nil(decision.event)
        assert.is_nil(decision.check)
    end)

    it("of a second attempt is kept beside the first and alarms", function()
        local decision = decide(case({ state = "paid" }, { state = "issued" }))
        assert.are.equal("surplus", decision.effect)
        assert.are.equal("attempt.surplus", decision.event)
        assert.is_nil(decision.payment.to)
        assert.are.equal("succeeded", decision.attempt.to)
        assert.are.equal("duplicate_paid", decision.alarm)
    end)

    it("under review leaves the decision to a person", function()
        local decision = decide(case({ state = "review" }, { state = "issued" }))
        assert.are.equal("review", decision.effect)
        assert.is_nil(decision.payment.to)
        assert.are.equal("succeeded", decision.attempt.to)
    end)

    for name, fact in pairs {
        ["another amount"] = { amount = 1233 }, ["another currency"] = { currency = "USD" },
    } do
        it("with " .. name .. " puts an open payment under review and takes nothing over", function()
            local decision = decide(case({}, {}, support.success(fact)))
            assert.are.equal("review", decision.effect)
            assert.are.equal("amount", decision.check)
            assert.are.same({ to = "review", reason = "amount_mismatch" }, decision.payment)
            assert.is_nil(decision.attempt)
        end)

        it("with " .. name .. " leaves a paid payment as it is", function()
            local decision = decide(case({ state = "paid" }, { state = "succeeded", trade_no = "T1" },
                support.success(fact)))
            assert.are.equal("none", decision.effect)
            assert.are.equal("amount", decision.check)
            assert.are.equal("amount_mismatch", decision.alarm)
        end)
    end

    it("with another amount, under review already, is answered as before and changes nothing", function()
        local decision = decide(case({ state = "review" }, {}, support.success { amount = 1233 }))
        assert.are.equal("review", decision.effect)
        assert.are.equal("amount", decision.check)
        assert.is_nil(decision.event)
    end)

    for _, word in ipairs { "succeeded", "waiting_payer", "expired", "a new word" } do
        it("is not hidden by another trade number: " .. word, function()
            local decision = decide(case({}, { state = "unknown", trade_no = "T1" },
                support.success { state = word, trade_no = "T2" }))
            assert.are.equal("order", decision.check)
            assert.are.equal("trade_number_changed", decision.alarm)
            assert.is_nil(decision.event)
        end)
    end

    it("is not believed while our cancel may still give it back, and the channel is asked again", function()
        local open = { closing = "cancel" }
        local decision = decide(case(open, { state = "waiting_payer" }, nil,
            { by = "cal", reversing = true }))
        assert.are.equal("none", decision.effect)
        assert.is_nil(decision.event)
        assert.is_nil(decision.confirm, "an open order has its timer")
        decision = decide(case({ state = "closed" }, { state = "cancelled" }, nil,
            { by = "cal", reversing = true }))
        assert.is_nil(decision.event)
        assert.is_true(decision.confirm)
        assert.are.equal("payment.paid", decide(case(open, { state = "waiting_payer" }, nil,
            { by = "cal", reversing = false })).event)
    end)

    it("without a trade number or an amount is refused", function()
        local fact = support.success()
        fact.trade_no = nil
        assert.are.equal("order", decide(case({}, {}, fact)).check)
        fact = support.success()
        fact.amount = nil
        assert.are.equal("amount", decide(case({}, {}, fact)).check)
    end)

    it("of an order bound to another trade number is refused", function()
        local decision = decide(case({}, { state = "waiting_payer", trade_no = "T0" }))
        assert.are.equal("none", decision.effect)
        assert.are.equal("order", decision.check)
    end)

    it("of an attempt that never left is refused", function()
        local decision = decide(case({ state = "created" }, { state = "new" }))
        assert.are.equal("state", decision.check)
        assert.is_nil(decision.event)
    end)

    it("is never dropped, whatever the attempt's state", function()
        for state in pairs(states.attempt) do
            if state ~= "new" and state ~= "succeeded" then
                local decision = decide(case({}, { state = state }))
                assert.are.equal("paid", decision.payment.to, state)
            end
        end
    end)
end)

describe("a word that nobody knows", function()
    local word = { kind = "payment", state = "unknown", channel_state = "TELEPORTED" }

    it("makes the attempt unknown, leaves the payment and alarms", function()
        local decision = decide(case({}, { state = "issued" }, word))
        assert.are.equal("attempt.unknown", decision.event)
        assert.are.equal("unknown", decision.attempt.to)
        assert.is_nil(decision.payment.to)
        assert.are.equal("unknown_word", decision.alarm)
    end)

    it("never touches what is settled", function()
        for _, state in ipairs { "succeeded", "expired", "declined", "cancelled" } do
            local decision = decide(case({ state = "paid" }, { state = state }, word))
            assert.is_nil(decision.event, state)
            assert.are.equal("unknown_word", decision.alarm)
        end
    end)

    it("is also one that the kernel has no rule for", function()
        local decision = decide(case({}, {}, { kind = "payment", state = "authorized", amount = 1234,
            currency = "CNY" }))
        assert.are.equal("unknown", decision.attempt.to)
    end)
end)

describe("an order without money", function()
    local expired = { kind = "payment", state = "expired", amount = 1234, currency = "CNY", trade_no = "T1" }

    it("closes the payment: by the channel before its time, as expired after it", function()
        local decision = decide(case({}, { state = "waiting_payer" }, expired))
        assert.are.same({ to = "closed", reason = "channel" }, decision.payment)
        decision = decide(case({}, { state = "waiting_payer" }, expired, { now = support.now + 1800000 }))
        assert.are.same({ to = "closed", reason = "expired" }, decision.payment)
        assert.are.equal("payment.closed", decision.event)
    end)

    it("does not undo what was paid", function()
        local decision = decide(case({ state = "paid" }, { state = "succeeded", trade_no = "T1" }, expired))
        assert.is_nil(decision.event)
        assert.is_nil(decision.check)
    end)

    it("of another amount puts an open payment under review, and ends once a person has it", function()
        local other = { kind = "payment", state = "expired", amount = 999, currency = "CNY", trade_no = "T1" }
        local decision = decide(case({}, { state = "waiting_payer" }, other))
        assert.are.equal("review", decision.payment.to)
        for _, state in ipairs { "review", "closed", "failed", "paid" } do
            decision = decide(case({ state = state }, { state = "waiting_payer" }, other))
            assert.are.equal("expired", decision.attempt.to, state)
            assert.is_nil(decision.payment.to, state)
            assert.is_nil(decision.alarm, state)
        end
    end)

    it("leaves the payment open while another attempt is", function()
        local decision = decide(case({}, { state = "waiting_payer" }, expired, { others_open = true }))
        assert.are.equal("expired", decision.attempt.to)
        assert.is_nil(decision.payment.to)
    end)

    it("fails the payment when it was declined", function()
        local decision = decide(case({}, { state = "unknown" },
            { kind = "payment", state = "declined", decline_code = "insufficient_funds" }))
        assert.are.same({ to = "failed", reason = "insufficient_funds" }, decision.payment)
    end)
end)

describe("an order that the channel does not know", function()
    local function ask(attempt, now, more)
        more = more or {}
        more.now = now
        return decide(case({}, attempt, { kind = "payment", state = "not_found" }, more))
    end
    local over = support.now + 1800000 + 120000

    it("has not been opened while its time runs", function()
        assert.is_nil(ask({}, support.now + 60000).event)
        assert.is_nil(ask({}, over - 1).event)
    end)

    it("is over once its time and the grace have passed", function()
        local decision = ask({}, over)
        assert.are.equal("expired", decision.attempt.to)
        assert.are.same({ to = "closed", reason = "expired" }, decision.payment)
    end)

    it("is not over when it was asked for before that, however late the answer is", function()
        assert.is_nil(ask({}, over + 3600000, { asked = over - 1 }).event)
        assert.are.equal("payment.closed", ask({}, over + 3600000, { asked = over }).event)
        assert.is_nil(ask({}, over - 1, { asked = over }).event, "the clock was set back")
    end)

    it("settles nothing where the channel knows every order at once, or once the payer had opened it",
        function()
        assert.is_nil(ask({}, over, { waits_unopened = false }).event)
        for _, state in ipairs { "waiting_payer", "unknown", "sent" } do
            assert.is_nil(ask({ state = state, trade_no = "T1" }, over).event, state)
        end
        assert.is_nil(ask({ state = "processing" }, over).event)
    end)

    it("alarms when it was paid", function()
        local decision = ask({ state = "succeeded" }, over)
        assert.is_nil(decision.event)
        assert.are.equal("paid_not_found", decision.alarm)
    end)
end)

-- ---- every payment × attempt × word ----

local PAYMENTS = { "created", "pending", "authorized", "paid", "closed", "failed", "review" }
local ATTEMPTS = { "new", "issued", "sent", "waiting_payer", "processing", "unknown", "authorized",
    "succeeded", "declined", "cancelled", "expired" }

--- A decision in one line: attempt, =payment:reason, !check, *alarm, R refund, ? asked first.
local function line_of(decision)
    local out = {}
    local function add(mark, text)
        out[#out + 1] = text and mark .. text or nil
    end
    local payment = decision.payment or {}
    add("", decision.attempt and decision.attempt.to)
    add("=", payment.to and payment.to .. (payment.reason and ":" .. payment.reason or ""))
    add("!", decision.check)
    add("*", decision.alarm)
    add("R", decision.refund and "")
    add("?", decision.confirm and "")
    return #out > 0 and table.concat(out, " ") or "-"
end

--- What the names in the table below stand for.
local meaning = {
    ["."] = "-", refused = "!state *impossible_success", paid = "succeeded =paid",
    surplus = "succeeded *duplicate_paid R", late = "succeeded =paid *paid_late",
    held = "succeeded *paid_in_review", ask = "?",
    review = "=review:amount_mismatch !amount *amount_mismatch", differs = "!amount *amount_mismatch",
    closed = "expired =closed:channel", ended = "expired =closed:expired",
    wanted = "expired =closed:merchant",
    over = "expired =closed:expired", reversed = "cancelled =closed:merchant",
    voided = "cancelled =closed:voided", gone = "*reversed_after_paid",
    failed = "declined =failed:other", lost = "*paid_not_found", odd = "unknown *unknown_word",
    still_odd = "*unknown_word", back = "expired *foreign_refund",
    back_wanted = "expired =closed:merchant *foreign_refund",
    back_open = "expired =closed:channel *foreign_refund",
}

--- Seven words: the payment in the order of PAYMENTS. One word: the same for all.
local LIVE = "refused paid refused surplus late late held"
local OTHER = "review review review differs review review differs"

local function all_of(cell, ...)
    local rows = {}
    for _, state in ipairs { ... } do
        rows[state] = cell
    end
    return rows
end

local function with(rows, more)
    for state, cell in pairs(more) do
        rows[state] = cell
    end
    return rows
end

local paid_rows = with(all_of(LIVE, "issued", "sent", "waiting_payer", "processing", "unknown", "authorized",
    "declined", "cancelled", "expired"), { new = "refused" })

local function ends(pending, to, ...)
    return all_of(("%s %s %s %s %s %s %s"):format(to, pending, to, to, to, to, to), ...)
end

local open_words = { "issued", "sent", "waiting_payer", "unknown" }
local reversible = { "sent", "waiting_payer", "processing", "unknown" }

local cases = {
    { "a success in an answer", support.success(), paid_rows, { by = "cal" } },
    { "a success in a message", support.success(), with(with({}, paid_rows), { cancelled = "ask" }),
        { by = "ntf" } },
    { "a success in a message while it is being reversed", support.success(),
        with(with({}, paid_rows), all_of("ask", "new", "issued", "sent", "waiting_payer", "processing",
            "unknown", "authorized", "cancelled")), { by = "ntf", closing = "cancel" } },
    { "a success in an answer while it is being reversed", support.success(), paid_rows,
        { by = "cal", closing = "cancel" } },
    { "another amount", support.success { amount = 1 }, all_of(OTHER, table.unpack(ATTEMPTS)) },
    { "waiting_payer", { state = "waiting_payer" }, all_of("waiting_payer", "issued", "sent", "unknown") },
    { "processing", { state = "processing" }, all_of("processing", "sent", "unknown") },
    { "expired before its time", { state = "expired" }, ends("closed", "expired", table.unpack(open_words)) },
    { "expired after its time", { state = "expired" }, ends("ended", "expired", table.unpack(open_words)),
        { now = support.now + 1800000 } },
    { "expired when the merchant wanted it", { state = "expired" },
        ends("wanted", "expired", table.unpack(open_words)), { closing = "merchant" } },
    { "expired while it is being reversed", { state = "expired" },
        ends("wanted", "expired", table.unpack(open_words)), { closing = "cancel" } },
    { "expired while the end of its time is carried out", { state = "expired" },
        ends("over", "expired", table.unpack(open_words)), { closing = "expired" } },
    { "expired beside another open order", { state = "expired" },
        all_of("expired", table.unpack(open_words)), { others_open = true } },
    { "cancelled", { state = "cancelled", reversed = false },
        ends("reversed", "cancelled", table.unpack(reversible)), { closing = "cancel" } },
    { "cancelled, and money went back", { state = "cancelled", reversed = true },
        with(ends("voided", "cancelled", table.unpack(reversible)),
            { succeeded = "gone" }), { closing = "cancel" } },
    { "declined", { state = "declined" }, ends("failed", "declined", "sent", "unknown") },
    { "not found in its time", { state = "not_found" }, { succeeded = "lost" } },
    { "not found after it", { state = "not_found" },
        with(ends("over", "expired", table.unpack(open_words)), { succeeded = "lost" }),
        { now = support.now + 1920000 } },
    { "not found after it, though it was opened", { state = "not_found" }, { succeeded = "lost" },
        { now = support.now + 1920000, trade_no = "T1" } },
    { "not found where every order is known", { state = "not_found" }, { succeeded = "lost" },
        { now = support.now + 1920000, waits_unopened = false } },
    { "silent", { state = "silent", code = "timeout" }, { sent = "unknown" } },
    { "an unknown word", { state = "unknown" },
        with(all_of("odd", "issued", "sent", "waiting_payer", "processing"),
            all_of("still_odd", "new", "unknown", "authorized", "succeeded", "declined", "cancelled",
                "expired")) },
    { "given back", { state = "unknown", given_back = true },
        with(all_of("odd back_open odd back back back odd", "issued", "sent", "waiting_payer"), {
            unknown = "still_odd back_open still_odd back back back still_odd", processing = "odd",
            new = "still_odd", authorized = "still_odd", declined = "still_odd", expired = "still_odd",
        }) },
    { "given back while it is being reversed", { state = "unknown", given_back = true },
        with(ends("voided", "cancelled", table.unpack(reversible)),
            { issued = "back back_wanted back back back back back" }), { closing = "cancel" } },
}

local function cells(row)
    local out = {}
    for word in row:gmatch("%S+") do
        out[#out + 1] = meaning[word] or word
    end
    return out
end

describe("every payment and attempt, when the channel says", function()
    for _, made in ipairs(cases) do
        local name, fact, rows, more = made[1], made[2], made[3], made[4] or {}
        it(name, function()
            for _, attempt in ipairs(ATTEMPTS) do
                local expected = cells(rows[attempt] or ".")
                for i, payment in ipairs(PAYMENTS) do
                    local decision = decide(case({ state = payment, closing = more.closing },
                        { state = attempt, trade_no = more.trade_no }, fact, {
                            by = more.by, now = more.now, others_open = more.others_open,
                            waits_unopened = more.waits_unopened,
                        }))
                    assert.are.equal(expected[i] or expected[1], line_of(decision),
                        payment .. " / " .. attempt)
                end
            end
        end)
    end
end)

describe("policies", function()
    local function late(policy)
        return decide(case({ state = "closed" }, { state = "expired" }, nil, {
            policy = { late = policy, duplicate = "review" } }))
    end

    it("of money that comes late: taken, given back, or told", function()
        assert.are.equal("succeeded =paid", line_of(late "accept"))
        assert.are.equal("succeeded =paid R", line_of(late "refund"))
        assert.are.equal("succeeded =paid *paid_late", line_of(late "review"))
        assert.are.same({ amount = 1234, reason = "late" }, late("refund").refund)
        for _, policy in ipairs { "accept", "refund", "review" } do
            assert.are.equal("late", late(policy).effect)
            assert.are.equal(1, late(policy).payment.late)
        end
    end)

    it("of money that comes twice: given back, or only told", function()
        local function twice(policy)
            return decide(case({ state = "paid" }, { state = "issued" }, nil, {
                policy = { late = "review", duplicate = policy } }))
        end
        assert.are.same({ amount = 1234, reason = "duplicate" }, twice("refund").refund)
        assert.is_nil(twice("review").refund)
        assert.is_nil(twice("refund").payment.captured_amount, "it is captured with its refund")
        assert.are.equal(1234, twice("review").payment.captured_amount - support.payment().captured_amount)
        assert.are.equal("duplicate_paid", twice("refund").alarm)
        assert.are.equal("duplicate_paid", twice("review").alarm)
    end)
end)

describe("another attempt may start", function()
    local function may(payment, ...)
        local open = {}
        for i, state in ipairs { ... } do
            open[i] = { state = state }
        end
        return states.may_start(support.payment(payment), open)
    end

    it("beside none", function()
        assert.is_true(may {})
        assert.is_true(may { state = "created" })
    end)

    it("beside one that waits for its payer only when a second success is given back", function()
        for _, state in ipairs { "issued", "waiting_payer" } do
            assert.is_true(may({ parallel = "refund_surplus" }, state))
            assert.are.same({ false, "attempt_open" }, { may({ parallel = "none" }, state) })
        end
        assert.is_true(may({ parallel = "refund_surplus" }, "issued", "waiting_payer"))
    end)

    it("never beside one that may be taking money", function()
        for _, state in ipairs { "new", "sent", "processing", "unknown", "authorized" } do
            assert.are.same({ false, "attempt_open" },
                { may({ parallel = "refund_surplus" }, "issued", state) }, state)
        end
    end)

    it("only of an open payment that nobody wants closed", function()
        for _, state in ipairs { "authorized", "paid", "closed", "failed", "review" } do
            assert.are.same({ false, "state_conflict" }, { may { state = state } }, state)
        end
        assert.are.same({ false, "state_conflict" }, { may { closing = "merchant" } })
    end)
end)

describe("every decision", function()
    local words = { "succeeded", "waiting_payer", "processing", "expired", "cancelled", "declined", "unknown",
        "not_found", "authorized", "gibberish" }

    it("keeps to the state table and never leaves paid", function()
        for payment in pairs(states.payment) do
            for attempt in pairs(states.attempt) do
                for _, word in ipairs(words) do
                    local made = case({ state = payment }, { state = attempt },
                        support.success { state = word },
                        { now = support.now + 2000000 })
                    local decision = decide(made)
                    local label = payment .. "/" .. attempt .. "/" .. word
                    if decision.attempt then
                        assert.is_true(states.may(attempt, decision.attempt.to), label)
                    end
                    if decision.payment and decision.payment.to then
                        assert.are_not.equal("paid", payment, label)
                        assert.is_true(payment ~= "review", label)
                    end
                    assert.is_true(decision.event ~= nil or decision.payment == nil, label)
                    assert.is_string(decision.detail, label)
                end
            end
        end
    end)
end)
