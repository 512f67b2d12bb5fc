--- What Alipay sends by itself: notifications (protocol reference §9), and the payer's browser (§10).
local values = require "channels.alipay.values"

local notices = {}

--- A field that is there and not empty; those of a form are texts.
local function text_of(field)
    return field ~= "" and field or nil
end

local function without_sign_type(drop_empty)
    return { except = { "sign", "sign_type" }, drop_empty = drop_empty }
end

local function with_sign_type(drop_empty)
    return { except = { "sign" }, drop_empty = drop_empty }
end

--- What Alipay signs of a payment's notification; nearly every message.
local USUAL = without_sign_type(true)

--- The other texts that it may have signed: with sign_type for messages to the application's gateway;
--- libraries disagree on empty values, so both forms where there is one.
local function others(fields)
    for _, value in pairs(fields) do
        if value == "" then
            return { without_sign_type(false), with_sign_type(true), with_sign_type(false) }
        end
    end
    return { with_sign_type(true) }
end

local function refuse(check, detail)
    return nil, { check = check, detail = detail }
end

--- Base64 characters of a signature made with a key of this size.
local function signature_length(account)
    return (account.alipay_key:bits() // 8 + 2) // 3 * 4
end

local function missing(name)
    return refuse("form", name .. " is missing")
end

local function parse(account, message)
    local sign, sign_type, app_id, notification_id, notify_time, charset, seller_id, order_no, trade_no =
        message:fields("sign", "sign_type", "app_id", "notify_id", "notify_time", "charset", "seller_id",
            "out_trade_no", "trade_no")
    if not text_of(sign) then
        return missing("sign")
    elseif not text_of(sign_type) then
        return missing("sign_type")
    elseif not text_of(app_id) then
        return missing("app_id")
    elseif not text_of(notification_id) then
        return missing("notify_id")
    elseif not text_of(notify_time) then
        return missing("notify_time")
    elseif sign_type ~= account.sign_type then
        return refuse("algorithm", "sign_type is not " .. account.sign_type)
    elseif #sign ~= signature_length(account) then
        return refuse("algorithm", "the signature is not as long as the key demands")
    elseif text_of(charset) and charset:lower() ~= account.charset then
        return refuse("form", "charset is not " .. account.charset)
    end
    local at = values.time(notify_time)
    if not at then
        return refuse("form", "notify_time is not a time")
    end
    return {
        identity = { app_id = app_id, seller_id = text_of(seller_id) },
        order_no = text_of(order_no),
        trade_no = text_of(trade_no),
        notification_id = notification_id,
        at = at,
    }
end

local function verify(account, message)
    local key, sign = account.alipay_key, message:fields("sign")
    local evidence, reason = key:attest("sha256", message:canonical(USUAL), sign)
    if evidence then
        return evidence
    end
    for _, options in ipairs(others(message.form)) do
        evidence, reason = key:attest("sha256", message:canonical(options), sign)
        if evidence then
            return evidence
        end
    end
    return nil, reason
end

--- Money that went back says so with refund_fee, of all refunds together; 0.00 is none.
local function was_refunded(refund_fee)
    return text_of(refund_fee) ~= nil and values.amount(refund_fee) > 0
end

local function payment_fact(evidence, refunded)
    local order_no, trade_no, status, total, seller, paid = evidence:fields("out_trade_no", "trade_no",
        "trade_status", "total_amount", "seller_id", "gmt_payment")
    local user_id, buyer_id, open_id, login = evidence:fields("buyer_user_id", "buyer_id", "buyer_open_id",
        "buyer_logon_id")
    local state, given_back = values.state(status, refunded or text_of(paid) ~= nil)
    return {
        kind = "payment",
        order_no = text_of(order_no),
        trade_no = text_of(trade_no),
        state = state, given_back = given_back,
        amount = values.amount(total), currency = values.currency,
        seller = text_of(seller),
        at = values.time(paid),
        payer = {
            buyer_id = text_of(user_id) or text_of(buyer_id), buyer_open_id = text_of(open_id),
            login_hint = text_of(login),
        },
    }
end

--- Which refund, not how much: refund_fee is of all of them, and whether this one is done a query says.
local function refund_fact(evidence)
    local order_no, trade_no, refund_no, refunded = evidence:fields("out_trade_no", "trade_no", "out_biz_no",
        "gmt_refund")
    return {
        kind = "refund",
        order_no = text_of(order_no),
        trade_no = text_of(trade_no),
        refund_no = text_of(refund_no),
        at = values.time(refunded),
    }
end

--- A partial refund sends TRADE_SUCCESS again (with refund_fee); a full one TRADE_CLOSED.
local function facts(_, evidence)
    local status, refund_fee = evidence:fields("trade_status", "refund_fee")
    if not text_of(status) then
        return refuse("form", "trade_status is missing: it is not about a payment")
    end
    local refunded = was_refunded(refund_fee)
    local list = { payment_fact(evidence, refunded) }
    list[2] = refunded and refund_fact(evidence) or nil
    return list
end

notices.notification = {
    parse = parse,
    verify = verify,
    signed = function(_, message)
        return message:canonical(USUAL)
    end,
    facts = facts,
}

notices.return_ = {
    verify = function(account, message)
        local fields = message.form
        if fields.app_id ~= account.app_id or fields.sign_type ~= account.sign_type
            or not text_of(fields.sign) then
            return nil
        end
        local evidence = account.alipay_key:attest("sha256", message:canonical(USUAL), fields.sign)
        return evidence and evidence.form.out_trade_no
    end,
}

return notices
