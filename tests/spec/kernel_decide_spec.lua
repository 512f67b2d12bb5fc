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
