-- The guards in the SQL against the state table, in a real SQLite (the sqlite3 program): what states.lua does
-- not know, no statement does, whoever asks for it.
require "tests.spec.kernel_support"
local states = require "tael.kernel.states"

local kernel_store = require "tests.spec.kernel_store"

local bind, schema = kernel_store.bind, kernel_store.schema

--- Runs SQL in one new database and gives what it prints. Errors are part of what is printed.
local function run(script)
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(schema, "\n", script)
    file:close()
    local pipe = assert(io.popen("sqlite3 -batch :memory: < " .. path .. " 2>&1"))
    local out = pipe:read("a")
    pipe:close()
    os.remove(path)
    return out
end

local payment = { merchant = 3, payment = 1, merchant_order_id = "A1", request = ("r"):rep(16),
    state = "pending",
    amount = 1234, currency = "CNY", capture = "automatic", parallel = "none", attempt = 2,
    hash = ("h"):rep(32),
    seq_event = 11, now = 1000, expires_at = 9000 }
local attempt = { merchant = 3, attempt = 2, payment = 1, account = 7, product = "page",
    attempt_state = "issued",
    amount = 1234, currency = "CNY", expires_at = 9000, now = 1000 }

local function with(values, changed)
    local out = {}
    for name, value in pairs(values) do
        out[name] = value
    end
    for name, value in pairs(changed or {}) do
        out[name] = value
    end
    return out
end

--- One payment and attempt in the given states, then a statement; the number of rows it changed.
local function script_for(payment_state, attempt_state, name, params, before)
    return table.concat({
        "DELETE FROM payments;", "DELETE FROM attempts;",
        bind("payment.insert", payment), bind("attempt.insert", attempt),
        ("UPDATE payments SET state = '%s', captured_amount = %d;"):format(payment_state,
            payment_state == "paid" and 1234 or 0),
        ("UPDATE attempts SET state = '%s', evidence = 5;"):format(attempt_state),
        before or "",
        bind(name, params), "SELECT changes();",
    }, "\n")
end

local function counts(scripts)
    local out = {}
    for line in run(table.concat(scripts, "\n")):gmatch("[^\n]+") do
        out[#out + 1] = assert(tonumber(line), line)
    end
    return out
end

local move = { merchant = 3, payment = 1, version_was = 1, hash = ("n"):rep(32), seq_event = 12, now = 2000,
    amount = 1234, currency = "CNY", paid_at = 2000, reason = "expired" }

describe("payment statements", function()
    local allowed = {
        ["payment.pay"] = { pending = true, closed = true, failed = true },
        ["payment.review"] = states.reviewable,
        ["payment.close"] = { created = true, pending = true },
        ["payment.fail"] = { pending = true },
    }
    for name, from in pairs(allowed) do
        it(name .. " matches exactly the states that may move", function()
            local order, scripts = {}, {}
            for state in pairs(states.payment) do
                order[#order + 1] = state
                scripts[#scripts + 1] = script_for(state, "issued", name, move)
            end
            for i, changed in ipairs(counts(scripts)) do
                assert.are.equal(from[order[i]] and 1 or 0, changed, order[i])
            end
        end)
    end

    it("payment.closing matches exactly the wishes that go before another", function()
        local cases, scripts = {}, {}
        for state in pairs(states.payment) do
            for was, wishes in pairs(states.closing) do
                for _, wish in ipairs { "merchant", "expired", "cancel" } do
                    cases[#cases + 1] = { state, was, wish,
                        (state == "pending" or state == "created") and wishes[wish] == true }
                    scripts[#scripts + 1] = script_for(state, "issued", "payment.closing",
                        with(move, { closing = wish }), was ~= "none"
                        and ("UPDATE payments SET closing = '%s';"):format(was) or nil)
                end
            end
        end
        for i, changed in ipairs(counts(scripts)) do
            local case = cases[i]
            assert.are.equal(case[4] and 1 or 0, changed, table.concat({ case[1], case[2], case[3] }, " "))
        end
    end)

    it("nobody wants a payment closed any more once it has left pending", function()
        for _, name in ipairs { "payment.pay", "payment.review", "payment.close", "payment.fail" } do
            local out = run(script_for("pending", "issued", name, move,
                "UPDATE payments SET closing = 'merchant';") .. "SELECT closing FROM payments;")
            assert.are.equal("1\n\n", out, name)
        end
    end)

    for what, changed in pairs {
        ["a stale version"] = { version_was = 2 }, ["another amount"] = { amount = 1233 },
        ["another currency"] = { currency = "USD" }, ["another merchant"] = { merchant = 4 },
        ["another payment"] = { payment = 9 },
    } do
        it("payment.pay does nothing with " .. what, function()
            assert.are.same({ 0 }, counts { script_for("pending", "issued", "payment.pay", with(move,
                changed)) })
        end)
    end

    it("payment.pay says whether it was late", function()
        local out = run(script_for("pending", "issued", "payment.pay", move) .. "SELECT late FROM payments;"
            .. script_for("closed", "issued", "payment.pay", move) .. "SELECT late FROM payments;")
        assert.are.equal("1\n0\n1\n1\n", out)
    end)

    it("nothing makes a payment paid without money, or gives back more than came", function()
        assert.matches("CHECK constraint", run(bind("payment.insert", payment)
            .. "UPDATE payments SET state = 'paid';"))
        assert.matches("CHECK constraint", run(bind("payment.insert", payment)
            .. "UPDATE payments SET captured_amount = 5, refund_reserved = 6;"))
        assert.matches("CHECK constraint", run(bind("payment.insert", with(payment, { amount = 0 }))))
        assert.matches("CHECK constraint", run(bind("payment.insert", with(payment, { state = "lost" }))))
    end)

    it("an order is inserted once", function()
        local again = bind("payment.insert", with(payment, { payment = 77 }))
        assert.are.equal("1\n0\n", run(bind("payment.insert", payment) .. "SELECT changes();" .. again
            .. "SELECT changes();"))
    end)
end)

describe("attempt statements", function()
    local change = { merchant = 3, attempt = 2, payment = 1, account = 7, trade_no = "T1", evidence = 5,
        now = 2000,
        amount = 1234, currency = "CNY", code = "X" }

    it("attempt.move matches exactly the moves of the table", function()
        local pairs_of, scripts = {}, {}
        for from in pairs(states.attempt) do
            for to in pairs(states.attempt) do
                pairs_of[#pairs_of + 1] = { from, to }
                scripts[#scripts + 1] = script_for("pending", from, "attempt.move",
                    with(change, { attempt_state = to, attempt_state_was = from }))
            end
        end
        for i, changed in ipairs(counts(scripts)) do
            local from, to = pairs_of[i][1], pairs_of[i][2]
            -- leaving new and succeeding have statements of their own
            local wanted = states.may(from, to) and to ~= "succeeded" and from ~= "new"
            assert.are.equal(wanted and 1 or 0, changed, from .. " -> " .. to)
        end
    end)

    it("attempt.move needs evidence", function()
        local params = with(change, { attempt_state = "unknown", attempt_state_was = "issued" })
        params.evidence = nil
        assert.are.same({ 0 }, counts { script_for("pending", "issued", "attempt.move", params) })
    end)

    it("attempt.succeed matches every state that may succeed", function()
        local order, scripts = {}, {}
        for from in pairs(states.attempt) do
            order[#order + 1] = from
            scripts[#scripts + 1] = script_for("pending", from, "attempt.succeed", change)
        end
        for i, changed in ipairs(counts(scripts)) do
            assert.are.equal(states.may(order[i], "succeeded") and 1 or 0, changed, order[i])
        end
    end)

    for what, changed in pairs {
        ["another amount"] = { amount = 1 }, ["another currency"] = { currency = "USD" },
        ["another account"] = { account = 8 }, ["another merchant"] = { merchant = 4 },
        ["another payment"] = { payment = 9 },
    } do
        it("attempt.succeed does nothing with " .. what, function()
            assert.are.same({ 0 },
                counts { script_for("pending", "issued", "attempt.succeed", with(change, changed)) })
        end)
    end

    it("a trade number belongs to one order of an account", function()
        local second = with(attempt, { attempt = 20, payment = 10 })
        local out = run(bind("attempt.insert", attempt) .. bind("attempt.insert", second)
            .. bind("attempt.succeed", change)
            .. bind("attempt.succeed", with(change, { attempt = 20, payment = 10 })))
        assert.matches("UNIQUE constraint failed: attempts.account, attempts.trade_no", out, 1, true)
    end)

    it("nothing succeeds without evidence", function()
        assert.matches("CHECK constraint", run(bind("attempt.insert", attempt)
            .. "UPDATE attempts SET state = 'succeeded';"))
    end)
end)

describe("the timer that counts", function()
    local change = { merchant = 3, attempt = 2, payment = 1, account = 7, evidence = 5, now = 2000,
        amount = 1234, currency = "CNY", code = "X" }

    --- The attempt's `due` after one statement.
    local function due_after(name, params, was)
        local out = run(script_for("pending", "sent", name, with(change, params),
            ("UPDATE attempts SET due = %s;"):format(was or "NULL")) .. "SELECT due FROM attempts;")
        return out
    end

    it("passes on only from the one that counted", function()
        assert.are.equal("1\n9\n", due_after("attempt.due", { due = 9, due_was = 8 }, 8))
        assert.are.equal("0\n8\n", due_after("attempt.due", { due = 9, due_was = 7 }, 8))
        assert.are.equal("1\n9\n", due_after("attempt.due", { due = 9, due_was = 0 }))
        local reversed = { due = 9, due_was = 8, attempt_state_was = "sent" }
        assert.are.equal("1\n9\n", due_after("attempt.reverse", reversed, 8))
        assert.are.equal("0\n7\n", due_after("attempt.reverse", reversed, 7))
        reversed.attempt_state_was = "waiting_payer"
        assert.are.equal("0\n8\n", due_after("attempt.reverse", reversed, 8))
    end)

    it("stays, changes or ends with a move", function()
        local to = { attempt_state = "unknown", attempt_state_was = "sent" }
        assert.are.equal("1\n8\n", due_after("attempt.move", to, 8))
        assert.are.equal("1\n9\n", due_after("attempt.move", with(to, { due = 9 }), 8))
        assert.are.equal("1\n\n", due_after("attempt.move", with(to, { due = 0 }), 8))
        assert.are.equal("1\n\n", due_after("attempt.succeed", { trade_no = "T1" }, 8))
    end)

    it("is named beside what is due, with the account that will be asked", function()
        local timer = { merchant = 3, due_id = 50, kind = "attempt", object = 2 }
        local out = run(bind("payment.insert", payment) .. bind("attempt.insert", with(attempt, { due = 50 }))
            .. bind("timer.insert", timer)
            .. bind("timer.insert", with(timer, { due_id = 40, object = 99 }))
            .. bind("timer.insert", with(timer, { due_id = 60 }))
            .. bind("timer.due", { after = 0, due_id = 60, n = 9 }))
        assert.are.equal("40|3|attempt|99|||\n50|3|attempt|2|issued|50|7\n", out)
        assert.are.equal("", run(bind("timer.insert", timer) .. bind("timer.due", { after = 50, due_id = 60,
            n = 9 })))
    end)
end)

describe("calls of an attempt", function()
    it("the last one is found however many there are: it holds back the next query", function()
        local scripts = {}
        for call = 1, 250 do
            scripts[call] = bind("call.insert", {
                merchant = 3, call = call, object = 10, op = "query", account = 7, request = "r",
            })
        end
        local asked = bind("call.last", { merchant = 3, object = 10 })
        assert.are.equal("250|query||7\n", run(table.concat(scripts) .. asked))
    end)
end)

describe("the plan of a statement", function()
    -- All are cut off by a limit, newest first; counter.oldest after one row.
    local walks = { ["counter.oldest"] = true, ["payment.list"] = true, ["payment.list_channel"] = true,
        ["payment.piece"] = true,
        ["refund.list"] = true, ["refund.piece"] = true, ["seal.last"] = true, ["job.all"] = true }

    local function is_walk(line)
        local scanned = line:match("SCAN (%S+)")
        return line:find("(merchant=?)", 1, true) or line:find("(merchant=? AND rowid", 1, true)
            or scanned and scanned ~= "CONSTANT" and scanned ~= "piece" -- rows of the statement's own
    end

    it("walks the rows of a whole merchant, or of all, nowhere but in lists", function()
        local scripts, found = {}, {}
        for name, statement in pairs(kernel_store.statements) do
            scripts[#scripts + 1] = ("SELECT '@%s';\nEXPLAIN QUERY PLAN %s"):format(name, statement.sql)
        end
        local of
        for line in run(table.concat(scripts, "\n")):gmatch("[^\n]+") do
            of = line:match("^@(.+)$") or of
            if is_walk(line) then
                found[of] = true
            end
        end
        assert.are.same(walks, found)
    end)
end)
