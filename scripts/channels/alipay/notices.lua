--- What Alipay sends by itself: notifications (protocol reference §9), and the payer's browser (§10).
local values = require "channels.alipay.values"

local notices = {}

local text_of = values.text

local function without_sign_type(drop_empty)
    return { except = { "sign", "sign_type" }, drop_empty = drop_empty }
end

local function with_sign_type(drop_empty)
    return { except = { "sign" }, drop_empty = drop_empty }
end

--- The texts that Alipay may have signed: without sign_type for payments, with it for messages to the
--- application's gateway; libraries disagree on empty values, so both forms where there is one.
local function candidates(fields)
    for _, value in pairs(fields) do
        if value == "" then
            return { without_sign_type(true), without_sign_type(false),
                with_sign_type(true), with_sign_type(false) }
        end
    end
    return { without_sign_type(true), with_sign_type(true) }
end

local function refuse(check, detail)
    return nil, { check = check, detail = detail }
end

--- Base64 characters of a signature made with a key of this size.
local function signature_length(account)
    return (account.alipay_key:bits() // 8 + 2) // 3 * 4
end

local needed = { "sign", "sign_type", "app_id", "notify_id", "notify_time" }

local function parse(account, message)
    local fields = message.form
    for _, name in ipairs(needed) do
        if not text_of(fields[name]) then
            return refuse("form", name .. " is missing")
        end
    end
    if fields.sign_type ~= account.sign_type then
        return refuse("algorithm", "sign_type is not " .. account.sign_type)
    elseif #fields.sign ~= signature_length(account) then
        return refuse("algorithm", "the signature is not as long as the key demands")
    elseif text_of(fields.charset) and fields.charset:lower() ~= account.charset then
        return refuse("form", "charset is not " .. account.charset)
    end
    local at = values.time(fields.notify_time)
    if not at then
        return refuse("form", "notify_time is not a time")
    end
    return {
        identity = { app_id = fields.app_id, seller_id = text_of(fields.seller_id) },
        order_no = text_of(fields.out_trade_no),
        trade_no = text_of(fields.trade_no),
        notification_id = fields.notify_id,
        at = at,
    }
end

local function verify(account, message)
    local fields = message.form
    local reason
    for _, options in ipairs(candidates(fields)) do
        local evidence, why = account.alipay_key:attest("sha256", message:canonical(options), fields.sign)
        if evidence then
            return evidence
        end
        reason = why
    end
    return nil, reason
end

--- Money that went back says so with refund_fee, of all refunds together; 0.00 is none.
local function was_refunded(fields)
    return text_of(fields.refund_fee) ~= nil and values.amount(fields.refund_fee) > 0
end

local function payment_fact(fields, refunded)
    local state, given_back = values.state(fields.trade_status,
        refunded or text_of(fields.gmt_payment) ~= nil)
    return {
        kind = "payment",
        order_no = text_of(fields.out_trade_no),
        trade_no = text_of(fields.trade_no),
        state = state, given_back = given_back,
        amount = values.amount(fields.total_amount), currency = values.currency,
        seller = text_of(fields.seller_id),
        at = values.time(fields.gmt_payment),
        payer = values.payer(fields),
    }
end

--- Which refund, not how much: refund_fee is of all of them, and whether this one is done a query says.
local function refund_fact(fields)
    return {
        kind = "refund",
        order_no = text_of(fields.out_trade_no),
        trade_no = text_of(fields.trade_no),
        refund_no = text_of(fields.out_biz_no),
        at = values.time(fields.gmt_refund),
    }
end

--- A partial refund sends TRADE_SUCCESS again (with refund_fee); a full one TRADE_CLOSED.
local function facts(_, evidence)
    local fields = evidence.form
    if not text_of(fields.trade_status) then
        return refuse("form", "trade_status is missing: it is not about a payment")
    end
    local refunded = was_refunded(fields)
    local list = { payment_fact(fields, refunded) }
    list[2] = refunded and refund_fact(fields) or nil
    return list
end

notices.notification = {
    parse = parse,
    verify = verify,
    signed = function(_, message)
        return message:canonical(without_sign_type(true))
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
        local material = message:canonical(without_sign_type(true))
        local evidence = account.alipay_key:attest("sha256", material, fields.sign)
        return evidence and evidence.form.out_trade_no
    end,
}

return notices
