-- One call: limits, build, and what an answer means. What is not known is unknown.
local support = dofile "tests/spec/channel_support.lua"

local call = require "tael.channel.call"
local form = require "tael.form"
local json = require "tael.json"
local loader = require "tael.channel.loader"

local package = loader.load(support.scripts).alipay
local root = "alipay_trade_query_response"

local function page(changed)
    return call.build(package, "create", support.account(package), support.context(changed))
end

local function parameters(url)
    local fields = assert(form.decode(url:match("%?(.*)$"), { max_value = 8192 }))
    return fields, assert(json.decode(fields.biz_content or "{}"))
end

describe("channel.call.build for a page", function()
    it("gives an address with everything signed and nothing empty", function()
        local request = assert(page { return_url = "https://pay.example.com/return/alipay/X" })
        local action = request["local"].next_action
        assert.are.equal("redirect", action.type)
        assert.are.equal("GET", action.method)
        local fields, content = parameters(action.url)
        assert.are.equal("alipay.trade.page.pay", fields.method)
        assert.are.equal("2026-01-15 10:20:30", fields.timestamp)
        assert.are.equal("https://pay.example.com/notify/alipay/spec", fields.notify_url)
        assert.are.equal("https://pay.example.com/return/alipay/X", fields.return_url)
        assert.are.same({
            out_trade_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE", total_amount = "12.34", subject = "coffee",
            product_code = "FAST_INSTANT_TRADE_PAY", time_expire = "2026-01-15 10:50:30",
        }, content)
        local text = form.canonical(fields, { except = { "sign" } })
        assert.is_true(support.verify_key("merchant"):verify("sha256", text, fields.sign))
        for name, value in pairs(fields) do
            assert.are_not.equal("", value, name)
        end
    end)

    it("gives the same bytes for the same facts", function()
        assert.are.same(page(), page())
    end)

    it("leaves an absent return_url out", function()
        assert.is_nil(parameters(page()["local"].next_action.url).return_url)
    end)

    it("gives a form when the merchant wants one", function()
        local action = page { options = { form = true } }["local"].next_action
        assert.are.equal("form", action.type)
        assert.are.equal("POST", action.method)
        assert.are.equal("utf-8", action.charset)
        local fields = parameters(action.url)
        assert.are.equal("utf-8", fields.charset)
        assert.is_nil(fields.biz_content)
        assert.are.equal("01J8ZQ4F7MX2K9D0V3B6N8TACE", json.decode(action.fields.biz_content).out_trade_no)
    end)

    for what, case in pairs {
        ["a slash in the subject"] = { { payment = { subject = "1/2 price" } }, "invalid_field", "subject",
            "alipay: subject must not hold '/'" },
        ["an equals sign in the subject"] = { { payment = { subject = "a=b" } }, "invalid_field", "subject",
            "alipay: subject must not hold '='" },
        ["an ampersand in the subject"] = { { payment = { subject = "R&D" } }, "invalid_field", "subject",
            "alipay: subject must not hold '&'" },
        ["a subject that is too long"] = { { payment = { subject = ("咖"):rep(257) } }, "invalid_field",
            "subject", "alipay: subject must not be longer than 256 characters" },
        ["a description that is too long"] = { { payment = { description = ("x"):rep(129) } },
            "invalid_field", "description", "alipay: description must not be longer than 128 characters" },
        ["another currency"] = { { attempt = { currency = "USD" } }, "currency_not_supported", "currency",
            "alipay: currency USD is not supported" },
        ["a product that is not there"] = { { attempt = { product = "barcode" } }, "product_not_supported",
            "product", "alipay: product 'barcode' is not supported" },
        ["more than Alipay takes"] = { { attempt = { amount = 10000000001 } }, "amount_out_of_range",
            "amount", "alipay: amount must lie in 1 … 10000000000 minor units" },
        ["a life that is too short"] = { { attempt = { expires_at = support.now + 30000 } },
            "invalid_field", "expires_in", "alipay: an order must live 1m to 15d" },
        ["a life that is too long"] = { { attempt = { expires_at = support.now + 16 * 86400000 } },
            "invalid_field", "expires_in", "alipay: an order must live 1m to 15d" },
    } do
        it("refuses " .. what .. ", naming the channel and the field", function()
            local request, err = page(case[1])
            assert.is_nil(request)
            assert.are.same({ code = case[2], channel = "alipay", field = case[3], detail = case[4] }, err)
        end)
    end

    it("takes the longest subject", function()
        assert.is_truthy(page { payment = { subject = ("咖"):rep(256) } })
    end)

    it("says what is not implemented", function()
        local _, err = call.build(package, "split", support.account(package), support.context())
        assert.are.equal("not_implemented_by_channel", err.code)
    end)
end)

describe("channel.call.build for a query", function()
    it("asks by our order number", function()
        local request = assert(call.build(package, "query", support.account(package), support.context()))
        assert.are.equal("POST", request.method)
        local fields = parameters(request.url)
        assert.are.equal("alipay.trade.query", fields.method)
        local content = json.decode(request.form.biz_content)
        assert.are.same({ out_trade_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE" }, content)
    end)
end)

local function interpret(answer, err)
    return call.interpret(package, "query", support.account(package), answer, support.context(), err)
end

local function node(members)
    return json.encode(members)
end

local paid = {
    code = "10000", msg = "Success", out_trade_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE",
    trade_no = "2026011522001400000000000001", trade_status = "TRADE_SUCCESS", total_amount = "12.34",
    send_pay_date = "2026-01-15 10:24:58", buyer_user_id = "2088102122524333",
}

local function paid_with(changed)
    local members = {}
    for name, value in pairs(paid) do
        members[name] = value
    end
    for name, value in pairs(changed) do
        members[name] = value ~= "absent" and value or nil
    end
    return node(members)
end

describe("channel.call.interpret", function()
    it("reads a signed success", function()
        local outcome = interpret(support.signed_answer(root, node(paid)))
        assert.are.equal("ok", outcome.class)
        assert.is_truthy(outcome.evidence)
        local result = outcome.result
        assert.are.equal("succeeded", result.state)
        assert.are.equal("TRADE_SUCCESS", result.channel_state)
        assert.are.equal(1234, result.amount)
        assert.are.equal("CNY", result.currency)
        assert.are.equal("2026011522001400000000000001", result.trade_no)
        assert.are.equal("01J8ZQ4F7MX2K9D0V3B6N8TACE", result.order_no)
        assert.are.equal(1768443898000, result.at)
        assert.is_nil(outcome.alarm)
    end)

    for word, state in pairs {
        WAIT_BUYER_PAY = "waiting_payer", TRADE_SUCCESS = "succeeded", TRADE_FINISHED = "succeeded",
    } do
        it("maps " .. word .. " to " .. state, function()
            local outcome = interpret(support.signed_answer(root, paid_with { trade_status = word }))
            assert.are.equal("ok", outcome.class)
            assert.are.equal(state, outcome.result.state)
        end)
    end

    it("maps TRADE_CLOSED to expired only when it was never paid", function()
        local never = interpret(support.signed_answer(root,
            paid_with { trade_status = "TRADE_CLOSED", send_pay_date = "absent" }))
        assert.are.equal("ok", never.class)
        assert.are.equal("expired", never.result.state)
        local refunded = interpret(support.signed_answer(root, paid_with { trade_status = "TRADE_CLOSED" }))
        assert.are.equal("unknown", refunded.class)
        assert.are.equal("unknown", refunded.result.state)
        assert.is_true(refunded.result.given_back)
        assert.is_nil(never.result.given_back)
    end)

    it("says unknown and alarms for a state that it does not know", function()
        local answer = paid_with { trade_status = "TRADE_TELEPORTED" }
        local outcome = interpret(support.signed_answer(root, answer))
        assert.are.equal("unknown", outcome.class)
        assert.are.equal("unknown", outcome.result.state)
        assert.are.equal("TRADE_TELEPORTED", outcome.result.channel_state)
        assert.are.equal("alipay: the state 'TRADE_TELEPORTED' is not mapped", outcome.alarm)
    end)

    for amount, why in pairs {
        ["12.345"] = "three decimals", ["1e3"] = "an exponent", ["-1.00"] = "a sign", [" 12.34"] = "a blank",
        ["12,34"] = "a comma", [""] = "nothing",
    } do
        it("says unknown for an amount with " .. why, function()
            local outcome = interpret(support.signed_answer(root, paid_with { total_amount = amount }))
            assert.are.equal("unknown", outcome.class)
            assert.is_nil(outcome.result)
        end)
    end

    it("says unknown for an amount that is a JSON number", function()
        local raw = paid_with({}):gsub('"12.34"', "12.34")
        assert.are.equal("unknown", interpret(support.signed_answer(root, raw)).class)
    end)

    for sub_code, expected in pairs {
        ["ACQ.TRADE_NOT_EXIST"] = { class = "not_found", waiting = true },
        ["ACQ.SYSTEM_ERROR"] = { class = "unknown" },
        ["AQC.SYSTEM_ERROR"] = { class = "unknown" },
        ["aop.ACQ.SYSTEM_ERROR"] = { class = "unknown" },
        ["ACQ.INVALID_PARAMETER"] = { class = "config", alarm = true },
        ["ACQ.ACCESS_FORBIDDEN"] = { class = "config", alarm = true },
        ["ACQ.TRADE_HAS_CLOSE"] = { class = "declined", decline_code = "other" },
        ["ACQ.BUYER_BALANCE_NOT_ENOUGH"] = { class = "declined", decline_code = "insufficient_funds" },
        ["ACQ.NEVER_HEARD_OF"] = { class = "unknown", alarm = true },
    } do
        it("classes " .. sub_code .. " as " .. expected.class, function()
            local outcome = interpret(support.signed_answer(root,
                node { code = "40004", msg = "Business Failed", sub_code = sub_code, sub_msg = "…" }))
            assert.are.equal(expected.class, outcome.class)
            assert.are.equal(expected.waiting, outcome.waiting)
            assert.are.equal(expected.decline_code, outcome.decline_code)
            assert.are.equal(expected.alarm or false, outcome.alarm ~= nil)
            assert.are.equal(sub_code, outcome.result.channel_code)
            assert.is_nil(outcome.result.state)
        end)
    end

    for code, class in pairs {
        ["20000"] = "unknown", ["40005"] = "unknown", ["20001"] = "config", ["40001"] = "config",
        ["40002"] = "config", ["40003"] = "config", ["40006"] = "config", ["55555"] = "unknown",
    } do
        it("classes the gateway's code " .. code .. " as " .. class, function()
            local answer = node { code = code, msg = "x" }
            local outcome = interpret(support.signed_answer("error_response", answer))
            assert.are.equal(class, outcome.class)
        end)
    end

    it("believes no success without a signature", function()
        local raw = ('{"%s":%s}'):format(root, node(paid))
        local outcome = interpret(support.answer(raw))
        assert.are.equal("unknown", outcome.class)
        assert.is_nil(outcome.evidence)
        assert.is_nil(outcome.result)
        assert.are.equal("answer not verified: unsigned: 10000", outcome.reason)
    end)

    it("says what an unsigned error said, and calls it unknown", function()
        local raw = '{"error_response":{"code":"40002","msg":"x","sub_code":"isv.invalid-app-id"}}'
        local outcome = interpret(support.answer(raw))
        assert.are.equal("unknown", outcome.class)
        assert.are.equal("answer not verified: unsigned: 40002 isv.invalid-app-id", outcome.reason)
    end)

    local doubtful = {
        ["signed by somebody else"] = support.signed_answer(root, node(paid), support.sign_key("attacker")),
        ["signed by ourselves"] = support.signed_answer(root, node(paid), support.sign_key("merchant")),
        ["of another method"] = support.signed_answer("alipay_trade_refund_response", node(paid)),
        ["with status 502"] = support.signed_answer(root, node(paid)),
        ["that is no JSON"] = support.answer("<html>gateway</html>"),
        ["that is empty"] = support.answer(""),
        ["that is an array"] = support.answer("[]"),
        ["whose node is not an object"] = support.signed_answer(root, '"10000"'),
        ["that says nothing"] = support.signed_answer(root, "{}"),
    }
    doubtful["with status 502"].status = 502
    for what, answer in pairs(doubtful) do
        it("says unknown for an answer " .. what, function()
            local outcome = interpret(answer)
            assert.are.equal("unknown", outcome.class)
            assert.is_nil(outcome.result)
            assert.is_truthy(outcome.reason)
        end)
    end

    it("says not_sent only when no byte left", function()
        assert.are.equal("not_sent", interpret(nil, { code = "connect", sent = false }).class)
        assert.are.equal("unknown", interpret(nil, { code = "timeout", sent = true }).class)
        assert.are.equal("unknown", interpret(nil, nil).class)
    end)

    it("takes the evidence of another message for nothing", function()
        local message = require "tael.message"
        local genuine = support.signed_answer(root, node(paid))
        local other = message.new { account = support.account_id, raw = genuine.raw, at = support.now }
        local borrowed = support.verify_key("alipay"):attest("sha256", other:span(root),
            json.decode(genuine.raw).sign)
        assert.is_truthy(borrowed)
        local lying = setmetatable({ verify_answer = function() return borrowed end }, { __index = package })
        local outcome = call.interpret(lying, "query", support.account(package), genuine, support.context())
        assert.are.equal("unknown", outcome.class)
        assert.is_nil(outcome.evidence)
    end)

    it("survives a package that raises or invents", function()
        local account, context = support.account(package), support.context()
        local answer = support.signed_answer(root, node(paid))
        for _, wrong in ipairs {
            { verify_answer = function() error("boom") end },
            { verify_answer = function() return { form = paid } end },
            { verify_answer = function() return true end },
            { query = { parse = function() error("boom") end } },
            { query = { parse = function() return nil end } },
            { query = { parse = function() return {} end } },
            { query = { parse = function() return { code = "10000", amount = 12.34 } end } },
            { query = { parse = function() return { code = "10000", amount = "1234" } end } },
        } do
            local lying = setmetatable(wrong, { __index = package })
            assert.are.equal("unknown", call.interpret(lying, "query", account, answer, context).class)
        end
    end)
end)
