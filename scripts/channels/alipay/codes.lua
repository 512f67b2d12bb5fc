--- What Alipay's words mean in an answer to any method (protocol reference §6); where one means something
--- else in one method, op_codes.lua has it. The key is the sub code where there is one, else the gateway's
--- code; a name that ends in * is a family (answer.lua). A word that is in neither is unknown and alarms;
--- nothing is ever guessed from its look.
local codes = {
    ["10000"] = "ok",
    ["10003"] = "pending",
}

local function all(meaning, names)
    for name in names:gmatch("%S+") do
        codes[name] = meaning
    end
end

local function config(text, names)
    all({ "config", text }, names)
end

local function declined(word, names)
    all({ "declined", word }, names)
end

-- ---- the gateway (§6.1) ----

all("unknown", "20000 isp.unknow-error aop.unknow-error ACQ.SYSTEM_ERROR") -- their spelling
all("retry", "40005 isv.app-call-limited isv.method-call-limited")

config("an authorisation token has to be renewed", [[
    20001 aop.invalid-auth-token aop.auth-token-time-out aop.invalid-app-auth-token
    aop.invalid-app-auth-token-no-api aop.app-auth-token-time-out aop.no-product-reg-by-partner]])
config("the request is not complete", [[
    40001 isv.missing-method isv.missing-signature isv.missing-signature-type isv.missing-signature-key
    isv.missing-app-id isv.missing-timestamp isv.missing-version
    isv.decryption-error-missing-encrypt-type]])
config("Alipay cannot verify our signature: compare the application key in the console with ours",
    "isv.invalid-signature")
config("the application id is not known in this environment: compare app_id and gateway with the console",
    "isv.invalid-app-id")
config("the clock may be wrong: the time of the request was refused", "isv.invalid-timestamp")
config("a parameter was refused", [[
    40002 isv.invalid-parameter isv.invalid-method isv.invalid-format isv.invalid-signature-type
    isv.invalid-charset isv.invalid-encrypt-type isv.invalid-encrypt isv.invalid-token isv.invalid-digest
    isv.illegal-json isv.suspected-attack isv.forbidden-api isv.not-support-app-auth isv.upload-fail
    isv.invalid-file-extension isv.invalid-file-size invalid-openid ACQ.INVALID_PARAMETER]])
config("the content encryption of the application does not fit: it has to be off", [[
    isv.decryption-error-not-valid-encrypt-type isv.decryption-error-not-valid-encrypt-key
    isv.decryption-error-unknown]])
config("no public key was uploaded for the application", "isv.missing-signature-config")
config("the application is not in force: look at its state in the console", [[
    40003 isv.invalid-app-state isv.invalid-auth-relations invalid-auth-relations not-online-app]])
config("the application's certificate mode does not fit: this channel works with plain keys", [[
    app-cert-expired isv.app-cert-expired isv.app-cert-not-exist isv.missing-app-cert-sn
    isv.missing-alipay-root-cert-sn isv.invalid-alipay-root-cert-sn isv.alipay-cert-not-exist]])
config("the product is not signed or the permission is missing", [[
    40006 isv.insufficient-isv-permissions isv.insufficient-user-permissions isv.self-invoke-forbidden
    ACQ.ACCESS_FORBIDDEN ACQ.PARTNER_ERROR]])

-- ---- the state of the order (§6.2): asked about, never assumed ----

all("not_found", "ACQ.TRADE_NOT_EXIST TRADE_NOT_EXIST")
all("conflict", [[
    ACQ.TRADE_HAS_SUCCESS ACQ.TRADE_STATUS_ERROR ACQ.REASON_TRADE_STATUS_INVALID ACQ.REASON_ILLEGAL_STATUS
    ACQ.ILLEGAL_SETTLE_STATE]])
all("unknown", "ACQ.ENTERPRISE_PAY_BIZ_ERROR")
declined("other", "ACQ.TRADE_HAS_CLOSE ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR")

-- ---- merchant and configuration (§6.2, class M; F where the fault is ours) ----

config("the merchant may not take payments", [[
    ACQ.SELLER_BEEN_BLOCKED ACQ.SELLER_NOT_EXIST ACQ.MERCHANT_STATUS_NOT_NORMAL
    ACQ.INVALID_RECEIVE_ACCOUNT ACQ.MERCHANT_AGREEMENT_*]])
config("Alipay wants the address that the order was made from, which this channel does not send",
    "ACQ.RISK_MERCHANT_IP_NOT_EXIST")
config("the sub-merchant is not in order", "ACQ.SECONDARY_MERCHANT_* ACQ.SUB_MERCHANT_*")
config("the shop or settlement that the contract asks for is missing", [[
    ACQ.INVALID_STORE_ID ACQ.DEFAULT_SETTLE_RULE_NOT_EXIST ACQ.TRADE_SETTLE_ERROR]])
config("the same order number was used with other content", "ACQ.CONTEXT_INCONSISTENT")
config("more than 150 goods lines", "ACQ.SUB_GOODS_SIZE_MAX_COUNT")

declined("merchant_limit", [[
    ACQ.TOTAL_FEE_EXCEED ACQ.PRODUCT_AMOUNT_LIMIT_ERROR ACQ.REQUEST_AMOUNT_EXCEED
    ACQ.BEYOND_PAY_RESTRICTION ACQ.BEYOND_PER_RECEIPT_RESTRICTION ACQ.BEYOND_PER_RECEIPT_SINGLE_RESTRICTION
    ACQ.BEYOND_PER_RECEIPT_DAY_RESTRICTION ACQ.MERCHANT_PERM_RECEIPT_SUSPEND_LIMIT
    ACQ.MERCHANT_PERM_RECEIPT_SINGLE_LIMIT ACQ.MERCHANT_PERM_RECEIPT_DAY_LIMIT]])

-- ---- the payer (§6.2, class P) ----

declined("payer_mismatch", [[
    ACQ.TRADE_BUYER_NOT_MATCH ACQ.BUYER_SELLER_EQUAL ACQ.BUYER_NOT_EXIST ACQ.USER_NOT_MATCH_ERR]])
declined("auth_code_invalid", "ACQ.PAYMENT_AUTH_CODE_INVALID")
declined("insufficient_funds", [[
    ACQ.BUYER_BALANCE_NOT_ENOUGH ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH
    ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE]])
declined("payer_limit", [[
    ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR
    ACQ.ERROR_BUYER_CERTIFY_LEVEL_LIMIT ACQ.NOT_CERTIFIED_USER ACQ.ERROR_BALANCE_PAYMENT_DISABLE
    ACQ.MOBILE_PAYMENT_SWITCH_OFF ACQ.USER_FACE_PAYMENT_SWITCH_OFF]])
declined("payer_blocked", "ACQ.BUYER_ENABLE_STATUS_FORBID")
declined("risk_channel", "ACQ.PAYMENT_REQUEST_HAS_RISK")
declined("other", "ACQ.PAYMENT_FAIL ACQ.PULL_MOBILE_CASHIER_FAIL ACQ.EXIST_FORBIDDEN_WORD")

-- ---- other ways to pay: withholding, pre-authorisation, profit share (§6.2) ----

declined("other", [[
    ACQ.AGREEMENT_* ACQ.CYCLE_PAY_* ACQ.OVER_*DEDUCT* ACQ.AUTH_NO_ERROR ACQ.AUTH_AMOUNT_NOT_ENOUGH
    ACQ.AUTH_ORDER_* ACQ.PRE_AUTH_PROD_CODE_INCONSISTENT]])
all("retry", "ACQ.FREQUENCY_LIMITED")
all("conflict", "ACQ.DUP_OUT_REQUEST_NO")

return codes
