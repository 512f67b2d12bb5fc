-- Refunds from the request to their end, on a real SQLite: what is sent when, what each answer does, what a
-- crash at any commit leaves, and that the money of a payment is never given back twice.
local world = require "tests.spec.kernel_refund_support"

local refunds = world.refunds
local done, found, said, script = world.done, world.found, world.said, world.script

local function ops()
    local out = {}
    for i, sent in ipairs(world.sent) do
        out[i] = sent.op
    end
    return out
end

local function state_of(result)
    return world.row(result.refund.id).state
end

local function ask(...)
    local result, err = world.ask(...)
    assert.is_nil(err)
    return result
end

before_each(function() world.begin() end)

describe("a refund", function()
    it("is given back in parts, then whole", function()
        script({ "refund", done(500) }, { "refund", done(1234) })
        local first = ask { amount = 500, merchant_refund_id = "R1", reason = "size" }
        assert.is_false(first.replayed)
        local view = first.refund
        assert.are.equal("succeeded", view.state)
        assert.are.equal("R1", view.merchant_refund_id)
        assert.are.equal("size", view.reason)
        assert.are.equal(view.id:sub(5), view.refund_no)
        assert.are.equal(500, world.payment_row().refunded_amount)
        local rest = ask({}, { idempotency_key = "k1" }).refund
        assert.are.equal(734, rest.amount)
        assert.are.equal(rest.id, rest.merchant_refund_id)
        assert.are.equal(1234, world.payment_row().refunded_amount)
        local types = {}
        for i, event in ipairs(world.check()) do
            types[i] = event.type
        end
        assert.are.same({ "payment.created", "payment.paid", "refund.created", "refund.pending",
            "refund.succeeded", "refund.created", "refund.pending", "refund.succeeded" }, types)
    end)

    it("never exceeds what was captured", function()
        script({ "refund", done(1000) })
        ask { amount = 1000, merchant_refund_id = "R1" }
        local result, err = world.ask { amount = 235, merchant_refund_id = "R2" }
        assert.is_nil(result)
        assert.are.equal("refund_exceeds_captured", err.code)
        assert.are.same({ refundable = 234 }, err.members)
        assert.are.equal(1000, world.payment_row().refund_reserved)
    end)

    it("that may have been done keeps its money while the channel does not know the order", function()
        script({ "refund", said("unknown") }, { "refund_query", said("not_found") },
            { "refund", said("not_found", "TRADE_NOT_EXIST") })
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        world.advance(3600000)
        assert.are.equal("abnormal", state_of(result))
        assert.are.equal(500, world.payment_row().refund_reserved)
        assert.are.same({ "refund_abnormal" }, world.alarms)
        script({ "refund", said("conflict", "N") }, { "refund_query", found(500) })
        assert.are.equal("succeeded", refunds.retry(result.refund.id, "key_1").refund.state)
        world.check()
    end)

    it("is found again by its number and by its key", function()
        script({ "refund", done(500) }, { "refund", done(600) })
        local first = ask({ amount = 500, merchant_refund_id = "R1" }, { idempotency_key = "k" })
        for _, more in ipairs { {}, { idempotency_key = "k" }, { idempotency_key = "other" } } do
            local again = ask({ amount = 500, merchant_refund_id = "R1" }, more)
            assert.is_true(again.replayed)
            assert.are.equal(first.refund.id, again.refund.id)
        end
        local _, err = world.ask { amount = 501, merchant_refund_id = "R1" }
        assert.are.equal("merchant_refund_id_taken", err.code)
        assert.are.equal(first.refund.id, err.existing)
        _, err = world.ask({ amount = 501, merchant_refund_id = "R9" }, { idempotency_key = "k" })
        assert.are.equal("idempotency_key_reused", err.code)
        assert.are.equal("succeeded", ask({ amount = 100 }, { idempotency_key = "k2" }).refund.state)
        assert.are.equal(2, #world.sent)
    end)

    it("is found when it takes the money between two reads of its twin", function()
        script({ "refund", done(1234) })
        local store, first = require "tael.store", nil
        local query = store.query
        store.query = function(name, params)
            local rows = query(name, params)
            if name == "refund.by_merchant_no" then
                store.query = query
                first = ask { merchant_refund_id = "R1" }
            end
            return rows
        end
        local again = ask { merchant_refund_id = "R1" }
        store.query = query
        assert.is_true(again.replayed)
        assert.are.equal(first.refund.id, again.refund.id)
    end)

    it("is refused for what was not paid", function()
        world.begin(false)
        local _, err = world.ask { merchant_refund_id = "R1" }
        assert.are.equal("payment_not_refundable", err.code)
        _, err = world.ask({ merchant_refund_id = "R1" }, { payment = "pay_x" })
        assert.are.equal("not_found", err.code)
    end)

    it("is refused where the channel takes none, whole ones only, or none any more", function()
        local can = world.package.capabilities
        local function with(refund)
            can.refund = refund
            local _, err = world.ask { amount = 500, merchant_refund_id = "R1" }
            return err.code
        end
        local usual = can.refund
        local codes = {
            with(nil), with { partial = false }, with { window_ms = -1, window = "0d" },
            with { max_count = 0 },
        }
        can.refund = usual
        assert.are.same({ "not_implemented_by_channel", "payment_not_refundable", "payment_not_refundable",
            "payment_not_refundable" }, codes)
        world.prepared = nil
        local _, err = world.ask { amount = 500, merchant_refund_id = "R1" }
        assert.are.equal("no_channel_available", err.code)
        assert.are.equal(0, world.payment_row().refund_reserved)
    end)

    it("is refused with what the package has against it", function()
        local build = world.package.refund.build
        world.package.refund.build = function() return nil, { field = "reason", message = "too long" } end
        local _, err = world.ask { amount = 500, merchant_refund_id = "R1", reason = "x" }
        world.package.refund.build = build
        assert.are.equal("invalid_field", err.code)
        assert.are.equal("/reason", err.pointer)
        assert.are.equal(0, world.payment_row().refund_reserved)
    end)
end)

describe("an answer", function()
    it("declined releases the money", function()
        script({ "refund", said("declined", "NO", "merchant_limit") }, { "refund", done(1234) })
        local failed = ask({ merchant_refund_id = "R1" }).refund
        assert.are.equal("failed", failed.state)
        assert.are.same({ code = "declined", decline_code = "merchant_limit", channel_code = "NO",
            message = failed.failure.message }, failed.failure)
        assert.are.equal(0, world.payment_row().refund_reserved)
        assert.are.equal("succeeded", ask({ merchant_refund_id = "R2" }).refund.state)
        world.check()
    end)

    it("taken is asked about after the channel's pause", function()
        script({ "refund", said("pending", "P") }, { "refund_query", found(500, "pending") },
            { "refund_query", found(500) })
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        assert.are.equal("pending", result.refund.state)
        world.advance(9000)
        assert.are.equal(1, #world.sent)
        world.advance(2000)
        assert.are.equal(2, #world.sent)
        world.advance(60000)
        assert.are.equal("succeeded", state_of(result))
        world.check()
    end)

    it("with another sum is asked about", function()
        script({ "refund", done(700) }, { "refund_query", found(500) })
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        assert.are.equal("pending", result.refund.state)
        world.advance(11000)
        assert.are.equal("succeeded", state_of(result))
    end)

    it("that never comes is asked about, and the same number goes again when it is not there", function()
        script({ "refund", said "unknown" }, { "refund_query", said "unknown" },
            { "refund_query", said("not_found", "N") }, { "refund", done(500) })
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        assert.are.equal("unknown", result.refund.state)
        world.advance(60000)
        assert.are.equal("succeeded", state_of(result))
        assert.are.same({ "refund", "refund_query", "refund_query", "refund" }, ops())
        for _, sent in ipairs(world.sent) do
            assert.are.equal(world.sent[1].refund, sent.refund)
            assert.are.equal(500, sent.amount)
        end
        world.check()
    end)

    it("that never comes is alarmed and never given up", function()
        world.answer = function() return said "unknown" end
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        world.advance(1790000)
        assert.are.same({}, world.alarms)
        world.advance(200000)
        assert.are.equal("unknown_too_long", world.alarms[1])
        assert.are.equal("unknown", state_of(result))
        assert.are.equal(500, world.payment_row().refund_reserved)
        local before = #world.sent
        world.advance(3600000)
        assert.is_true(#world.sent - before >= 59 and #world.sent - before <= 61)
        world.check()
    end)

    it("declined after silence counts only when the refund is not there", function()
        world.answer = function(op)
            if op == "refund_query" then
                return said("not_found", "N")
            end
            return #world.sent == 1 and said "unknown" or said("declined", "NO", "other")
        end
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        world.advance(19000) -- the first request is so new that it may still be under way
        assert.are.same({ "refund", "refund_query", "refund", "refund_query" },
            table.move(ops(), 1, 4, 1, {}))
        assert.are.equal("unknown", state_of(result))
        assert.are.equal(500, world.payment_row().refund_reserved)
        world.advance(60000)
        assert.are.equal("failed", state_of(result))
        assert.are.equal("other", world.row(result.refund.id).decline_code)
        assert.are.equal(0, world.payment_row().refund_reserved)
        world.check()
    end)

    it("that says slowly that a declined refund is not there is as old as its question", function()
        local function slowly(ms, answer)
            return function()
                world.now = world.now + ms
                return answer
            end
        end
        script({ "refund", slowly(10000, said "unknown") }, { "refund_query", said("not_found", "N") },
            { "refund", said("declined", "NO", "other") },
            { "refund_query", slowly(9000, said("not_found", "N")) }, { "refund_query", found(500) })
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        world.advance(12000) -- asked when the first request was twelve seconds old
        assert.are.equal(4, #world.sent)
        assert.are.equal("unknown", state_of(result))
        assert.are.equal(500, world.payment_row().refund_reserved)
        world.advance(60000)
        assert.are.equal("succeeded", state_of(result))
        world.check()
    end)

    it("declined after silence loses to a refund that is there", function()
        script({ "refund", said "unknown" }, { "refund_query", said("not_found", "N") },
            { "refund", said("declined", "NO", "other") }, { "refund_query", found(500) })
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        world.advance(4000)
        assert.are.equal("succeeded", state_of(result))
    end)

    it("of a state that forbids it is asked about at once", function()
        script({ "refund", said("conflict", "C") }, { "refund_query", said("not_found", "N") })
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        world.run()
        assert.are.equal("failed", state_of(result))
        world.begin()
        script({ "refund", said("conflict", "C") }, { "refund_query", found(500) })
        result = ask { amount = 500, merchant_refund_id = "R1" }
        world.run()
        assert.are.equal("succeeded", state_of(result))
    end)

    it("abnormal keeps the money until a person tries again, with the same number", function()
        script({ "refund", said("abnormal", "A") }, { "refund", said("abnormal", "A") },
            { "refund", done(500) })
        local view = ask({ amount = 500, merchant_refund_id = "R1" }).refund
        assert.are.equal("abnormal", view.state)
        assert.are.equal("abnormal", view.failure.code)
        assert.are.same({ "refund_abnormal" }, world.alarms)
        assert.is_nil(world.row(view.id).due)
        world.advance(86400000)
        assert.are.equal(1, #world.sent)
        assert.are.equal(500, world.payment_row().refund_reserved)
        assert.are.equal("abnormal", refunds.retry(view.id, "key_2").refund.state)
        world.advance(5000)
        local retried = assert(refunds.retry(view.id, "key_2"))
        assert.are.equal("succeeded", retried.refund.state)
        assert.are.equal(world.sent[1].refund, world.sent[3].refund)
        world.advance(5000)
        local _, err = refunds.retry(view.id, "key_2")
        assert.are.equal("state_conflict", err.code)
        assert.are.equal("succeeded", err.members.state)
        world.check()
    end)

    it("abnormal leaves the way free for others, and a retry waits for its turn", function()
        script({ "refund", said("abnormal", "A") }, { "refund", said "unknown" },
            { "refund_query", found(100) }, { "refund", done(600) })
        local first = ask({ amount = 500, merchant_refund_id = "R1" }).refund
        ask { amount = 100, merchant_refund_id = "R2" }
        world.advance(1100)
        local _, err = refunds.retry(first.id, "key_2")
        assert.are.equal("attempt_open", err.code)
        world.advance(5000)
        assert.are.equal("succeeded", refunds.retry(first.id, "key_2").refund.state)
        world.check()
    end)

    it("that our keys are refused is repeated until they are not", function()
        script({ "refund", said("config", "K") }, { "refund_query", said("config", "K") },
            { "refund_query", said("not_found", "N") }, { "refund", done(500) })
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        assert.are.equal("pending", result.refund.state)
        world.advance(60000)
        assert.are.equal("succeeded", state_of(result))
    end)

    it("that nothing has left is repeated, and counts as the first request", function()
        script({ "refund", said "not_sent" }, { "refund", said("declined", "NO", "other") })
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        assert.are.equal("pending", result.refund.state)
        world.advance(11000)
        assert.are.equal("failed", state_of(result))
        world.check()
    end)

    it("with another amount under the number is alarmed, and settles nothing", function()
        script({ "refund", said "unknown" }, { "refund_query", found(499) })
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        world.advance(3000)
        assert.are.equal("unknown", state_of(result))
        assert.are.same({ "refund_amount_differs" }, world.alarms)
    end)
end)

describe("refunds of one payment", function()
    it("are sent one after the other, whoever asks meanwhile", function()
        local under_way, most, total, others = 0, 0, 0, {}
        world.answer = function(op, refund)
            assert.are.equal("refund", op)
            under_way, most = under_way + 1, math.max(most, under_way + 1)
            for i = #others + 1, #others == 0 and 4 or 0 do
                others[i] = ask { amount = 100 + i, merchant_refund_id = "other" .. i }
                assert.are.equal("created", others[i].refund.state)
            end
            under_way, total = under_way - 1, total + refund.amount
            return done(total)
        end
        ask { amount = 100, merchant_refund_id = "first" }
        world.run()
        assert.are.equal(1, most)
        assert.are.equal(510, world.payment_row().refunded_amount)
        assert.are.equal(5, #world.sent)
        for i, other in ipairs(others) do
            assert.are.equal(other.refund.amount, world.sent[i + 1].amount)
        end
        world.check()
    end)

    it("wait while one is unknown, and go on when it is settled", function()
        script({ "refund", said "unknown" }, { "refund_query", said "unknown" },
            { "refund_query", found(100) }, { "refund", done(300) }, { "refund", done(600) })
        ask { amount = 100, merchant_refund_id = "R1" }
        local second = ask { amount = 200, merchant_refund_id = "R2" }
        local third = ask { amount = 300, merchant_refund_id = "R3" }
        assert.are.equal("created", state_of(second))
        world.advance(4000)
        assert.are.equal("created", state_of(third))
        world.advance(120000)
        assert.are.equal("succeeded", state_of(second))
        assert.are.equal("succeeded", state_of(third))
        assert.are.equal(5, #world.sent)
        world.check()
    end)

    it("compete for the money: the update of the payment decides", function()
        world.answer = function(_, refund) return done(refund.amount) end
        local raced = false
        world.before_commit = function(list)
            if list[1][1] == "payment.reserve" and not raced then
                raced = true -- another one comes between the read and the commit
                assert(world.ask { amount = 1000, merchant_refund_id = "first" })
            end
        end
        local result, err = world.ask { amount = 1000, merchant_refund_id = "second" }
        assert.is_nil(result)
        assert.are.equal("refund_exceeds_captured", err.code)
        assert.are.same({ refundable = 234 }, err.members)
        world.run()
        world.check()
    end)

    it("made by two requests at once are one", function()
        world.answer = function(_, refund) return done(refund.amount) end
        for _, more in ipairs { {}, { idempotency_key = "k" } } do
            world.begin()
            world.answer = function(_, refund) return done(refund.amount) end
            local raced, twin = false, nil
            world.before_commit = function(list)
                if not raced and (list[1][1] == "payment.reserve" or list[1][1] == "idempotency.insert") then
                    raced = true
                    twin = assert(world.ask({ amount = 400, merchant_refund_id = "R1" }, more))
                end
            end
            local result = ask({ amount = 400, merchant_refund_id = "R1" }, more)
            assert.is_true(result.replayed)
            assert.are.equal(twin.refund.id, result.refund.id)
            assert.are.equal(400, world.payment_row().refund_reserved)
        end
    end)
end)

describe("a crash", function()
    --- The n-th commit of a run does not return; the process is gone with all its tasks.
    local function crash_at(n, after)
        local count = 0
        world.before_commit = function(list)
            count = count + 1
            if count == n then
                world.before_commit = nil
                if after then
                    world.store:commit(list)
                end
                error({ crash = true }, 0)
            end
        end
    end

    --- The channel as it really is: what it has done it has done, whoever hears of it.
    local function channel(silent)
        local given, numbers, calls = 0, {}, 0
        world.answer = function(op, refund)
            calls = calls + 1
            if op == "refund" and not numbers[refund.id] then
                numbers[refund.id], given = refund.amount, given + refund.amount
            end
            if silent[calls] then
                return said "unknown"
            elseif op == "refund" then
                return done(given)
            end
            return numbers[refund.id] and found(numbers[refund.id]) or said("not_found", "N")
        end
        return function() return given end
    end

    for _, silent in ipairs { {}, { true }, { true, true } } do
        for _, after in ipairs { false, true } do
            it(("before and after any commit, %d answers lost (%s): the money goes once"):format(#silent,
                after and "after" or "before"), function()
                for n = 1, 8 do
                    world.begin()
                    local given = channel(silent)
                    crash_at(n, after)
                    local function first()
                        world.ask { amount = 500, merchant_refund_id = "R1" }
                        world.run()
                        world.advance(120000)
                    end
                    local ran, message = pcall(first)
                    assert.is_true(ran or message.crash, tostring(message))
                    world.tasks, world.before_commit = {}, nil
                    local again = ask { amount = 500, merchant_refund_id = "R1" } -- the client asks again
                    world.advance(300000)
                    assert.are.equal("succeeded", state_of(again), "crash at commit " .. n)
                    assert.are.equal(500, given())
                    assert.are.equal(500, world.payment_row().refunded_amount)
                    world.check()
                end
            end)
        end
    end
end)

describe("an answer that comes too late", function()
    it("is kept and moves nothing: the timer has gone on without it", function()
        local first = true
        world.answer = function(op)
            if first then
                first = false
                world.advance(60000) -- the lease has run out: asked, not there, sent again, done
                return said("declined", "NO", "other")
            end
            return op == "refund" and done(500) or said("not_found", "N")
        end
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        assert.are.equal("succeeded", state_of(result))
        assert.are.same({ "refund", "refund_query", "refund" }, ops())
        assert.are.same({}, world.alarms)
        local calls = world.store:query("call.of_object", { object = world.row(result.refund.id).id })
        assert.are.equal("declined", calls[1].class)
        world.check()
    end)

    it("is waited for as long as the configuration says, by everybody", function()
        world.limit = 60000
        world.answer = function()
            world.advance(59000)
            assert.are.equal(1, #world.sent)
            return done(500)
        end
        assert.are.equal("succeeded", ask({ amount = 500, merchant_refund_id = "R1" }).refund.state)
        world.check()
    end)

    it("is not hurried by whoever knew the refund before it was sent", function()
        local before
        world.before_commit = function(list)
            before = list[1][1] == "payment.reserve" and list[2][2] or before
        end
        world.answer = function()
            assert.are.equal(1, #world.sent) -- it is not there yet: asking now would send it twice
            refunds.turn { id = before.refund, actor = "timer", holds = before.due }
            require("tael.kernel.refund_drive").waiting(world.payment)
            world.run()
            return done(500)
        end
        assert.are.equal("succeeded", ask({ amount = 500, merchant_refund_id = "R1" }).refund.state)
        assert.are.equal(1, #world.sent)
    end)

    it("does not settle what somebody else is asking about", function()
        local asked = 0
        world.answer = function()
            asked = asked + 1
            if asked == 1 then
                world.advance(30000) -- taken over by the timer, whose own call is lost
                return done(500)
            end
            return said "unknown"
        end
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        assert.are.equal("pending", state_of(result))
        world.answer = function() return found(500) end
        world.advance(120000)
        assert.are.equal("succeeded", state_of(result))
        world.check()
    end)
end)

describe("a refund without a request", function()
    local function automatic(reason)
        return function(after, attempt)
            return (world.units.automatic { payment = after, attempt = attempt, amount = 1234,
                reason = reason, now = world.now, actor = "channel:spec" })
        end
    end

    it("follows a late success in the same unit", function()
        world.begin(false)
        world.pay(world.attempt, automatic "late")
        local row = world.payment_row()
        assert.are.equal(1234, row.captured_amount)
        assert.are.equal(1234, row.refund_reserved)
        script({ "refund", done(1234) })
        world.advance(1000)
        assert.are.equal(1234, world.payment_row().refunded_amount)
        local list = world.check()
        assert.are.equal("refund.created", list[3].type)
        assert.are.equal(list[2].id, list[3].prev)
    end)

    it("that the channel declines is told to a person", function()
        world.begin(false)
        world.pay(world.attempt, automatic "late")
        script({ "refund", said("declined", "NO", "other") })
        world.advance(1000)
        assert.are.same({ "automatic_refund_failed" }, world.alarms)
        world.begin()
        script({ "refund", said("declined", "NO", "other") })
        ask { merchant_refund_id = "R1", reason = "late" }
        assert.are.same({}, world.alarms, "who has asked for it sees it")
    end)

    it("leaves the other order to be given back where only whole ones are", function()
        world.begin(false)
        local second, can = world.issue(), world.package.capabilities
        world.pay(world.attempt)
        world.pay(second, automatic "duplicate")
        script({ "refund", done(1234) }, { "refund", done(1234) })
        world.advance(1000)
        local usual = can.refund
        can.refund = { partial = false }
        local _, part = world.ask { amount = 500, merchant_refund_id = "R1" }
        local whole, err = world.ask { merchant_refund_id = "R2" }
        can.refund = usual
        assert.are.equal("payment_not_refundable", part.code)
        assert.are.same({}, { err and err.code })
        assert.are.equal(1234, whole.refund.amount)
        world.check()
    end)

    it("follows a second success, which is captured and reserved at once", function()
        world.begin(false)
        local second = world.issue()
        world.pay(world.attempt)
        world.pay(second, automatic "duplicate")
        local row = world.payment_row()
        assert.are.equal(2468, row.captured_amount)
        assert.are.equal(1234, row.refund_reserved)
        script({ "refund", done(1234) }, { "refund", done(1234) })
        world.advance(1000)
        assert.are.equal(second, world.store:query("refund.of_payment", { payment = world.payment, after = 0,
            n = 10 })[1].attempt)
        -- what is left is the first order's
        local result = ask { merchant_refund_id = "R1" }
        assert.are.equal(1234, result.refund.amount)
        assert.are.equal(world.attempt, world.row(result.refund.id).attempt)
        assert.are.equal(2468, world.payment_row().refunded_amount)
        world.check()
    end)
end)

describe("a message", function()
    it("about money that our own cancel gave back is no news, and of anybody else it is", function()
        local hint, hints = { order_no = "o" }, require "tael.kernel.refund_hints"
        local function foreign(payment, attempt)
            attempt.id = world.attempt
            return #select(2, hints.statements({ hint }, setmetatable(payment,
                { __index = world.payment_row() }), attempt))
        end
        assert.are.equal(1, foreign({}, { state = "succeeded" }))
        assert.are.equal(0, foreign({}, { state = "cancelled" }))
        assert.are.equal(0, foreign({ closing = "cancel" }, { state = "waiting_payer" }))
    end)

    it("about one refund several times lets it be asked about once", function()
        script({ "refund", said("pending", "P") }, { "refund_query", found(500) })
        local result = ask { amount = 500, merchant_refund_id = "R1" }
        world.advance(5000)
        local hints = { { refund_no = result.refund.refund_no }, {}, { refund_no = result.refund.refund_no } }
        local list, foreign = require("tael.kernel.refund_hints").statements(hints, world.payment_row(),
            { id = world.attempt })
        assert.are.same({}, foreign)
        assert.is_truthy(world.store:commit(list))
        world.advance(10)
        assert.are.equal("succeeded", state_of(result))
    end)
end)

describe("reading", function()
    it("finds one, many, and none of another", function()
        world.answer = function(_, refund) return said("pending", tostring(refund.amount)) end
        local first = ask({ amount = 1, merchant_refund_id = "R1" }).refund
        local second = ask({ amount = 2, merchant_refund_id = "R2" }).refund
        assert.are.equal("R1", refunds.get(first.id).merchant_refund_id)
        assert.are.equal("not_found", select(2, refunds.get("ref_x")).code)
        local list, rest = refunds.list { limit = 1 }
        assert.are.equal(second.id, list[1].id)
        list, rest = refunds.list { limit = 1, before = rest, payment = world.payment }
        assert.are.equal(first.id, list[1].id)
        assert.is_nil(rest)
        assert.are.equal(second.id, refunds.list({ limit = 9, merchant_refund_id = "R2" })[1].id)
        assert.are.equal(0, #refunds.list { limit = 9, merchant_refund_id = "R2", state = "failed" })
        assert.are.equal(1, #refunds.list { limit = 9, state = "created" })
    end)
end)
