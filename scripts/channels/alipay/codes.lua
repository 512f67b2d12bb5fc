--- What Alipay's words mean (protocol reference §6, the parts that page payment and query can meet).
--- The key is the sub code where there is one, else the gateway's code. A word that is not here is unknown
--- and alarms; nothing is ever guessed from its look, but for SYSTEM_ERROR, whose prefix varies.
local codes = {
    ["10000"] = "ok",
    ["10003"] = "pending",
    ["20000"] = "unknown",
    ["40005"] = "retry",
    ["isp.unknow-error"] = "unknown", -- their spelling
    ["aop.unknow-error"] = "unknown",
    ["isv.app-call-limited"] = "retry",
    ["isv.method-call-limited"] = "retry",
    ["ACQ.SYSTEM_ERROR"] = "unknown",
    ["ACQ.TRADE_NOT_EXIST"] = "not_found",
    ["ACQ.TRADE_HAS_SUCCESS"] = "unknown", -- paid already: only a query that says so counts
    ["ACQ.TRADE_STATUS_ERROR"] = "unknown",
    ["ACQ.REASON_TRADE_STATUS_INVALID"] = "unknown",
    ["ACQ.REASON_ILLEGAL_STATUS"] = "unknown",
    ["ACQ.ENTERPRISE_PAY_BIZ_ERROR"] = "unknown",
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

config("an authorisation token has to be renewed", [[
    20001 aop.invalid-auth-token aop.auth-token-time-out aop.invalid-app-auth-token
    aop.invalid-app-auth-token-no-api aop.app-auth-token-time-out aop.no-product-reg-by-partner]])
config("the request is not complete", [[
    40001 isv.missing-method isv.missing-signature isv.missing-signature-type isv.missing-signature-key
    isv.missing-app-id isv.missing-timestamp isv.missing-version
    isv.decryption-error-missing-encrypt-type]])
config("Alipay cannot verify our signature: compare the application key in the console with ours",
    "isv.invalid-signature")
config("the application id is not known in this environment", "isv.invalid-app-id")
config("the clock may be wrong: the time of the request was refused", "isv.invalid-timestamp")
config("a parameter was refused", [[
    40002 isv.invalid-parameter isv.invalid-method isv.invalid-format isv.invalid-signature-type
    isv.invalid-charset isv.invalid-encrypt-type isv.invalid-encrypt isv.invalid-token isv.invalid-digest
    isv.illegal-json isv.suspected-attack isv.forbidden-api isv.not-support-app-auth
    isv.decryption-error-not-valid-encrypt-type isv.decryption-error-not-valid-encrypt-key
    isv.decryption-error-unknown not-online-app ACQ.INVALID_PARAMETER]])
config("no public key was uploaded for the application", "isv.missing-signature-config")
config("the application is not in force", [[
    40003 isv.invalid-app-state isv.invalid-auth-relations invalid-auth-relations
    app-cert-expired isv.app-cert-expired isv.app-cert-not-exist]])
config("the application's certificate mode does not fit its settings", [[
    isv.missing-app-cert-sn isv.missing-alipay-root-cert-sn isv.invalid-alipay-root-cert-sn
    isv.alipay-cert-not-exist]])
config("the product is not signed or the permission is missing", [[
    40006 isv.insufficient-isv-permissions isv.insufficient-user-permissions isv.self-invoke-forbidden
    ACQ.ACCESS_FORBIDDEN ACQ.PARTNER_ERROR]])
config("the merchant may not take payments", [[
    ACQ.SELLER_BEEN_BLOCKED ACQ.SELLER_NOT_EXIST ACQ.MERCHANT_STATUS_NOT_NORMAL
    ACQ.INVALID_RECEIVE_ACCOUNT ACQ.RISK_MERCHANT_IP_NOT_EXIST]])
config("the same order number was used with other content", "ACQ.CONTEXT_INCONSISTENT")
config("the order's expiry lies in the past", "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR")
config("the texts of the order hold a forbidden word", "ACQ.EXIST_FORBIDDEN_WORD")

declined("merchant_limit", [[
    ACQ.TOTAL_FEE_EXCEED ACQ.PRODUCT_AMOUNT_LIMIT_ERROR ACQ.REQUEST_AMOUNT_EXCEED
    ACQ.BEYOND_PAY_RESTRICTION ACQ.BEYOND_PER_RECEIPT_RESTRICTION ACQ.BEYOND_PER_RECEIPT_SINGLE_RESTRICTION
    ACQ.BEYOND_PER_RECEIPT_DAY_RESTRICTION ACQ.MERCHANT_PERM_RECEIPT_SUSPEND_LIMIT
    ACQ.MERCHANT_PERM_RECEIPT_SINGLE_LIMIT ACQ.MERCHANT_PERM_RECEIPT_DAY_LIMIT]])
declined("payer_mismatch", "ACQ.TRADE_BUYER_NOT_MATCH ACQ.BUYER_SELLER_EQUAL")
declined("insufficient_funds", [[
    ACQ.BUYER_BALANCE_NOT_ENOUGH ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH
    ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE]])
declined("payer_limit", [[
    ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR
    ACQ.ERROR_BUYER_CERTIFY_LEVEL_LIMIT ACQ.NOT_CERTIFIED_USER ACQ.ERROR_BALANCE_PAYMENT_DISABLE
    ACQ.MOBILE_PAYMENT_SWITCH_OFF]])
declined("payer_blocked", "ACQ.BUYER_ENABLE_STATUS_FORBID")
declined("risk_channel", "ACQ.PAYMENT_REQUEST_HAS_RISK")
declined("other", "ACQ.TRADE_HAS_CLOSE ACQ.PAYMENT_FAIL ACQ.PULL_MOBILE_CASHIER_FAIL")

return codes
