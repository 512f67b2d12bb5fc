-- What a channel script claims counts only with evidence; here the scripts lie in every way they could.
local support = require "tests.spec.kernel_support"
local channel = require "tests.spec.channel_support"
local crypto = require "tael.crypto"
local evidence = require "tael.kernel.evidence"
local message = require "tael.message"

local ACCOUNT, OTHER = 7, 8
local fields = {
    app_id = "2021000000000001", seller_id = "2088101106499364", order = "01J8ZQ4F7MX2K9D0V3B6N8TACE",
    trade = "T1", total = "12.34", other = "55.00", word = "PAID", note = "hello",
}

local function signed(values, account)
    local form = require "tael.form"
    local text = form.canonical(values)
    local key = channel.sign_key("alipay")
    values.sign = key:sign("sha256", text)
    local raw = form.encode(values)
    values.sign = nil
    local made = assert(message.new { account = account or ACCOUNT, raw = raw, content = "form",
        at = support.now })
    local proof = assert(channel.verify_key("alipay", account or ACCOUNT):attest("sha256",
        made:canonical { except = { "sign" } }, made.form.sign))
    return proof, made
end

local function copy(changed)
    local values = {}
    for name, value in pairs(fields) do
        values[name] = value
    end
    for name, value in pairs(changed or {}) do
        values[name] = value or nil
    end
    return values
end

local account = { id = ACCOUNT, fields = { app_id = fields.app_id, seller_id = fields.seller_id,
    key = "main" } }

local function fact(changed)
    local out = { kind = "payment", order_no = fields.order, trade_no = "T1", state = "succeeded",
        channel_state = "PAID",
        amount = 1234, currency = "CNY", seller = fields.seller_id }
    for name, value in pairs(changed or {}) do
        out[name] = value
    end
    return out
end

local function admit(changed)
    local proof, made = signed(copy())
    local input = { proof = proof, message = made, account = account, fact = fact(),
        identity = { app_id = fields.app_id, seller_id = fields.seller_id } }
    for name, value in pairs(changed) do
        input[name] = value
    end
    return evidence.admit(input)
end

describe("evidence.admit", function()
    it("takes a fact that the signed part states", function()
        assert.is_true(admit {})
    end)

    local lies = {
        ["without evidence"] = { { proof = false }, "signature" },
        ["with a table that looks like evidence"] = { { proof = { account = ACCOUNT, form = fields } },
            "signature" },
        ["with a text for evidence"] = { { proof = "paid" }, "signature" },
        ["for another amount than was signed"] = { { fact = fact { amount = 1233 } }, "amount" },
        ["for another currency"] = { { fact = fact { currency = "JPY" } }, "amount" },
        ["for an order that was not signed"] = { { fact = fact { order_no = ("0"):rep(26) } }, "order" },
        ["with a trade number that was not signed"] = { { fact = fact { trade_no = "T2" } }, "order" },
        ["for another seller"] = { { fact = fact { seller = "2088000000000000" } }, "identity" },
        ["that names nobody"] = { { identity = {} }, "identity" },
        ["that names another application"] = { { identity = { app_id = "2021000000000002" } }, "identity" },
        ["of success, with a word that was not signed"] = { { fact = fact { channel_state = "DONE" } },
            "state" },
        ["without an order"] = { { fact = { kind = "payment", state = "succeeded" } }, "order" },
        ["about something else than money"] = { { fact = fact { kind = "probe" } }, "order" },
        ["with a float for an amount"] = { { fact = fact { amount = 12.34 } }, "amount" },
        ["with an amount below zero"] = { { fact = fact { amount = -1 } }, "amount" },
        ["with a text for an amount"] = { { fact = fact { amount = "1234" } }, "amount" },
        ["in a currency that is none"] = { { fact = fact { currency = "XXQ" } }, "amount" },
        ["with a trade number that is no word"] = { { fact = fact { trade_no = "T 1" } }, "order" },
        ["with no table for a fact"] = { { fact = "paid" }, "order" },
    }
    for name, lie in pairs(lies) do
        it("refuses a claim " .. name, function()
            local good, refusal = admit(lie[1])
            assert.is_nil(good)
            assert.are.equal(lie[2], refusal.check)
            assert.is_string(refusal.detail)
        end)
    end

    -- the manifest says where each member stands: another field of the message does not count
    local stated = { order_no = "order", trade_no = "trade", state = "word", amount = "total",
        seller = "seller_id" }

    it("takes what stands where the manifest says", function()
        assert.is_true(admit { stated = stated })
    end)

    local elsewhere = {
        ["an amount"] = { { amount = 5500 }, "amount" },
        ["a trade number"] = { { trade_no = "hello" }, "order" },
        ["a word for paid"] = { { channel_state = "hello" }, "state" },
        ["an order"] = { { order_no = "hello" }, "order" },
        ["a seller"] = { { seller = fields.app_id }, "identity" },
    }
    for name, lie in pairs(elsewhere) do
        it("refuses " .. name .. " that stands in another field", function()
            assert.is_true(admit { fact = fact(lie[1]) }) -- without a declaration it would pass
            local good, refusal = admit { fact = fact(lie[1]), stated = stated }
            assert.is_nil(good)
            assert.are.equal(lie[2], refusal.check)
        end)
    end

    -- what is said of a refund: the order, its own number, its amount or the sum of all that went back
    local refund_no = ("7"):rep(26)
    local function refund_fact(changed)
        local out = { kind = "refund", order_no = fields.order, refund_no = refund_no, trade_no = "T1",
            state = "succeeded", channel_state = "DONE", amount = 500, total = 1234, currency = "CNY" }
        for name, value in pairs(changed or {}) do
            out[name] = value or nil
        end
        return out
    end

    local refund_stated = { order_no = "order", refund_no = "refund", trade_no = "trade", state = "done",
        amount = "one", total = "all" }

    local function admit_refund(changed, more)
        local proof, made = signed(copy { refund = refund_no, done = "DONE", one = "5.00", all = "12.34" })
        local input = { proof = proof, message = made, account = account, fact = refund_fact(changed),
            stated = refund_stated }
        for name, value in pairs(more or {}) do
            input[name] = value
        end
        return evidence.admit(input)
    end

    it("takes a refund that the signed part states", function()
        assert.is_true(admit_refund())
        assert.is_true(admit_refund { state = false }) -- taken, not said how far it is
        assert.is_true(admit_refund { amount = false, refund_no = false })
        local proof, made = signed(copy { refund = refund_no, done = "N", one = "5.00", all = "0.00" })
        local none = refund_fact { total = 0, state = "pending", channel_state = "N" }
        assert.is_true(admit_refund(nil, { proof = proof, message = made, fact = none })) -- nothing yet
        none.amount = 0
        assert.is_nil((admit_refund(nil, { proof = proof, message = made, fact = none })))
    end)

    for name, lie in pairs {
        ["another refund"] = { { refund_no = ("8"):rep(26) }, "order" },
        ["a refund number that stands in another field"] = { { refund_no = fields.order }, "order" },
        ["a refund number that is no word"] = { { refund_no = "a b" }, "order" },
        ["another order"] = { { order_no = refund_no }, "order" },
        ["another trade"] = { { trade_no = "T2" }, "order" },
        ["another amount"] = { { amount = 501 }, "amount" },
        ["the sum for the amount"] = { { amount = 1234 }, "amount" },
        ["the amount for the sum"] = { { total = 500 }, "amount" },
        ["a sum in no currency"] = { { currency = false }, "amount" },
        ["a float for a sum"] = { { total = 12.34 }, "amount" },
        ["a word that was not signed for done"] = { { channel_state = "PAID" }, "state" },
        ["a word that was not signed for failed"] = { { state = "failed", channel_state = "PAID" }, "state" },
    } do
        it("refuses a claim of " .. name, function()
            local good, refusal = admit_refund(lie[1])
            assert.is_nil(good)
            assert.are.equal(lie[2], refusal.check)
        end)
    end

    it("refuses evidence of another account", function()
        local proof, made = signed(copy(), OTHER)
        local good, refusal = admit { proof = proof, message = made }
        assert.is_nil(good)
        assert.are.equal("evidence of another account", refusal.detail)
    end)

    it("refuses evidence of another message, though it says the same", function()
        local proof = signed(copy())
        local _, other = signed(copy())
        local good, refusal = admit { proof = proof, message = other }
        assert.is_nil(good)
        assert.are.equal("evidence of another message", refusal.detail)
    end)

    it("refuses an identity that stands beside what was signed", function()
        local values = copy { app_id = false }
        local proof, made = signed(values)
        local good, refusal = admit { proof = proof, message = made }
        assert.is_nil(good)
        assert.are.equal("identity", refusal.check)
    end)

    it("takes amounts as the channel writes them, and in no other way", function()
        local decimal = { proof = 1, message = 2, fact = fact() }
        decimal.proof, decimal.message = signed(copy())
        assert.is_true(admit(decimal))
        decimal.amounts = "minor"
        assert.are.equal("amount", select(2, admit(decimal)).check)
        local minor = { fact = fact(), amounts = "minor" }
        minor.proof, minor.message = signed(copy { total = "1234" })
        assert.is_true(admit(minor))
        for _, unit in ipairs { "decimal", nil } do -- 1234.00, not 12.34
            minor.amounts = unit
            assert.are.equal("amount", select(2, admit(minor)).check)
        end
        minor.amounts, minor.fact.amount = nil, 123400
        assert.is_true(admit(minor))
        local proof, made = signed(copy { total = "12.3" })
        assert.is_true(admit { proof = proof, message = made, fact = fact { amount = 1230 } })
    end)

    it("takes amounts from signed JSON", function()
        local node = '{"no":"' .. fields.order
            .. '","id":"T1","total":"12.34","word":"PAID","deep":{"n":1}}'
        local sign = channel.sign_key("alipay"):sign("sha256", node)
        local made = assert(message.new { account = ACCOUNT, raw = '{"r":' .. node
            .. ',"sign":"' .. sign .. '"}',
            at = support.now })
        local proof = assert(channel.verify_key("alipay", ACCOUNT):attest("sha256",
            assert(made:span("r")), sign))
        local input = { proof = proof, message = made, account = account, fact = fact { seller = nil } }
        input.fact.seller = nil
        assert.is_true(evidence.admit(input))
        input.fact.amount = 100
        assert.is_true(evidence.admit(input)) -- 1 is stated too: which order it is worth, decide.lua compares
        input.fact.amount = 1
        assert.is_nil((evidence.admit(input)))
        input.fact.amount = 99
        assert.is_nil((evidence.admit(input)))
    end)
end)

describe("evidence.key_number", function()
    it("is the fingerprint of the key", function()
        local proof = signed(copy())
        local hex = proof.key_id:match("(%x+)$")
        assert.are.equal(tonumber(hex, 16), evidence.key_number(proof))
    end)
end)

describe("sealed bytes", function()
    it("do not open in another place", function()
        local key = crypto.random(32)
        local sealed = crypto.aes_gcm_seal(key, "raw", "ntf:1")
        assert.are.equal("raw", crypto.aes_gcm_open(key, sealed, "ntf:1"))
        assert.is_nil((crypto.aes_gcm_open(key, sealed, "ntf:2")))
    end)
end)
