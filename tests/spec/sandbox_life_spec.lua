-- The channel package asks the simulated Alipay through an order's whole life, and whatever the simulation
-- does wrong: a spoilt answer is never believed, and what really moved is found by asking.
local sandbox = dofile "tests/spec/sandbox_support.lua"

local behaviour = require "tael.sandbox.alipay.behaviour"
local faults = require "tael.sandbox.alipay.faults"
local magic = require "tael.sandbox.alipay.magic"
local money = require "tael.sandbox.alipay.money"
local store = require "tael.store"

describe("the channel and the simulated Alipay", function()
    local world
    setup(function()
        world = sandbox.open()
    end)
    teardown(function()
        world:close()
    end)
    before_each(function()
        world:begin()
    end)

    local function spoil(op, fault, more)
        local asked = { name = assert(faults.name(fault, op), fault), times = 1, since = world.now }
        for name, value in pairs(more or {}) do
            asked[name] = value
        end
        behaviour.ask(world.state.faults, op, nil, asked)
    end

    it("places an order, which nobody knows before it is scanned", function()
        local made = world:ask("create")
        assert.are.equal("ok", made.class)
        assert.are.equal("qr_code", made.result.next_action.type)
        assert.is_truthy(made.result.next_action.code_url:find("^http://sandbox%.test/qr/%x+$"))
        assert.are.equal("not_found", world:ask("query").class)
        assert.are.equal("not_found", world:ask("close").class)
        assert.is_truthy(world:scan())
        assert.are.equal("waiting_payer", world:ask("query").result.state)
    end)

    it("gets the same code for the same order, and none for another amount", function()
        world.expires_at = world.now + 1800000
        local url = world:ask("create").result.next_action.code_url
        assert.are.equal(url, world:ask("create").result.next_action.code_url)
        local other = world:ask("create", { amount = 2001 })
        assert.are.equal("ACQ.CONTEXT_INCONSISTENT", other.result.channel_code)
    end)

    it("closes what waits", function()
        world:ask("create")
        world:scan()
        assert.are.equal("ok", world:ask("close").class)
        assert.are.equal("expired", world:ask("query").result.state)
        assert.are.equal("conflict", world:ask("close").class)
    end)

    it("cannot close what was paid", function()
        world:paid()
        assert.are.equal("conflict", world:ask("close").class)
        assert.are.equal("succeeded", world:ask("query").result.state)
    end)

    it("cancels: closed, given back, nothing there, later", function()
        world:ask("create")
        local outcome = world:ask("cancel")
        assert.is_nil(outcome.result.state)
        world:scan()
        outcome = world:ask("cancel")
        assert.are.equal("cancelled", outcome.result.state)
        assert.is_false(outcome.result.reversed)
    end)

    it("cancels what was paid, once, when it may", function()
        world:paid()
        spoil("cancel", "retry")
        assert.is_true(world:ask("cancel").result.again)
        spoil("cancel", "balance_too_low")
        assert.are.equal("abnormal", world:ask("cancel").class)
        world.now = world.now + 1
        money.top_up(sandbox.support.fields.app_id, { add = 1 })
        for _ = 1, 2 do
            local outcome = world:ask("cancel")
            assert.are.equal("cancelled", outcome.result.state)
            assert.is_true(outcome.result.reversed)
        end
        assert.are.equal(2000, world:trade().refunded)
    end)

    it("refunds, once for each number", function()
        world:paid()
        local first = world:ask("refund")
        assert.are.equal("succeeded", first.result.state)
        assert.are.equal(500, first.result.refunded_total)
        assert.are.equal("pending", world:ask("refund").result.state) -- the same again: fund_change N
        assert.are.equal(500, world:trade().refunded)
        assert.are.equal("succeeded", world:ask("refund_query").result.state)
        assert.are.equal("not_found", world:ask("refund_query", { refund_no = ("0"):rep(26) }).class)
        assert.are.equal("ACQ.DISCORDANT_REPEAT_REQUEST",
            world:ask("refund", { refund_amount = 501 }).result.channel_code)
        local rest = world:ask("refund", { refund_no = ("1"):rep(26), refund_amount = 1500 })
        assert.are.equal(2000, rest.result.refunded_total)
        assert.are.equal("TRADE_CLOSED", world:trade().status)
    end)

    it("says what was refunded when the same refund was made between its reads", function()
        world:paid()
        local query, came = store.query, false
        store.query = function(name, params)
            if name == "refund.get" and not came then
                came = true
                assert.are.equal("succeeded", world:ask("refund").result.state)
            end
            return query(name, params)
        end
        local again = world:ask("refund")
        store.query = query
        assert.is_true(came)
        assert.are.equal(500, again.result.refunded_total)
    end)

    it("tells of partial refunds", function()
        local trade = world:paid()
        assert.is_truthy(trade.notify_url)
        world.now = world.now + 1000
        world:ask("refund")
        local notes = world.store:query("deliveries.next", {})
        assert.are.equal(2, #notes)
        assert.is_truthy(notes[2].fields:find('"refund_fee":"5.00"', 1, true))
        assert.is_truthy(notes[2].fields:find('"trade_status":"TRADE_SUCCESS"', 1, true))
        world:ask("refund", { refund_no = ("1"):rep(26), refund_amount = 1500 })
        assert.are.equal(2, #world.store:query("deliveries.next", {}))
    end)

    it("waits for a refund in process", function()
        world:paid()
        spoil("refund", "in_process")
        assert.are.equal("pending", world:ask("refund").result.state)
        assert.is_nil(world:ask("refund_query").result.state)
        assert.are.equal(0, world:trade().refunded)
        world.now = world.now + 10000
        assert.is_nil(money.settle_due(world.state))
        assert.are.equal("succeeded", world:ask("refund_query").result.state)
        assert.are.equal(500, world:trade().refunded)
    end)

    it("repeats a refund in process that came to nothing", function()
        world:paid()
        spoil("refund", "in_process_fails", { ms = 100 })
        world:ask("refund")
        assert.are.equal(world.now + 100, money.settle_due(world.state))
        world.now = world.now + 100
        money.settle_due(world.state)
        assert.are.equal("not_found", world:ask("refund_query").class)
        assert.are.equal(0, world:trade().reserved)
        assert.are.equal("succeeded", world:ask("refund").result.state)
    end)

    -- ---- what is spoilt ----

    local whole = { sign_first = true, signed_before_escaping = true, slow = true, slow_answer = true,
        slow_body = true }

    --- Whether the money of the order moved, or the order changed, as the op would have it.
    local effects = {
        create = function() return world:order() ~= nil end,
        query = function() return false end,
        close = function() return world:trade().status == "TRADE_CLOSED" end,
        cancel = function() return world:trade().refunded == 2000 end,
        refund = function() return world:trade().refunded == 500 end,
        refund_query = function() return false end,
    }
    local ready = {
        create = function() end,
        query = function() world:paid() end,
        close = function() world:ask("create") world:scan() end,
        cancel = function() world:paid() end,
        refund = function() world:paid() end,
        refund_query = function() world:paid() world:ask("refund") end,
    }
    local acts = { query = true, refund_query = true }

    for _, op in ipairs { "create", "query", "close", "cancel", "refund", "refund_query" } do
        for _, fault in ipairs(faults.list()) do
            if not fault.ops then
                it(("believes nothing of a spoilt %s: %s"):format(op, fault.name), function()
                    ready[op]()
                    local name = op == "create" and "precreate" or op
                    spoil(name, fault.name, fault.name == "refused" and { sub_code = "ACQ.PAYMENT_FAIL" })
                    local outcome = world:ask(op)
                    if whole[fault.name] then
                        assert.are.equal("ok", outcome.class, outcome.reason)
                    elseif fault.name == "refused" then
                        assert.are_not.equal("ok", outcome.class)
                    else
                        assert.are.equal("unknown", outcome.class, outcome.reason)
                        assert.is_nil(outcome.result and outcome.result.state)
                    end
                    if not acts[op] then
                        assert.are.equal(fault.acts or fault.name == "slow", effects[op]())
                    end
                    assert.are_not.equal("unknown", world:ask(op).class) -- the next one is whole
                end)
            end
        end
    end

    -- ---- magic amounts ----

    for _, rule in ipairs(magic.rules) do
        it(("has a fault for %s .%d that can meet %s"):format(rule.of, rule.digits, rule.op), function()
            local notices = require "tael.sandbox.alipay.help"
            if rule.op == "notice" then
                assert.is_true(notices.is_notice(rule.fault))
            else
                assert.are.equal(rule.fault, faults.name(rule.fault, rule.op))
            end
            assert.are.equal(rule, magic.rule(rule.of, 12300 + rule.digits, rule.op))
            assert.is_true(rule.digits >= 61 and rule.digits <= 79)
        end)
    end

    it("lets a magic amount have its effect once for each order or refund", function()
        assert.are.equal("unknown", world:ask("create", { amount = 2063 }).class)
        assert.is_nil(world:order())
        assert.are.equal("ok", world:ask("create", { amount = 2063 }).class)
    end)

    it("lets a refund of a magic amount be lost, and found", function()
        world:paid()
        assert.are.equal("unknown", world:ask("refund", { refund_amount = 562 }).class)
        assert.are.equal("succeeded", world:ask("refund_query", { refund_amount = 562 }).result.state)
        local other = world:ask("refund", { refund_amount = 562, refund_no = ("2"):rep(26) })
        assert.are.equal("unknown", other.class) -- another refund, the same amount
        assert.are.equal(1124, world:trade().refunded)
    end)

    it("has too little for a magic amount until the balance was topped up", function()
        world:paid()
        for _ = 1, 3 do
            assert.are.equal("abnormal", world:ask("refund", { refund_amount = 565 }).class)
            world.now = world.now + 1000
        end
        money.top_up(sandbox.support.fields.app_id, { add = 0 })
        assert.are.equal("succeeded", world:ask("refund", { refund_amount = 565 }).result.state)
    end)

    it("does nothing magic when it is turned off", function()
        world.state.magic = false
        assert.are.equal("ok", world:ask("create", { amount = 2063 }).class)
    end)
end)
