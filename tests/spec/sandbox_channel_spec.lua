-- The channel package asks the simulated gateway, in one process: what comes of a good answer and of each
-- spoilt one. (That both speak Alipay's language is shown by the vectors and the official library.)
local support = dofile "tests/spec/channel_support.lua"

local call = require "tael.channel.call"
local form = require "tael.form"
local loader = require "tael.channel.loader"
local store = require "tael.store"
local time = require "tael.time"

local behaviour = require "tael.sandbox.alipay.behaviour"
local faults = require "tael.sandbox.alipay.faults"
local gateway = require "tael.sandbox.alipay.gateway"

local package = loader.load(support.scripts).alipay
local trade = {
    app_id = support.fields.app_id, out_trade_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE",
    trade_no = "2026011522001400000000000001", token = "00", status = "WAIT_BUYER_PAY", total = 1234,
    subject = "coffee", passback_params = "https://shop/a", created_at = support.now,
    expires_at = support.now + 1800000,
}

describe("the channel and the simulated gateway", function()
    local now, query = time.now, store.query
    local state, row

    setup(function()
        time.now = function() return support.now end
        store.query = function(name)
            return name == "trade.get" and { row } or {}
        end
    end)
    teardown(function()
        time.now, store.query = now, query
    end)
    before_each(function()
        row = trade
        state = { speed = 1, faults = {}, notices = {}, apps = { [trade.app_id] = {
            app_id = trade.app_id, seller_id = support.fields.seller_id,
            alipay_key = support.sign_key("alipay"), merchant_key = support.verify_key("merchant"),
        } } }
    end)

    --- One query as the kernel makes it, with the network taken out.
    local function ask(account)
        account = account or support.account(package)
        local request = assert(call.build(package, "query", account, support.context()))
        local response = gateway.handle(state, {
            method = request.method, query = request.url:match("%?(.*)$"), body = form.encode(request.form),
            headers = { ["content-type"] = "application/x-www-form-urlencoded" },
        })
        local answer = { status = response.status, headers = response.headers, raw = response.body, ms = 1,
            at = support.now }
        return call.interpret(package, "query", account, answer, support.context())
    end

    local function spoil(fault)
        behaviour.ask(state.faults, "query", nil, { name = assert(faults.name(fault, "query")), times = 1 })
    end

    local function with(changed)
        return setmetatable(changed, { __index = trade })
    end

    it("finds an order that waits", function()
        local outcome = ask()
        assert.are.equal("ok", outcome.class)
        assert.are.equal("waiting_payer", outcome.result.state)
        assert.are.equal(1234, outcome.result.amount)
    end)

    it("finds an order that was paid", function()
        row = with { status = "TRADE_SUCCESS", paid_at = support.now }
        local outcome = ask()
        assert.are.equal("succeeded", outcome.result.state)
        assert.are.equal(support.now, outcome.result.at)
        assert.are.equal(trade.trade_no, outcome.result.trade_no)
    end)

    it("tells an order that ended unpaid from one that was refunded", function()
        row = with { status = "TRADE_CLOSED", closed_at = support.now }
        assert.are.equal("expired", ask().result.state)
        row = with { status = "TRADE_CLOSED", closed_at = support.now, paid_at = support.now }
        assert.are.equal("unknown", ask().class)
    end)

    it("takes an order that nobody opened for one that waits", function()
        row = nil
        local outcome = ask()
        assert.are.equal("not_found", outcome.class)
        assert.is_true(outcome.waiting)
    end)

    for _, fault in ipairs { "wrong_signature", "unsigned", "double_node", "system_error", "not_json",
        "http_502" } do
        it("calls a paid order unknown when the answer is spoilt: " .. fault, function()
            row = with { status = "TRADE_SUCCESS", paid_at = support.now }
            spoil(fault)
            local outcome = ask()
            assert.are.equal("unknown", outcome.class, outcome.reason)
            assert.is_nil(outcome.result and outcome.result.state)
            assert.are.equal("succeeded", ask().result.state) -- and the next one is whole again
        end)
    end

    for _, fault in ipairs { "sign_first", "signed_before_escaping" } do
        it("reads an answer that is unusual but signed: " .. fault, function()
            spoil(fault)
            assert.are.equal("waiting_payer", ask().result.state)
        end)
    end

    it("learns that its own key is not the one that the gateway knows", function()
        local outcome = ask(support.account(package, { key = "merchant_b" }))
        assert.are.equal("config", outcome.class)
        assert.are.equal("isv.invalid-signature", outcome.result.channel_code)
        assert.is_truthy(outcome.alarm)
    end)

    it("believes nothing that an unknown application is told", function()
        local outcome = ask(support.account(package, { app_id = "2021999999999999" }))
        assert.are.equal("unknown", outcome.class)
        assert.are.equal("answer not verified: unsigned: 40002 isv.invalid-app-id", outcome.reason)
    end)
end)
