--- What some of Alipay's words mean in one method only (protocol reference §6.2, §8.4 to §8.11).
---
--- Of a refund and a cancel: "abnormal" is what a person can put right, after which the same request, with
--- the same number, is sent again; "declined" is what will never be.
local op_codes = { create = {}, cancel = {}, refund = {}, refund_query = {} }

local function all(op, meaning, names)
    for name in names:gmatch("%S+") do
        op_codes[op][name] = meaning
    end
end

-- a code for this number is on its way already: the same order again
all("create", "retry", "ACQ.APPLY_PC_MERCHANT_CODE_ERROR")

-- ---- money goes back: refund and cancel ----

for _, op in ipairs { "refund", "cancel" } do
    all(op, { "abnormal", "the merchant's balance is too low: top it up, then repeat" },
        "ACQ.SELLER_BALANCE_NOT_ENOUGH")
    all(op, { "abnormal", "Alipay has frozen the trade: ask its support, then repeat" },
        "ACQ.REASON_TRADE_BEEN_FREEZEN")
    all(op, { "declined", "other" }, "ACQ.REASON_TRADE_REFUND_FEE_ERR")
end

all("cancel", "conflict", "ACQ.TRADE_HAS_FINISHED")
all("cancel", { "declined", "other" }, "ACQ.TRADE_CANCEL_TIME_OUT ACQ.CANCEL_NOT_ALLOWED")

-- ---- refund ----

all("refund", "retry", "ACQ.REFUND_CHARGE_ERROR")
all("refund", "conflict", "ACQ.TRADE_HAS_CLOSE") -- all given back already, or never paid
all("refund", { "declined", "other" }, [[
    ACQ.TRADE_HAS_FINISHED ACQ.DISCORDANT_REPEAT_REQUEST ACQ.REFUND_AMT_NOT_EQUAL_TOTAL ACQ.REFUND_FEE_ERROR
    ACQ.CURRENCY_NOT_SUPPORT]])
all("refund", { "declined", "merchant_not_permitted" }, [[
    ACQ.TRADE_NOT_ALLOW_REFUND ACQ.NOT_ALLOW_PARTIAL_REFUND ACQ.ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND]])
all("refund", { "abnormal", "the payer's account cannot take the money: settle it with the payer, or repeat "
    .. "when the account is in order" }, [[
    ACQ.BUYER_NOT_EXIST ACQ.BUYER_ENABLE_STATUS_FORBID ACQ.BUYER_ERROR ACQ.USER_NOT_MATCH_ERR
    ACQ.CUSTOMER_VALIDATE_ERROR]])
all("refund", { "abnormal", "the trade's profit share stands against it: take it back, then repeat" }, [[
    ACQ.ALLOC_AMOUNT_VALIDATE_ERROR ACQ.TRADE_SETTLE_ERROR ACQ.REFUNDALLOC_UNAUTH_LIMIT
    ACQ.REFUND_ROYALTY_PAYEE_ACCOUNT_NOT_EXIST]])
all("refund", { "abnormal", "the account that refunds are paid from does not fit: look at the contract in "
    .. "the console, then repeat" }, [[
    ACQ.REFUND_ACCOUNT_NOT_EXIST ACQ.OVERDRAFT_ASSIGN_ACCOUNT_INVALID ACQ.OVERDRAFT_AGREEMENT_NOT_MATCH]])

-- an order that was paid is there: who does not find it has been asked for another application's
for _, op in ipairs { "refund", "refund_query" } do
    all(op, { "config", "Alipay does not know the paid order: compare app_id and gateway with the console" },
        "ACQ.TRADE_NOT_EXIST TRADE_NOT_EXIST")
end

-- ---- refund query: 10000 without a status (refunds.lua) ----

all("refund_query", "not_found", "REFUND_NOT_KNOWN")
all("refund_query", "unknown", "REFUND_WITHOUT_STATUS")

return op_codes
