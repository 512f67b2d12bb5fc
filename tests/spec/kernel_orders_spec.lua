-- Orders: planned, sent, answered, gone on with. What an answer to the order itself does, and when the same
-- order is sent again.
local support = require "tests.spec.kernel_support"
local ids = require "tael.kernel.ids"
local json = require "tael.json"

local world -- of one example

local function note(word)
    world.steps[#world.steps + 1] = word
end

package.loaded["tael.kernel.calls"] = {
    build = function(asking)
        world.built = asking
        return world.build or { request = { ["local"] = { next_action = { type = "redirect" } } } }
    end,
    send = function(asking)
        note("send " .. asking.op)
        world.sent = asking
        if world.send_err then
            return nil, world.send_err
        end
        if asking.committed then
            asking.committed()
        end
        return world.asked(world.outcome)
    end,
    patience = function() return 12000 end,
    finish = function() return { "call.finish", {} } end,
    close = function() note "closed call" return { effect = "none" } end,
    proof = function(asked) return { kind = "cal", id = asked.call } end,
    under_way = function() return table.remove(world.under_way, 1) or false end,
    recent = function() return table.remove(world.recent, 1) or false end,
}
package.loaded["tael.kernel.query"] = {
    attempt = function()
        note "query"
        return { effect = "none" }, world.fact
    end,
    fact_of = function(outcome) return { kind = "payment", state = outcome.result.state } end,
}
package.loaded["tael.kernel.settle"] = {
    read = function() return world.attempt, world.payment end,
    alarm = function(kind) world.alarms[#world.alarms + 1] = kind end,
    commit = function(list)
        world.committed = list
        if world.commit_err then
            return nil, world.commit_err
        end
        return {}
    end,
    apply = function(input)
        world.settled = input
        return { effect = "applied" }
    end,
}
package.loaded["tael.kernel.evidence"] = {
    authentic = function() return not world.refused or nil, world.refused end,
    admit = function(input)
        world.admitted = input
        return not world.refused or nil, world.refused
    end,
}
package.loaded["tael.store"] = {
    query = function(name, params)
        assert(name == "call.last" and params.op == "create", name)
        return { world.last_create }
    end,
    commit = function() error "settle.commit commits" end,
    id_ms = function(id) return (id >> 22) + support.EPOCH_MS end,
    next_id = function() return support.id(support.now, 2) end,
}
package.loaded["tael.task"] = {
    last = function() end,
    wake = function() end, scope = function() return 3 end, pure = pcall,
    wait = function(_, ms)
        note("wait " .. ms)
        world.now = world.now + ms
    end,
    worker = function() return 1 end, spawn = function() end,
}
package.loaded["tael.time"] = { now = function() return world.now end,
    monotonic = function() return world.now end }
package.loaded["tael.log"] = { error = function() end, warn = function() note "logged" end,
    info = function() end }

local registry = require "tael.kernel.registry"
registry.config = { payments = { grace = 120000, poll = { 2000, 5000, 15000 } } }
registry.account = function() return { id = 7, channel = "alipay", merchant = 3 } end
registry.package = function()
    return { products = { qr = {} }, capabilities = { create = world.create }, stated = world.stated }
end

local due = require "tael.kernel.due"
local orders = require "tael.kernel.orders"

local ACCOUNT = { id = 7, channel = "alipay" }
local NUMBER = ids.order_number(support.attempt().id)

before_each(function()
    world = { now = support.now, steps = {}, alarms = {}, under_way = {}, recent = {},
        create = { repeatable = true }, payment = support.payment(),
        attempt = support.attempt { product = "qr", state = "sent", due = 55 } }
    world.asked = function(outcome)
        return { call = 9, op = "create", account = ACCOUNT, attempt = world.attempt, payment = world.payment,
            outcome = outcome }
    end
end)

local function plan(id)
    return orders.plan { id = id, payment = support.payment(), details = {}, account = ACCOUNT,
        product = "qr", expires_at = support.now + 1800000, prev = 4 }
end

describe("a planned order", function()
    it("that the payer carries is issued", function()
        local order = plan()
        assert.are.equal("issued", order.row.state)
        assert.are.same({ type = "redirect" }, order.next_action)
        assert.are.equal(4, order.row.prev)
        assert.are.equal(support.now, world.built.now, "of stored facts alone: the same bytes again")
        assert.are.equal(support.now + 1800000, due.ms(order.row.due))
    end)

    it("that we send is looked at when its answer should have come", function()
        world.build = { request = { url = "https://x" } }
        local order = plan()
        assert.are.equal("sent", order.row.state)
        assert.is_nil(order.next_action)
        assert.are.equal(support.now + 12000, due.ms(order.row.due))
    end)

    it("is looked at as soon when ids are ahead of the clock, which has gone back", function()
        world.build = { request = { url = "https://x" } }
        local order = plan(support.id(world.now + 3600000))
        assert.are.equal(world.now + 12000, due.ms(order.row.due))
        assert.are.equal(world.now, order.row.updated_at)
    end)

    it("names its timer in its row", function()
        local row, timer = orders.statements(plan())
        assert.are.equal("attempt.insert", row[1])
        assert.are.equal("timer.insert", timer[1])
        assert.are.equal(row[2].due, timer[2].due_id)
        assert.are.equal(row[2].attempt, timer[2].object)
    end)
end)

describe("an order begins", function()
    local function begin(order, statements)
        local told = 0
        local done, err = orders.begin(order, { payment = world.payment, details = {}, actor = "key_1",
            statements = statements, committed = function() told = told + 1 end })
        return done, err, told
    end

    it("with its unit, and no call where the payer carries it", function()
        local unit = { { "payment.insert", {} } }
        local done, _, told = begin(plan(), unit)
        assert.is_true(done)
        assert.are.equal(1, told)
        assert.are.same(unit, world.committed)
        assert.are.same({}, world.steps)
    end)

    it("with the call's row in the same unit where we send it", function()
        world.build = { request = { url = "https://x" } }
        world.outcome = { class = "not_sent" }
        local unit = { { "payment.insert", {} } }
        local done, _, told = begin(plan(), unit)
        assert.is_true(done)
        assert.are.equal(1, told)
        assert.are.same(unit, world.sent.with)
        assert.are.equal(world.build, world.sent.built, "what was checked is what is sent")
    end)

    it("not at all when its unit was refused", function()
        world.build = { request = { url = "https://x" } }
        world.send_err = { code = "guard", otherwise = "twin" }
        local done, err, told = begin(plan(), {})
        assert.is_false(done)
        assert.are.equal("twin", err.otherwise)
        assert.are.equal(0, told)
        world.build, world.commit_err = nil, { code = "busy" }
        done, err = begin(plan(), {})
        assert.is_false(done)
        assert.are.equal("busy", err.code)
    end)
end)

describe("the answer to an order", function()
    local function take(outcome)
        orders.take(world.asked(outcome), "key_1")
        return world.settled and world.settled.fact
    end

    local function ok(more)
        local result = { code = "10000", order_no = NUMBER,
            next_action = { type = "qr_code", code_url = "https://qr" } }
        for name, value in pairs(more or {}) do
            result[name] = value
        end
        return { class = "ok", evidence = {}, message = {}, result = result }
    end

    it("hands out what it holds, once its evidence says that it is of this order", function()
        world.stated = { create = { order_no = "out_trade_no" } }
        local fact = take(ok())
        assert.are.equal("waiting_payer", fact.state)
        assert.are.same({ type = "qr_code", code_url = "https://qr" }, json.decode(fact.next_action))
        assert.are.same({ order_no = "out_trade_no" }, world.admitted.stated)
        assert.are.same({ { "call.finish", {} } }, world.settled.extra())
    end)

    it("of another order is unknown and alarms", function()
        local fact = take(ok { order_no = "another" })
        assert.are.equal("silent", fact.state)
        assert.is_nil(fact.next_action)
        assert.are.same({ "answer_refused" }, world.alarms)
    end)

    it("that does not state it in what was signed is unknown and alarms", function()
        world.stated, world.refused = { create = { order_no = "out_trade_no" } }, { check = "order" }
        assert.are.equal("silent", take(ok()).state)
        assert.are.same({ "answer_refused" }, world.alarms)
    end)

    it("without a number is taken where the manifest declares none", function()
        local outcome = ok()
        outcome.result.order_no = nil
        assert.are.equal("waiting_payer", take(outcome).state)
        world.stated = { create = { order_no = "out_trade_no" } }
        assert.are.equal("silent", take(outcome).state)
    end)

    it("that declines it is a decline", function()
        local fact = take { class = "declined", decline_code = "merchant_limit", evidence = {}, message = {},
            result = { code = "X" } }
        assert.are.equal("declined", fact.state)
        assert.are.equal("merchant_limit", fact.decline_code)
    end)

    it("that never came, or that nobody understands, is silence, with the call as evidence", function()
        for _, class in ipairs { "unknown", "pending", "conflict", "not_found" } do
            world.settled = nil
            assert.are.equal("silent", take({ class = class, reason = "timeout" }).state, class)
            assert.are.same({ kind = "cal", id = 9 }, world.settled.proof)
        end
    end)

    it("that nothing was done leaves the order, and brings the next look forward", function()
        for _, class in ipairs { "not_sent", "config", "abnormal" } do
            world.settled = nil
            assert.is_nil(take { class = class }, class)
            assert.are.equal("attempt.due", world.committed[1][1])
            assert.are.equal(55, world.committed[1][2].due_was)
            assert.are.equal(world.now + 2000, due.ms(world.committed[1][2].due))
            assert.are.equal("call.finish", world.committed[2][1])
            assert.are.equal("timer.insert", world.committed[3][1])
            assert.are.equal(world.committed[1][2].due, world.committed[3][2].due_id)
        end
    end)

    it("is kept when somebody else has planned the next look meanwhile", function()
        world.commit_err = { code = "guard", otherwise = "reread" }
        take { class = "not_sent" }
        assert.are.same({ "closed call" }, world.steps)
    end)
end)

describe("an order whose answer never came", function()
    local NOT_FOUND = { state = "not_found" }

    local function drive(attempt, payment, fact)
        for name, value in pairs(attempt or {}) do
            world.attempt[name] = value
        end
        world.payment = support.payment(payment)
        world.fact, world.outcome = fact, { class = "unknown" }
        orders.drive(world.attempt, world.payment, "timer")
        return world.steps
    end

    it("is sent again, the same one, when the channel does not know it", function()
        assert.are.same({ "query", "send create" }, drive({}, {}, NOT_FOUND))
        assert.are.equal(world.attempt.id, world.sent.object)
        assert.is_nil(world.sent.built)
    end)

    it("that became unknown is one", function()
        world.last_create = { id = 1, op = "create", class = "unknown" }
        assert.are.same({ "query", "send create" }, drive({ state = "unknown" }, {}, NOT_FOUND))
    end)

    for what, of in pairs {
        ["the channel says nothing"] = { {}, {}, nil },
        ["the channel knows it"] = { {}, {}, { state = "waiting_payer" } },
        ["its time is over"] = { { expires_at = support.now }, {}, NOT_FOUND },
        ["somebody wants the payment closed"] = { {}, { closing = "merchant" }, NOT_FOUND },
        ["the payment is settled"] = { {}, { state = "paid" }, NOT_FOUND },
        ["the payment is under review"] = { {}, { state = "review" }, NOT_FOUND },
        ["the payer has his code"] = { { state = "unknown", next_action = "{}" }, {}, NOT_FOUND },
        ["the payer carries it himself"] = { { state = "unknown" }, {}, NOT_FOUND },
    } do
        it("is not sent again when " .. what, function()
            assert.are.same({ "query" }, drive(of[1], of[2], of[3]))
        end)
    end

    it("is not sent again where the channel does not allow repeats", function()
        world.create = {}
        assert.are.same({ "query" }, drive({}, {}, NOT_FOUND))
    end)

    it("is watched when too little of its time is left", function()
        world.send_err = { code = "invalid_field", field = "expires_in" }
        assert.are.same({ "query", "send create", "logged" }, drive({}, {}, NOT_FOUND))
    end)

    it("knows when our configuration was refused", function()
        world.last_create = { id = 1, op = "create", class = "config" }
        assert.is_true(orders.refused(world.attempt))
        world.last_create = { id = 1, op = "create", class = "unknown" }
        assert.is_false(orders.refused(world.attempt))
        world.last_create = { id = 1, op = "create", class = "config" }
        assert.is_false(orders.refused(support.attempt { state = "waiting_payer" }))
    end)
end)

describe("a request that comes again", function()
    local function await()
        world.outcome = { class = "unknown" }
        orders.await(world.attempt, world.payment, "key_1")
        return world.steps
    end

    it("waits for the one that is under way, then goes on itself", function()
        world.under_way = { true, false }
        assert.are.same({ "wait 12000" }, await(), "no longer than that one may take")
        world.steps, world.under_way, world.now = {}, { true, false }, support.now
        package.loaded["tael.task"].wait = function() note "woken" end
        assert.are.same({ "woken", "query" }, await())
    end)

    it("lets a second pass between two calls", function()
        package.loaded["tael.task"].wait = function(_, ms) note("wait " .. ms) end
        world.recent = { true, false }
        assert.are.same({ "wait 1000", "query" }, await())
    end)

    it("has nothing to wait for when the payer has what he needs", function()
        world.attempt.state = "waiting_payer"
        assert.are.same({}, await())
    end)
end)
