--- Alipay: orders on Alipay's own page and as QR codes, their queries, ends and refunds, and notifications;
--- RSA2 with plain keys. Sources: the channel's protocol reference; section numbers in these files are its
--- own.
local answer = require "channels.alipay.answer"
local notices = require "channels.alipay.notices"
local orders = require "channels.alipay.orders"
local refunds = require "channels.alipay.refunds"
local values = require "channels.alipay.values"

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
    qr_product_code = {
        type = "enum", values = { "QR_CODE_OFFLINE", "FACE_TO_FACE_PAYMENT" }, default = "QR_CODE_OFFLINE",
        doc = "product qr: what the merchant's contract with Alipay calls it",
    },
}
M.rules = { { differ = { "key", "alipay_key" } } }

-- all of the product page
M.options = {
    form = { type = "boolean", doc = "true: a form to POST instead of an address to open" },
    qr_pay_mode = {
        type = "enum", values = { "0", "1", "2", "3", "4" }, doc = "how the page shows its QR code",
    },
    qrcode_width = { type = "integer", min = 50, max = 1000, doc = "pixels, with qr_pay_mode 4" },
}

--- Both know no trade until the payer opens the page or scans the code (§8.4): "not found" is waiting.
local function product(next_action, longest)
    return {
        next_action = next_action, currencies = { CNY = true }, min = 1, max = 10000000000,
        expires = { "1m", longest }, query_after = { "5s", "15s", "1m", "5m", "30m", "1h" },
        not_found = "waiting",
        subject = { max = 256, refuse = "/=&" }, description = { max = 128 },
    }
end

M.products = {
    page = product("redirect", "15d"),
    qr = product("qr_code", "2h"), -- the code is valid for no longer, whatever the order's expiry (§7)
}
M.capabilities = {
    query = true, close = true, cancel = true,
    refund = { partial = true, query_after = "10s", window = "365d" },
    create = { repeatable = true },
}
M.amounts = "decimal"
M.codes = require "channels.alipay.codes"
M.op_codes = require "channels.alipay.op_codes"
M.states = {
    WAIT_BUYER_PAY = "waiting_payer",
    TRADE_SUCCESS = "succeeded",
    TRADE_FINISHED = "succeeded",
    TRADE_CLOSED = "expired",
    [values.given_back] = "unknown",
}
-- refund_status of a query; fund_change of a refund's own answer, where N decides nothing (§8.10)
M.refund_states = { REFUND_SUCCESS = "succeeded", Y = "succeeded", N = "pending" }

-- window_s 0: a notification comes again for about a day and its time is that of the sending (§9.6).
M.notify = {
    methods = { "POST" }, content = "form", charset = "utf-8", max_body = 65536, window_s = 0,
    ack = { "success", "fail" },
}

--- Where the signed part says what a fact or result says (§8, §9.3); the kernel holds the two against each
--- other.
local function stated(more)
    more.order_no, more.trade_no = "out_trade_no", "trade_no"
    return more
end

M.stated = {
    notification = stated { state = "trade_status", amount = "total_amount", seller = "seller_id",
        refund_no = "out_biz_no" },
    query = stated { state = "trade_status", amount = "total_amount" },
    create = { order_no = "out_trade_no" },
    close = stated {},
    cancel = stated { state = "action" },
    refund = stated { state = "fund_change", total = "refund_fee" },
    refund_query = stated { state = "refund_status", amount = "refund_amount",
        refund_no = "out_request_no" },
}

M.create, M.query, M.close, M.cancel = orders.create, orders.query, orders.close, orders.cancel
M.refund, M.refund_query = refunds.refund, refunds.refund_query

--- about.status: this gateway answers 200 to everything, with any media type; any other status comes from
--- something in between.
M.verify_answer = function(account, message, about)
    if about.status ~= 200 then
        return nil, "HTTP status " .. about.status
    end
    return answer.verify(account, message, orders.methods[about.op] or refunds.methods[about.op])
end

M.notification = notices.notification
M.return_ = notices.return_

return M
