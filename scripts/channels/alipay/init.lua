--- Alipay: payments on Alipay's own page, queries and notifications, RSA2 with plain keys.
--- Sources: the channel's protocol reference; section numbers below are its own.
local answer = require "channels.alipay.answer"
local json = require "tael.json"
local money = require "tael.money"
local request = require "channels.alipay.request"
local time = require "tael.time"

local M = { name = "alipay", api = 1, title = { en = "Alipay", zh = "支付宝" } }

M.fields = {
    app_id = {
        type = "string", match = "^%d+$", max = 32, required = true,
        doc = "application id from the open platform's console",
    },
    key = {
        type = "key", use = "sign", algorithm = "rsa", required = true,
        doc = "the application's private key",
    },
    alipay_key = {
        type = "key", use = "verify", algorithm = "rsa", required = true,
        doc = "Alipay's public key, shown in the console beside the application's own",
    },
    seller_id = {
        type = "string", match = "^2088%d+$", max = 16, required = true,
        doc = "the merchant's own Alipay user id; a notification for another seller is refused",
    },
    gateway = {
        type = "url", max = 256, doc = "address of gateway.do",
        default = "https://openapi.alipay.com/gateway.do",
        sandbox = "https://openapi-sandbox.dl.alipaydev.com/gateway.do",
    },
    sign_type = { type = "enum", values = { "RSA2" }, default = "RSA2", doc = "signature algorithm" },
    charset = { type = "enum", values = { "utf-8" }, default = "utf-8", doc = "encoding of all texts" },
}
M.rules = { { differ = { "key", "alipay_key" } } }

M.options = {
    form = { type = "boolean", doc = "true: a form to POST instead of an address to open" },
    qr_pay_mode = {
        type = "enum", values = { "0", "1", "2", "3", "4" }, doc = "how the page shows its QR code",
    },
    qrcode_width = { type = "integer", min = 50, max = 1000, doc = "pixels, with qr_pay_mode 4" },
}

M.products = {
    page = {
        next_action = "redirect", currencies = { CNY = true }, min = 1, max = 10000000000,
        expires = { "1m", "15d" }, query_after = { "5s", "15s", "1m", "5m", "30m", "1h" },
        not_found = "waiting", -- no trade exists until the payer opens the page
        subject = { max = 256, refuse = "/=&" }, description = { max = 128 },
    },
}
M.capabilities = { query = true }
M.codes = require "channels.alipay.codes"

-- TRADE_CLOSED says either never paid or fully refunded (§7): which, is told apart by the other fields.
local closed_after_payment = "TRADE_CLOSED after payment"
M.states = {
    WAIT_BUYER_PAY = "waiting_payer",
    TRADE_SUCCESS = "succeeded",
    TRADE_FINISHED = "succeeded",
    TRADE_CLOSED = "expired",
    [closed_after_payment] = "unknown",
}

-- window_s 0: a notification comes again for about a day and its time is that of the sending (§9.6).
M.notify = {
    methods = { "POST" }, content = "form", charset = "utf-8", max_body = 65536, window_s = 0,
    ack = { "success", "fail" },
}

-- Where the signed part says what a fact says (§8.7, §9.3); the kernel holds the two against each other.
local stated = {
    order_no = "out_trade_no", trade_no = "trade_no", state = "trade_status", amount = "total_amount",
    seller = "seller_id",
}
M.stated = { notification = stated, query = stated }

local methods = { create = "alipay.trade.page.pay", query = "alipay.trade.query" }
local zone = "+08:00"

-- ---- requests (§2) ----

local function signed(account, ctx, op, biz, more)
    local params = {
        app_id = account.app_id,
        method = methods[op],
        format = "JSON",
        charset = account.charset,
        sign_type = account.sign_type,
        timestamp = ctx.time.cst,
        version = "1.0",
        biz_content = json.encode(biz),
    }
    for name, value in pairs(more or {}) do
        params[name] = value
    end
    return request.signed(account, params)
end

local function page_content(ctx)
    local attempt, options = ctx.attempt, ctx.options
    return {
        out_trade_no = attempt.order_no,
        total_amount = money.format(attempt.amount, attempt.currency),
        subject = ctx.payment.subject,
        body = ctx.payment.description,
        product_code = "FAST_INSTANT_TRADE_PAY",
        time_expire = attempt.expires_at and time.format(attempt.expires_at, zone),
        qr_pay_mode = options.qr_pay_mode,
        qrcode_width = options.qrcode_width and tostring(options.qrcode_width),
    }
end

M.create = {
    --- Nothing leaves for Alipay: the payer's browser carries the signed order there.
    build = function(account, ctx)
        local params = signed(account, ctx, "create", page_content(ctx),
            { notify_url = ctx.notify_url, return_url = ctx.return_url })
        if not ctx.options.form then
            local url = request.url(account, params)
            return { ["local"] = { next_action = { type = "redirect", method = "GET", url = url } } }
        end
        local url, fields = request.parts(account, params)
        return { ["local"] = { next_action = {
            type = "form", method = "POST", url = url, charset = account.charset, fields = fields,
        } } }
    end,
}

M.query = {
    build = function(account, ctx)
        local params = signed(account, ctx, "query", { out_trade_no = ctx.attempt.order_no })
        local url, body = request.parts(account, params)
        return { method = "POST", url = url, form = body, timeout_ms = 10000 }
    end,
}

-- ---- answers (§3, §6, §8.7) ----

--- about.status: this gateway answers 200 to everything; any other status comes from something in between.
M.verify_answer = function(account, message, about)
    if about.status ~= 200 then
        return nil, "HTTP status " .. about.status
    end
    return answer.verify(account, message, methods[about.op])
end

local function text_of(value)
    return type(value) == "string" and value ~= "" and value or nil
end

--- The word that decides, as codes.lua lists it: prefixes of SYSTEM_ERROR vary (ACQ., AQC., aop.ACQ.).
local function deciding_code(node)
    local sub_code = text_of(node.sub_code)
    if sub_code and sub_code:find("SYSTEM_ERROR", 1, true) then
        return "ACQ.SYSTEM_ERROR"
    end
    return sub_code or text_of(node.code)
end

--- An amount that cannot be read exactly is a fault of the message, never zero.
local function amount_of(text)
    local amount = money.parse(text, "CNY")
    if not amount then
        error("an amount is not a decimal text of yuan: " .. tostring(text):sub(1, 32), 0)
    end
    return amount
end

local function state_of(fields, paid)
    local status = text_of(fields.trade_status)
    if status == "TRADE_CLOSED" and paid then
        return closed_after_payment
    end
    return status
end

local function time_of(text)
    return text_of(text) and time.parse(text, zone) or nil
end

local function payer_of(fields)
    return {
        buyer_id = text_of(fields.buyer_user_id) or text_of(fields.buyer_id),
        buyer_open_id = text_of(fields.buyer_open_id),
        login_hint = text_of(fields.buyer_logon_id),
    }
end

M.query.parse = function(_, evidence)
    local node = evidence.json
    if type(node) ~= "table" then
        error("the answer is not an object", 0)
    end
    local result = {
        code = deciding_code(node),
        channel_code = text_of(node.sub_code) or text_of(node.code),
        message = text_of(node.sub_msg) or text_of(node.msg),
    }
    if result.code ~= "10000" then
        return result
    end
    result.state = state_of(node, text_of(node.send_pay_date) ~= nil)
    result.trade_no = text_of(node.trade_no)
    result.order_no = text_of(node.out_trade_no)
    result.amount, result.currency = amount_of(node.total_amount), "CNY"
    result.at = time_of(node.send_pay_date)
    result.payer = payer_of(node)
    return result
end

-- ---- notifications (§9) ----

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

M.notification = {
    parse = function(account, message)
        local fields = message.form
        for _, name in ipairs { "sign", "sign_type", "app_id", "notify_id", "notify_time" } do
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
        local at = time_of(fields.notify_time)
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
    end,

    verify = function(account, message)
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
    end,

    signed = function(_, message)
        return message:canonical(without_sign_type(true))
    end,

    --- A partial refund sends TRADE_SUCCESS again (with refund_fee); a full one TRADE_CLOSED.
    facts = function(_, evidence)
        local fields = evidence.form
        local refund = text_of(fields.refund_fee)
        local facts = { {
            kind = "payment",
            order_no = text_of(fields.out_trade_no),
            trade_no = text_of(fields.trade_no),
            state = state_of(fields, refund ~= nil or text_of(fields.gmt_payment) ~= nil),
            amount = amount_of(fields.total_amount), currency = "CNY",
            seller = text_of(fields.seller_id),
            at = time_of(fields.gmt_payment),
            payer = payer_of(fields),
        } }
        if refund then
            facts[2] = {
                kind = "refund",
                order_no = text_of(fields.out_trade_no),
                trade_no = text_of(fields.trade_no),
                refund_no = text_of(fields.out_biz_no),
                amount = amount_of(refund), currency = "CNY", -- all refunds of the trade together
                at = time_of(fields.gmt_refund),
            }
        end
        return facts
    end,
}

-- ---- the browser coming back (§10) ----

M.return_ = {
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

return M
