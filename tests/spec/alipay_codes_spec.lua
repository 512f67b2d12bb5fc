-- Every code that the protocol reference lists for an operation, and what comes of it. The lists are those of
-- its §6.1, §6.2 and §8.4 to §8.11; a code that the package does not map fails here.
local support = dofile "tests/spec/channel_support.lua"

local call = require "tael.channel.call"
local json = require "tael.json"
local loader = require "tael.channel.loader"

local package = loader.load(support.scripts).alipay
local account = support.account(package)

local roots = {
    create = "alipay_trade_precreate_response", query = "alipay_trade_query_response",
    close = "alipay_trade_close_response", cancel = "alipay_trade_cancel_response",
    refund = "alipay_trade_refund_response",
    refund_query = "alipay_trade_fastpay_refund_query_response",
}
local operations = { "create", "query", "close", "cancel", "refund", "refund_query" }

local context = support.context { attempt = { product = "qr" } }
context.refund = { refund_no = "R1", amount = 300, currency = "CNY" }

local function interpret(op, node, root)
    local answer = support.signed_answer(root or roots[op], json.encode(node))
    return call.interpret(package, op, account, answer, context)
end

local function failed(op, sub_code, code)
    return interpret(op, { code = code or "40004", msg = "Failed", sub_code = sub_code, sub_msg = "x" })
end

--- "A B C" -> { "A", "B", "C" }
local function words(text)
    local list = {}
    for word in text:gmatch("%S+") do
        list[#list + 1] = word
    end
    return list
end

-- ---- §8: each operation's list, by the class that it has to have ----

local expected = {
    create = {
        unknown = "SYSTEM_ERROR APPLY_PC_MERCHANT_CODE_ERROR",
        config = [[
            INVALID_PARAMETER ACCESS_FORBIDDEN PARTNER_ERROR CONTEXT_INCONSISTENT SELLER_BEEN_BLOCKED
            INVALID_STORE_ID SECONDARY_MERCHANT_STATUS_ERROR SECONDARY_MERCHANT_ID_INVALID
            SECONDARY_MERCHANT_ID_BLANK SECONDARY_MERCHANT_NOT_MATCH
            SECONDARY_MERCHANT_ISV_PUNISH_INDIRECT SECONDARY_MERCHANT_ALIPAY_ACCOUNT_INVALID
            TRADE_SETTLE_ERROR SELLER_NOT_EXIST INVALID_RECEIVE_ACCOUNT SUB_GOODS_SIZE_MAX_COUNT
            DEFAULT_SETTLE_RULE_NOT_EXIST RISK_MERCHANT_IP_NOT_EXIST MERCHANT_STATUS_NOT_NORMAL]],
        conflict = "TRADE_HAS_SUCCESS",
        ["declined other"] = "TRADE_HAS_CLOSE NOW_TIME_AFTER_EXPIRE_TIME_ERROR EXIST_FORBIDDEN_WORD",
        ["declined merchant_limit"] = [[
            TOTAL_FEE_EXCEED BEYOND_PAY_RESTRICTION BEYOND_PER_RECEIPT_RESTRICTION
            BEYOND_PER_RECEIPT_DAY_RESTRICTION BEYOND_PER_RECEIPT_SINGLE_RESTRICTION
            MERCHANT_PERM_RECEIPT_SUSPEND_LIMIT MERCHANT_PERM_RECEIPT_SINGLE_LIMIT
            MERCHANT_PERM_RECEIPT_DAY_LIMIT]],
        ["declined payer_mismatch"] = "BUYER_SELLER_EQUAL TRADE_BUYER_NOT_MATCH BUYER_NOT_EXIST",
        ["declined payer_blocked"] = "BUYER_ENABLE_STATUS_FORBID",
        ["declined payer_limit"] = [[
            BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR
            ERROR_BUYER_CERTIFY_LEVEL_LIMIT]],
    },
    query = {
        unknown = "SYSTEM_ERROR ENTERPRISE_PAY_BIZ_ERROR", config = "INVALID_PARAMETER",
        not_found = "TRADE_NOT_EXIST",
    },
    close = {
        unknown = "SYSTEM_ERROR", config = "INVALID_PARAMETER", not_found = "TRADE_NOT_EXIST",
        conflict = "TRADE_STATUS_ERROR REASON_TRADE_STATUS_INVALID REASON_ILLEGAL_STATUS",
    },
    cancel = {
        unknown = "SYSTEM_ERROR", config = "INVALID_PARAMETER", conflict = "TRADE_HAS_FINISHED",
        abnormal = "SELLER_BALANCE_NOT_ENOUGH REASON_TRADE_BEEN_FREEZEN",
        ["declined other"] = "TRADE_CANCEL_TIME_OUT REASON_TRADE_REFUND_FEE_ERR CANCEL_NOT_ALLOWED",
    },
    refund = {
        unknown = "SYSTEM_ERROR ENTERPRISE_PAY_BIZ_ERROR REFUND_CHARGE_ERROR",
        config = "INVALID_PARAMETER TRADE_NOT_EXIST",
        conflict = "TRADE_STATUS_ERROR REASON_TRADE_STATUS_INVALID TRADE_HAS_CLOSE",
        abnormal = [[
            SELLER_BALANCE_NOT_ENOUGH REASON_TRADE_BEEN_FREEZEN BUYER_NOT_EXIST BUYER_ENABLE_STATUS_FORBID
            BUYER_ERROR USER_NOT_MATCH_ERR CUSTOMER_VALIDATE_ERROR ALLOC_AMOUNT_VALIDATE_ERROR
            TRADE_SETTLE_ERROR REFUNDALLOC_UNAUTH_LIMIT REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST
            REFUND_ACCOUNT_NOT_EXIST OVERDRAFT_ASSIGN_ACCOUNT_INVALID OVERDRAFT_AGREEMENT_NOT_MATCH]],
        ["declined other"] = [[
            REFUND_AMT_NOT_EQUAL_TOTAL TRADE_HAS_FINISHED DISCORDANT_REPEAT_REQUEST
            REASON_TRADE_REFUND_FEE_ERR REFUND_FEE_ERROR CURRENCY_NOT_SUPPORT]],
        ["declined merchant_not_permitted"] = [[
            TRADE_NOT_ALLOW_REFUND NOT_ALLOW_PARTIAL_REFUND ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND]],
    },
    refund_query = {
        unknown = "SYSTEM_ERROR ENTERPRISE_PAY_BIZ_ERROR", config = "INVALID_PARAMETER TRADE_NOT_EXIST",
    },
}
-- how many the reference lists for each
local counts = { create = 40, query = 4, close = 6, cancel = 8, refund = 31, refund_query = 4 }

local function check(op, sub_code, wanted)
    local outcome = failed(op, sub_code)
    local class, decline_code = wanted:match("^(%S+) ?(%S*)$")
    assert.are.equal(class, outcome.class, outcome.reason)
    assert.are.equal(decline_code ~= "" and decline_code or nil, outcome.decline_code)
    assert.is_truthy(outcome.evidence)
    assert.are.equal(sub_code, outcome.result.channel_code)
    assert.is_nil((outcome.alarm or ""):find("is not mapped", 1, true))
    local for_people = class == "config" or class == "abnormal"
    assert.are.equal(for_people, outcome.alarm ~= nil, outcome.alarm)
end

for _, op in ipairs(operations) do
    describe("alipay, the codes of " .. op, function()
        local count = 0
        for wanted, list in pairs(expected[op]) do
            for _, name in ipairs(words(list)) do
                count = count + 1
                it("takes ACQ." .. name .. " as " .. wanted, function()
                    check(op, "ACQ." .. name, wanted)
                end)
            end
        end

        it("has all that the reference lists", function()
            assert.are.equal(counts[op], count)
        end)

        it("takes one that nobody listed as unknown, and alarms", function()
            local outcome = failed(op, "ACQ.BRAND_NEW")
            assert.are.equal("unknown", outcome.class)
            assert.are.equal("alipay: the code 'ACQ.BRAND_NEW' is not mapped", outcome.alarm)
            assert.are.equal("unknown", interpret(op, { code = "10001", msg = "x" }).class)
        end)

        it("takes SYSTEM_ERROR with any prefix as unknown", function()
            for _, prefix in ipairs { "ACQ.", "AQC.", "aop.ACQ.", "" } do
                local outcome = failed(op, prefix .. "SYSTEM_ERROR")
                assert.are.equal("unknown", outcome.class)
                assert.is_nil(outcome.alarm)
            end
        end)
    end)
end

describe("alipay, a trade that a refund query does not find", function()
    it("may be named without a prefix, and says nothing about the refund", function()
        check("refund_query", "TRADE_NOT_EXIST", "config")
    end)
end)

-- ---- §6.1: the gateway ----

local gateway = {
    ["20000"] = { "unknown", "isp.unknow-error aop.unknow-error" },
    ["20001"] = { "config", [[
        aop.invalid-auth-token aop.auth-token-time-out aop.invalid-app-auth-token
        aop.invalid-app-auth-token-no-api aop.app-auth-token-time-out aop.no-product-reg-by-partner]] },
    ["40001"] = { "config", [[
        isv.missing-method isv.missing-signature isv.missing-signature-type isv.missing-signature-key
        isv.missing-app-id isv.missing-timestamp isv.missing-version
        isv.decryption-error-missing-encrypt-type isv.missing-app-cert-sn
        isv.missing-alipay-root-cert-sn]] },
    ["40002"] = { "config", [[
        isv.invalid-parameter isv.invalid-method isv.invalid-format isv.invalid-signature
        isv.invalid-signature-type isv.invalid-app-id isv.invalid-timestamp isv.invalid-charset
        isv.invalid-encrypt-type isv.invalid-encrypt isv.invalid-token isv.invalid-digest isv.upload-fail
        isv.invalid-file-extension isv.invalid-file-size isv.illegal-json isv.suspected-attack
        isv.forbidden-api isv.not-support-app-auth isv.decryption-error-not-valid-encrypt-type
        isv.decryption-error-not-valid-encrypt-key isv.decryption-error-unknown not-online-app
        app-cert-expired invalid-openid isv.invalid-alipay-root-cert-sn isv.app-cert-expired
        isv.app-cert-not-exist isv.alipay-cert-not-exist]] },
    ["40003"] = { "config", "isv.missing-signature-config invalid-auth-relations isv.invalid-app-state" },
    ["40005"] = { "unknown", "isv.app-call-limited isv.method-call-limited" },
    ["40006"] = { "config", [[
        isv.insufficient-isv-permissions isv.insufficient-user-permissions isv.self-invoke-forbidden]] },
}

describe("alipay, the gateway's codes", function()
    for code, entry in pairs(gateway) do
        it(("takes %s as %s, whatever was asked"):format(code, entry[1]), function()
            for _, op in ipairs(operations) do
                local alone = interpret(op, { code = code, msg = "x" }, "error_response")
                assert.are.equal(entry[1], alone.class)
                for _, sub_code in ipairs(words(entry[2])) do
                    local outcome = failed(op, sub_code, code)
                    assert.are.equal(entry[1], outcome.class, sub_code)
                    assert.are.equal(entry[1] == "config", outcome.alarm ~= nil, outcome.alarm)
                end
            end
        end)
    end

    it("takes 10003 as under way", function()
        assert.are.equal("pending", interpret("create", { code = "10003", msg = "x" }).class)
    end)

    it("believes the sub code before the code", function()
        assert.are.equal("unknown", failed("query", "ACQ.SYSTEM_ERROR", "40002").class)
        assert.are.equal("unknown", failed("query", "ACQ.SYSTEM_ERROR", "10000").class)
    end)
end)

-- ---- §6.2: the families and codes that stand in no list of §8 that the package offers ----

local others = {
    ["declined merchant_limit"] = "PRODUCT_AMOUNT_LIMIT_ERROR REQUEST_AMOUNT_EXCEED",
    ["declined auth_code_invalid"] = "PAYMENT_AUTH_CODE_INVALID",
    ["declined insufficient_funds"] = [[
        BUYER_BALANCE_NOT_ENOUGH BUYER_BANKCARD_BALANCE_NOT_ENOUGH NO_PAYMENT_INSTRUMENTS_AVAILABLE]],
    ["declined payer_limit"] = [[
        ERROR_BALANCE_PAYMENT_DISABLE MOBILE_PAYMENT_SWITCH_OFF USER_FACE_PAYMENT_SWITCH_OFF
        NOT_CERTIFIED_USER]],
    ["declined risk_channel"] = "PAYMENT_REQUEST_HAS_RISK",
    ["declined other"] = [[
        PULL_MOBILE_CASHIER_FAIL PAYMENT_FAIL AGREEMENT_NOT_EXIST CYCLE_PAY_DATE_NOT_MATCH
        OVER_MAX_DEDUCT_AMOUNT AUTH_NO_ERROR AUTH_AMOUNT_NOT_ENOUGH AUTH_ORDER_HAS_CLOSE
        PRE_AUTH_PROD_CODE_INCONSISTENT]],
    config = "MERCHANT_AGREEMENT_NOT_EXIST SECONDARY_MERCHANT_ANYTHING SUB_MERCHANT_NOT_EXIST",
    conflict = "ILLEGAL_SETTLE_STATE DUP_OUT_REQUEST_NO",
    unknown = "FREQUENCY_LIMITED",
}

describe("alipay, the codes of other ways to pay", function()
    for wanted, list in pairs(others) do
        for _, name in ipairs(words(list)) do
            it("takes ACQ." .. name .. " as " .. wanted, function()
                check("create", "ACQ." .. name, wanted)
            end)
        end
    end
end)

describe("alipay, the table of codes", function()
    it("maps nothing that no list here has", function()
        local listed = { ["10000"] = true, ["10003"] = true, ["isv.invalid-auth-relations"] = true,
            TRADE_NOT_EXIST = true, REFUND_NOT_KNOWN = true, REFUND_WITHOUT_STATUS = true }
        local function list(prefix, text)
            for _, name in ipairs(words(text)) do
                listed[prefix .. name] = true
            end
        end
        for _, op in ipairs(operations) do
            for _, text in pairs(expected[op]) do list("ACQ.", text) end
        end
        for _, text in pairs(others) do list("ACQ.", text) end
        for code, entry in pairs(gateway) do
            listed[code] = true
            list("", entry[2])
        end
        local function all_listed(codes)
            for code in pairs(codes) do
                assert.is_truthy(listed[code] or code:find("*", 1, true), code)
            end
        end
        all_listed(package.codes)
        for _, codes in pairs(package.op_codes) do
            all_listed(codes)
        end
    end)
end)
