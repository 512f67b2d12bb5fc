-- The guards of refunds' statements against the state table, in a real SQLite: what states.lua does not know,
-- no statement does, and no sum ever exceeds the one it is part of.
require "tests.spec.kernel_support"
local kernel_store = require "tests.spec.kernel_store"
local states = require "tael.kernel.states"

local store

setup(function() store = kernel_store.new(3, function() return 1768443630000 end) end)
teardown(function() store:remove() end)

local HASH = ("h"):rep(32)

local function run(sql)
    local said = store:run(sql)
    assert(#said == 0, said[1])
end

--- One paid payment of 1000 with one refund of 400.
local function begin(state, payment)
    run "DELETE FROM payments; DELETE FROM attempts; DELETE FROM refunds; DELETE FROM timers;"
    assert(store:commit {
        { "payment.insert", { payment = 1, merchant_order_id = "A1", request = ("r"):rep(16),
            state = "pending", amount = 1000, currency = "CNY", capture = "automatic", parallel = "none",
            attempt = 2, hash = HASH, now = 1, expires_at = 9 } },
        { "refund.insert", { refund = 5, payment = 1, attempt = 2, merchant_refund_id = "R1",
            request = ("r"):rep(16), amount = 400, currency = "CNY", now = 1, due = 77 } },
    })
    run(("UPDATE payments SET state = '%s', captured_amount = 1000, refund_reserved = 400;"):format(payment
        or "paid"))
    run(("UPDATE refunds SET evidence = 9, succeeded_at = 1, state = '%s';"):format(state))
end

local function try(name, params)
    local done, err = store:commit { { name, params } }
    return done ~= nil, err
end

local move = { refund = 5, payment = 1, refund_version = 1, due_was = 77, due = 78, now = 2, amount = 400,
    evidence = 9, succeeded_at = 2 }

local function with(values, changed)
    local out = {}
    for name, value in pairs(values) do
        out[name] = value
    end
    for name, value in pairs(changed) do
        out[name] = value ~= "none" and value or nil
    end
    return out
end

describe("attempt.with_payment", function()
    local function columns_of(name)
        local lines = store:run(("SELECT name FROM pragma_table_info('%s');"):format(name))
        return { table.unpack(lines, 2) } -- the first is the heading
    end

    it("gives every column of both, as if they were read one by one", function()
        run "DELETE FROM payments; DELETE FROM attempts; DELETE FROM timers;"
        begin "created"
        assert(store:commit { { "attempt.insert", { attempt = 2, payment = 1, account = 7, product = "page",
            attempt_state = "issued", amount = 1000, currency = "CNY", expires_at = 9, now = 1, due = 5 } } })
        run [[UPDATE payments SET reason = 'other', late = 1, closing = 'expired', proposal = '{}',
            paid_at = 8, closed_at = 9, authorized_amount = 1000, counted = x'01';]]
        run [[UPDATE attempts SET prev = 1, trade_no = 'T1', evidence = 4, code = 'OK', next_action = '{}';]]
        local row = store:query("attempt.with_payment", { attempt = 2 })[1]
        local payment = store:query("payment.get", { payment = 1 })[1]
        for _, column in ipairs(columns_of "payments") do
            assert.is_not_nil(payment[column:match "^'(.*)'$"], column)
        end
        assert.are.same(payment, row.of)
        row.of = nil
        assert.are.same(store:query("attempt.get", { attempt = 2 })[1], row)
        assert.are.same({}, store:query("attempt.with_payment", { attempt = 3 }))
    end)
end)

describe("refund.move", function()
    it("does exactly the moves of the table", function()
        for from, moves in pairs(states.refund) do
            for to in pairs(states.refund) do
                begin(from)
                local sent = from == "created" or from == "abnormal" and to == "pending" -- refund.send
                local changed = try("refund.move", with(move, { refund_state = to, refund_state_was = from }))
                assert.are.equal(moves[to] == true and not sent, changed, from .. " -> " .. to)
            end
        end
    end)

    for what, changed in pairs {
        ["a stale version"] = { refund_version = 2 }, ["another payment"] = { payment = 9 },
        ["another amount"] = { amount = 399 }, ["a lease that was taken over"] = { due_was = 76 },
        ["no lease"] = { due_was = 0 }, ["another state before"] = { refund_state_was = "unknown" },
        ["no evidence"] = { evidence = "none" },
    } do
        it("does nothing with " .. what, function()
            begin "pending"
            local params = with(move, { refund_state = "succeeded", refund_state_was = "pending" })
            assert.is_false(try("refund.move", with(params, changed)))
        end)
    end

    it("needs no evidence for silence", function()
        begin "pending"
        assert.is_true(try("refund.move", with(move, { refund_state = "unknown",
            refund_state_was = "pending", evidence = "none", succeeded_at = "none" })))
        assert.are.equal(78, store:query("refund.get", { refund = 5 })[1].due)
    end)
end)

describe("refund.send", function()
    local send = { refund = 5, payment = 1, refund_version = 1, due_was = 77, due = 78, now = 2 }

    it("starts from where a request may leave, and from nowhere else", function()
        for from in pairs(states.refund) do
            begin(from)
            assert.are.equal(from == "created" or from == "abnormal", (try("refund.send", send)), from)
        end
    end)

    it("waits while another one is on its way, or may be", function()
        for other in pairs(states.refund) do
            begin "created"
            assert(store:commit { { "refund.insert", { refund = 6, payment = 1, attempt = 2,
                merchant_refund_id = "R2", request = ("r"):rep(16), amount = 1, currency = "CNY", now = 1,
                due = 79 } } })
            run(("UPDATE refunds SET evidence = 9, succeeded_at = 1, state = '%s' WHERE id = 6;"):format(
                other))
            assert.are.equal(other ~= "pending" and other ~= "unknown", (try("refund.send", send)), other)
        end
    end)

    it("does nothing without the lease", function()
        begin "created"
        assert.is_false(try("refund.send", with(send, { due_was = 1 })))
        assert.is_false(try("refund.send", with(send, { refund_version = 2 })))
    end)
end)

describe("the payment's sums", function()
    local head = { payment = 1, version_was = 1, hash = HASH, now = 2 }

    it("reserve what was captured, and of what is paid only", function()
        for _, name in ipairs { "payment.reserve", "payment.reserve_late" } do
            for state in pairs(states.payment) do
                begin("created", state)
                local params = with(head, { amount = 600, currency = "CNY" })
                assert.are.equal(state == "paid", (try(name, params)))
            end
            for _, changed in ipairs { { amount = 601 }, { currency = "USD" }, { version_was = 2 } } do
                begin "created"
                local params = with(head, { amount = 600, currency = "CNY" })
                assert.is_false(try(name, with(params, changed)))
            end
        end
    end)

    it("take in a surplus and reserve it at once", function()
        begin "created"
        assert.is_true(try("payment.reserve_surplus", with(head, { amount = 1000, currency = "CNY" })))
        local row = store:query("payment.get", { payment = 1 })[1]
        assert.are.equal(2000, row.captured_amount)
        assert.are.equal(1400, row.refund_reserved)
    end)

    it("take in a surplus that stays, for whoever gives it back", function()
        begin "created"
        assert.is_false(try("payment.surplus", with(head, { amount = 1000, currency = "USD" })))
        assert.is_true(try("payment.surplus", with(head, { amount = 1000, currency = "CNY" })))
        local row = store:query("payment.get", { payment = 1 })[1]
        assert.are.equal(2000, row.captured_amount)
        assert.are.equal(400, row.refund_reserved)
    end)

    it("give back and release no more than is reserved", function()
        begin "pending"
        assert.is_false(try("payment.refunded", with(head, { amount = 401 })))
        assert.is_true(try("payment.refunded", with(head, { amount = 400 })))
        local after = with(head, { version_was = 2 })
        assert.is_false(try("payment.refunded", with(after, { amount = 1 })))
        assert.is_false(try("payment.release", with(after, { amount = 1 })))
        begin "pending"
        assert.is_false(try("payment.release", with(head, { amount = 401 })))
        assert.is_true(try("payment.release", with(head, { amount = 400 })))
    end)

    it("are checked by the table too, whatever a statement does", function()
        begin "pending"
        for _, sql in ipairs {
            "UPDATE payments SET refund_reserved = 1001;", "UPDATE payments SET refunded_amount = 401;",
            "UPDATE payments SET refunded_amount = -1;", "UPDATE payments SET captured_amount = 399;",
            "UPDATE refunds SET amount = 0;", "UPDATE refunds SET state = 'gone';",
            "UPDATE refunds SET evidence = NULL, state = 'succeeded';",
            "UPDATE refunds SET succeeded_at = NULL, state = 'succeeded';",
            "UPDATE refunds SET evidence = NULL, state = 'failed';",
            "UPDATE payments SET closing = 'soon';",
        } do
            local said = store:run(sql)[1]
            assert.is_truthy(said and said:find("CHECK constraint failed", 1, true), sql)
        end
    end)
end)

describe("refund.insert", function()
    it("takes a number once for each merchant", function()
        begin "created"
        local second = { refund = 6, payment = 1, attempt = 2, merchant_refund_id = "R1",
            request = ("r"):rep(16), amount = 1, currency = "CNY", now = 1, due = 79 }
        local _, err = try("refund.insert", second)
        assert.are.equal("twin", err.otherwise)
        second.merchant_refund_id = "R2"
        assert.is_true(try("refund.insert", second))
    end)
end)

describe("captures and disputes", function()
    it("hold what their objects allow", function()
        run [[INSERT INTO captures VALUES (3, 1, 1, 2, 'C1', x'00', 'created', 5, 'CNY', 1, NULL, NULL, 1, 1,
            NULL);]]
        run "INSERT INTO disputes VALUES (3, 1, 1, 2, 7, 'D1', 'open', 5, 'CNY', NULL, NULL, 9, 1, 1);"
        for _, sql in ipairs {
            "UPDATE captures SET state = 'cancelled';", "UPDATE captures SET final = 2;",
            "UPDATE captures SET amount = 0;", "UPDATE captures SET state = 'succeeded';",
            "UPDATE disputes SET state = 'paid';", "UPDATE disputes SET amount = 0;",
        } do
            local said = store:run(sql)[1]
            assert.is_truthy(said and said:find("CHECK constraint failed", 1, true), sql)
        end
    end)
end)

describe("refund.in_turn", function()
    it("is the one under way, else the oldest that waits", function()
        begin "created"
        assert(store:commit { { "refund.insert", { refund = 6, payment = 1, attempt = 2,
            merchant_refund_id = "R2", request = ("r"):rep(16), amount = 1, currency = "CNY", now = 1,
            due = 79 } } })
        local function first() return (store:query("refund.in_turn", { payment = 1 })[1] or {}).id end
        assert.are.equal(5, first())
        run "UPDATE refunds SET state = 'unknown' WHERE id = 6;"
        assert.are.equal(6, first())
        run "UPDATE refunds SET state = 'abnormal' WHERE id = 6;"
        assert.are.equal(5, first())
        run "UPDATE refunds SET evidence = 1, state = 'failed';"
        assert.is_nil(first())
    end)
end)
