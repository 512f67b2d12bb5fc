-- Every operation of the package: what is sent to Alipay, and what is read out of the answer.
local support = dofile "tests/spec/channel_support.lua"

local call = require "tael.channel.call"
local form = require "tael.form"
local json = require "tael.json"
local loader = require "tael.channel.loader"

local package = loader.load(support.scripts).alipay
local account = support.account(package)
local order_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE"
local trade_no = "2026011522001400000000000001"

local methods = {
    create = "alipay.trade.precreate", query = "alipay.trade.query", close = "alipay.trade.close",
    cancel = "alipay.trade.cancel", refund = "alipay.trade.refund",
    refund_query = "alipay.trade.fastpay.refund.query",
}

local function context(changed)
    changed = changed or {}
    changed.attempt = changed.attempt or {}
    changed.attempt.product = changed.attempt.product or "qr"
    local ctx = support.context(changed)
    ctx.refund = changed.refund
        or { refund_no = "01J8ZQ4F7MX2K9D0V3B6N8TREF", amount = 300, currency = "CNY" }
    return ctx
end

local function build(op, changed, prepared)
    return call.build(package, op, prepared or account, context(changed))
end

--- The decoded parameters of what is sent, and biz_content.
local function sent(request)
    local fields = assert(form.decode(request.url:match("%?(.*)$")))
    assert.is_nil(fields.biz_content)
    for name, value in pairs(request.form) do
        assert.are.equal("biz_content", name)
        fields[name] = value
    end
    return fields, assert(json.decode(fields.biz_content))
end

local function interpret(op, node, changed)
    local root = methods[op]:gsub("%.", "_") .. "_response"
    node.code, node.msg = node.code or "10000", node.msg or "Success"
    return call.interpret(package, op, account, support.signed_answer(root, json.encode(node)),
        context(changed))
end

describe("alipay, what every call sends", function()
    for op, method in pairs(methods) do
        it("is " .. method .. " for " .. op .. ", signed, with nothing empty", function()
            local request = assert(build(op))
            assert.are.equal("POST", request.method)
            assert.is_nil(request.timeout_ms)
            assert.are.equal("alipay:spec", request.pool)
            local fields, content = sent(request)
            assert.are.equal(method, fields.method)
            assert.are.equal("2026-01-15 10:20:30", fields.timestamp)
            assert.are.equal(order_no, content.out_trade_no)
            local text = form.canonical(fields, { except = { "sign" } })
            assert.is_true(support.verify_key("merchant"):verify("sha256", text, fields.sign))
            for name, value in pairs(fields) do
                assert.are_not.equal("", value, name)
            end
        end)

        it("is the same again for the same facts: " .. op, function()
            assert.are.same(build(op), build(op))
        end)
    end
end)

describe("alipay qr, create", function()
    it("orders a code", function()
        local fields, content = sent(assert(build("create", {
            payment = { description = "two cups" }, return_url = "https://shop.example/back" })))
        assert.are.same({
            out_trade_no = order_no, total_amount = "12.34", subject = "coffee", body = "two cups",
            product_code = "QR_CODE_OFFLINE", time_expire = "2026-01-15 10:50:30",
        }, content)
        assert.are.equal("https://pay.example.com/notify/alipay/spec", fields.notify_url)
        assert.is_nil(fields.return_url)
    end)

    it("names the contract as the account does", function()
        local prepared = support.account(package, { qr_product_code = "FACE_TO_FACE_PAYMENT" })
        local _, content = sent(assert(build("create", nil, prepared)))
        assert.are.equal("FACE_TO_FACE_PAYMENT", content.product_code)
    end)

    it("lives no longer than the code", function()
        local hour = 3600000
        assert.is_truthy(build("create", { attempt = { expires_at = support.now + 2 * hour } }))
        local _, err = build("create", { attempt = { expires_at = support.now + 2 * hour + 60000 } })
        assert.are.same({ code = "invalid_field", channel = "alipay", field = "expires_in",
            detail = "alipay: an order must live 1m to 2h" }, err)
    end)

    it("has none of the page's options", function()
        for name, value in pairs { form = true, qr_pay_mode = "1", qrcode_width = 100 } do
            local _, err = build("create", { options = { [name] = value } })
            assert.are.same({ code = "invalid_field", channel = "alipay",
                field = "channel_options.alipay." .. name,
                detail = "alipay: " .. name .. " is for the product page" }, err)
        end
    end)

    it("gives the code to the payer", function()
        local outcome = interpret("create", { out_trade_no = order_no,
            qr_code = "https://qr.alipay.com/bavh4wjlxf12tper3a" })
        assert.are.equal("ok", outcome.class)
        assert.are.same({ type = "qr_code", code_url = "https://qr.alipay.com/bavh4wjlxf12tper3a" },
            outcome.result.next_action)
        assert.are.equal(order_no, outcome.result.order_no)
        assert.is_nil(outcome.result.state)
    end)

    it("gives nothing to the payer that is not this order's code", function()
        for _, node in ipairs {
            { out_trade_no = "01J8ZQ4F7MX2K9D0V3B6N8TEV1", qr_code = "https://qr.alipay.com/x" },
            { qr_code = "https://qr.alipay.com/x" }, { out_trade_no = order_no },
            { out_trade_no = order_no, qr_code = "" }, { out_trade_no = order_no, qr_code = 5 },
            { out_trade_no = order_no, qr_code = "https://qr.alipay.com/x\n" },
        } do
            local outcome = interpret("create", node)
            assert.are.equal("unknown", outcome.class)
            assert.is_nil(outcome.result)
        end
    end)
end)

describe("alipay page, create", function()
    it("is not answered to us", function()
        local request = assert(build("create", { attempt = { product = "page" } }))
        assert.is_nil(request.url)
        assert.are.equal("redirect", request["local"].next_action.type)
    end)
end)

describe("alipay close", function()
    it("says which order ended", function()
        local outcome = interpret("close", { out_trade_no = order_no, trade_no = trade_no })
        assert.are.equal("ok", outcome.class)
        assert.are.same({ code = "10000", channel_code = "10000", message = "Success", order_no = order_no,
            trade_no = trade_no }, outcome.result)
    end)

    it("does not find an order that nobody opened, and cannot end one that was paid", function()
        assert.are.equal("not_found", interpret("close",
            { code = "40004", sub_code = "ACQ.TRADE_NOT_EXIST" }).class)
        local outcome = interpret("close", { code = "40004", sub_code = "ACQ.TRADE_STATUS_ERROR" })
        assert.are.equal("conflict", outcome.class)
        assert.is_nil(outcome.alarm)
    end)
end)

describe("alipay cancel", function()
    local function cancel(said)
        local node = { out_trade_no = order_no, trade_no = trade_no }
        for name, value in pairs(said) do
            node[name] = value
        end
        return interpret("cancel", node)
    end

    for what, case in pairs {
        ["an order that was never paid"] = { { retry_flag = "N", action = "close" },
            { state = "cancelled", channel_state = "close", reversed = false, again = false } },
        ["an order whose money went back"] = { { retry_flag = "N", action = "refund" },
            { state = "cancelled", channel_state = "refund", reversed = true, again = false } },
        ["an order that nobody opened"] = { { retry_flag = "N" }, { reversed = false, again = false } },
        ["one that has to be asked again"] = { { retry_flag = "Y" }, { reversed = false, again = true } },
        ["one that did something and has to be asked again"] = { { retry_flag = "Y", action = "refund" },
            { channel_state = "refund", reversed = false, again = true } },
    } do
        it("reads " .. what, function()
            local outcome = cancel(case[1])
            assert.are.equal("ok", outcome.class)
            local found = {}
            for _, name in ipairs { "state", "channel_state", "reversed", "again" } do
                found[name] = outcome.result[name]
            end
            assert.are.same(case[2], found)
            assert.are.equal(order_no, outcome.result.order_no)
        end)
    end

    for what, node in pairs {
        ["without a retry flag"] = { action = "close" }, ["with another retry flag"] = { retry_flag = "y" },
        ["with an unknown action"] = { retry_flag = "N", action = "vanish" },
        ["with an action that is no text"] = { retry_flag = "N", action = {} },
    } do
        it("calls one " .. what .. " no cancellation", function()
            local outcome = cancel(node)
            assert.is_nil(outcome.result and outcome.result.state)
        end)
    end
end)

describe("alipay refund", function()
    it("names the refund by our number, always the same", function()
        local _, content = sent(assert(build("refund", { refund = {
            refund_no = "R1", amount = 5, currency = "CNY", reason = "broken cup" } })))
        assert.are.same({ out_trade_no = order_no, out_request_no = "R1", refund_amount = "0.05",
            refund_reason = "broken cup" }, content)
    end)

    it("sends no reason when there is none, and cuts one that is too long", function()
        for reason, wanted in pairs { [""] = false, [("咖"):rep(300)] = ("咖"):rep(256),
            [("x"):rep(256)] = ("x"):rep(256) } do
            local _, content = sent(assert(build("refund", { refund = {
                refund_no = "R1", amount = 5, currency = "CNY", reason = reason } })))
            assert.are.equal(wanted or nil, content.refund_reason)
        end
        local _, content = sent(assert(build("refund")))
        assert.is_nil(content.refund_reason)
    end)

    local done = {
        out_trade_no = order_no, trade_no = trade_no, fund_change = "Y", refund_fee = "5.00",
        gmt_refund_pay = "2026-01-16 09:00:00", buyer_logon_id = "x***@y",
    }
    local function refund(changed)
        local node = {}
        for name, value in pairs(done) do node[name] = value end
        for name, value in pairs(changed or {}) do node[name] = value ~= "absent" and value or nil end
        return interpret("refund", node)
    end

    it("is done when money moved, and says how much went back in all", function()
        local outcome = refund()
        assert.are.equal("ok", outcome.class)
        assert.are.same({
            code = "10000", channel_code = "10000", message = "Success", order_no = order_no,
            trade_no = trade_no, state = "succeeded", channel_state = "Y", refunded_total = 500,
            currency = "CNY", at = 1768525200000,
        }, outcome.result)
    end)

    it("is not known to be done when no money moved just now", function()
        local outcome = refund { fund_change = "N" }
        assert.are.equal("ok", outcome.class)
        assert.are.equal("pending", outcome.result.state)
        outcome = refund { fund_change = "absent" }
        assert.are.equal("ok", outcome.class)
        assert.is_nil(outcome.result.state)
        outcome = refund { fund_change = "yes" }
        assert.are.equal("unknown", outcome.class)
        assert.are.equal("alipay: the refund's state 'yes' is not mapped", outcome.alarm)
    end)

    it("is unknown when its total cannot be read exactly", function()
        for _, fee in ipairs { "absent", "5.001", "-5.00", "5,00", "" } do
            local outcome = refund { refund_fee = fee }
            assert.are.equal("unknown", outcome.class, fee)
            assert.is_nil(outcome.result)
        end
    end)

    it("waits for a person where a person can help, who is told how", function()
        local outcome = interpret("refund", { code = "40004", sub_code = "ACQ.SELLER_BALANCE_NOT_ENOUGH" })
        assert.are.equal("abnormal", outcome.class)
        assert.are.equal("alipay: ACQ.SELLER_BALANCE_NOT_ENOUGH: the merchant's balance is too low: "
            .. "top it up, then repeat", outcome.alarm)
    end)
end)

describe("alipay refund query", function()
    it("asks by the refund's number", function()
        local _, content = sent(assert(build("refund_query")))
        assert.are.same({ out_trade_no = order_no, out_request_no = "01J8ZQ4F7MX2K9D0V3B6N8TREF",
            query_options = json.array { "gmt_refund_pay" } }, content)
    end)

    it("reads one refund that is done", function()
        local outcome = interpret("refund_query", {
            out_trade_no = order_no, trade_no = trade_no, out_request_no = "R1", refund_amount = "3.00",
            total_amount = "12.34", refund_status = "REFUND_SUCCESS", gmt_refund_pay = "2026-01-16 09:00:00",
        })
        assert.are.equal("ok", outcome.class)
        assert.are.same({
            code = "10000", channel_code = "10000", message = "Success", order_no = order_no,
            trade_no = trade_no, refund_no = "R1", state = "succeeded", channel_state = "REFUND_SUCCESS",
            amount = 300, currency = "CNY", at = 1768525200000,
        }, outcome.result)
    end)

    it("does not find what the answer says nothing of", function()
        for _, node in ipairs { {}, { out_trade_no = order_no, trade_no = trade_no },
            { out_trade_no = order_no, out_request_no = "R1" }, { refund_status = "" } } do
            local outcome = interpret("refund_query", node)
            assert.are.equal("not_found", outcome.class)
            assert.is_nil(outcome.result.state)
            assert.is_truthy(outcome.evidence)
            assert.is_nil(outcome.alarm)
        end
    end)

    it("does not know how far a refund is that has no status", function()
        local outcome = interpret("refund_query", { out_trade_no = order_no, out_request_no = "R1",
            refund_amount = "3.00" })
        assert.are.equal("unknown", outcome.class)
        assert.is_nil(outcome.result.state)
        assert.is_nil(outcome.alarm)
    end)

    it("tells people of an error code and of a status that nobody knows", function()
        local outcome = interpret("refund_query", { out_trade_no = order_no, refund_amount = "3.00",
            error_code = "ACCOUNT_GONE" })
        assert.are.equal("unknown", outcome.class)
        assert.are.equal("alipay: the code 'ACCOUNT_GONE' is not mapped", outcome.alarm)
        outcome = interpret("refund_query", { out_request_no = "R1", refund_amount = "3.00",
            refund_status = "REFUND_HALF" })
        assert.are.equal("unknown", outcome.class)
        assert.are.equal("alipay: the refund's state 'REFUND_HALF' is not mapped", outcome.alarm)
    end)
end)

describe("alipay, where the signed part states what a result says", function()
    it("is declared for every operation", function()
        for op in pairs(methods) do
            assert.are.equal("out_trade_no", package.stated[op].order_no, op)
        end
        assert.are.equal("refund_fee", package.stated.refund.total)
        assert.are.equal("refund_amount", package.stated.refund_query.amount)
        assert.are.equal("out_request_no", package.stated.refund_query.refund_no)
        assert.are.equal("action", package.stated.cancel.state)
        assert.are.equal("decimal", package.amounts)
    end)
end)
