-- What an answer about a refund may say: only of this order and this refund, and only what was signed.
require "tests.spec.kernel_support"
local channel = require "tests.spec.channel_support"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local log = require "tael.log"
local message = require "tael.message"
local refund_answer = require "tael.kernel.refund_answer"
local registry = require "tael.kernel.registry"
local time = require "tael.time"

local ACCOUNT = 7
local refund, attempt = { id = 1 << 40 }, { id = 1 << 39, trade_no = "T1" }
local NO, ORDER = ids.order_number(refund.id, "ref"), ids.order_number(attempt.id)
local package = { amounts = nil, stated = {
    refund = { order_no = "order", trade_no = "trade", state = "change", total = "sum" },
    refund_query = { order_no = "order", trade_no = "trade", refund_no = "number", state = "status",
        amount = "amount" },
} }

local alarms, original

setup(function()
    original = { package = registry.package, error = log.error, monotonic = time.monotonic }
    time.monotonic = function() return 0 end
    registry.package = function() return package end
    log.error = function(_, fields) alarms[#alarms + 1] = fields.kind end
end)
teardown(function()
    registry.package, log.error, time.monotonic = original.package, original.error, original.monotonic
end)
before_each(function()
    alarms, require("tael.kernel.alarms").told = {}, {}
end)

local node = { order = ORDER, trade = "T1", number = NO, change = "Y", status = "DONE", sum = "8.00",
    amount = "5.00" }

--- An answer with these members signed, and a result as the package would read it.
local function asked(op, signed, result, class)
    local values, said = {}, { code = "OK", state = "succeeded", currency = "CNY", order_no = ORDER,
        trade_no = "T1" }
    if op == "refund" then
        said.channel_state, said.refunded_total = "Y", 800
    else
        said.channel_state, said.refund_no, said.amount = "DONE", NO, 500
    end
    for name, value in pairs(node) do
        values[name] = value
    end
    for name, value in pairs(signed or {}) do
        values[name] = value or nil
    end
    for name, value in pairs(result or {}) do
        said[name] = value or nil
    end
    local text = json.encode(values)
    local sign = channel.sign_key("alipay"):sign("sha256", text)
    local made = assert(message.new { account = ACCOUNT, raw = ('{"r":%s,"sign":"%s"}'):format(text, sign),
        at = 1 })
    local proof = assert(channel.verify_key("alipay", ACCOUNT):attest("sha256", assert(made:span("r")), sign))
    return { op = op, call = 3, account = { id = ACCOUNT, channel = "spec", fields = {} },
        outcome = { class = class or "ok", evidence = proof, message = made, result = said } }
end

local function judge(...)
    return refund_answer.judge(asked(...), refund, attempt)
end

describe("an answer about a refund", function()
    it("gives the fact that it proves", function()
        local class, fact = judge "refund"
        assert.are.equal("ok", class)
        assert.are.equal(800, fact.total)
        assert.is_nil(fact.amount)
        class, fact = judge "refund_query"
        assert.are.equal("ok", class)
        assert.are.equal(500, fact.amount)
        assert.are.equal("succeeded", fact.state)
        assert.are.same({}, alarms)
    end)

    local lies = {
        ["another order"] = { "refund", { order = NO }, { order_no = NO } },
        ["an order that was not signed"] = { "refund", { order = NO } },
        ["another trade"] = { "refund", { trade = "T2" }, { trade_no = "T2" } },
        ["a sum that was not signed"] = { "refund", nil, { refunded_total = 801 } },
        ["a word that was not signed"] = { "refund", { change = "N" } },
        ["another refund"] = { "refund_query", { number = ORDER }, { refund_no = ORDER } },
        ["a refund that was not signed"] = { "refund_query", { number = ORDER } },
        ["no refund"] = { "refund_query", { number = false }, { refund_no = false } },
        ["an amount that was not signed"] = { "refund_query", { amount = "5.01" } },
        ["the amount in fen"] = { "refund_query", { amount = "500" } },
        ["done where it was not"] = { "refund_query", { status = "OPEN" } },
        ["an amount without a currency"] = { "refund_query", nil, { currency = false } },
    }
    for name, lie in pairs(lies) do
        it("counts for nothing with " .. name, function()
            local class, fact, detail = judge(table.unpack(lie, 1, 3))
            assert.are.equal("refused", class)
            assert.is_nil(fact)
            assert.is_string(detail)
            assert.are.same({ "answer_refused" }, alarms)
        end)
    end

    it("is silence without evidence, whatever it says", function()
        local without = asked "refund"
        without.outcome.evidence = nil
        assert.are.equal("unknown", refund_answer.judge(without, refund, attempt))
        without.outcome.class = "declined"
        assert.are.equal("unknown", refund_answer.judge(without, refund, attempt))
        for _, class in ipairs { "not_sent", "unknown" } do
            assert.are.equal(class, refund_answer.judge({ outcome = { class = class } }, refund, attempt))
        end
    end)

    it("may say no without naming the order", function()
        local no = asked("refund", nil, { order_no = false, channel_code = "NO" }, "declined")
        no.outcome.decline_code = "merchant_limit"
        local class, fact = refund_answer.judge(no, refund, attempt)
        assert.are.equal("declined", class)
        assert.are.same({ code = "NO", decline_code = "merchant_limit" }, fact)
    end)
end)
