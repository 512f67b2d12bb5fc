--- What a notification says (protocol reference §9.3), and the signed form of one delivery.
local time = require "tael.time"

local clock = require "tael.sandbox.alipay.clock"
local trades = require "tael.sandbox.alipay.trades"
local wire = require "tael.sandbox.alipay.wire"
local yuan = require "tael.sandbox.alipay.yuan"

local notice = {}

--- What every delivery of one notification of a payment repeats: all but notify_time and sign.
---@param trade table as it is after the payment
---@param app table {app_id, seller_id}
---@return table<string, string>
function notice.of_payment(trade, app)
    local total = yuan.text(trade.total)
    return {
        notify_type = "trade_status_sync",
        notify_id = (clock.text(time.now()):gsub("%D", "")):sub(1, 8) .. "00222" .. trades.digits(21),
        charset = "utf-8", version = "1.0", sign_type = "RSA2",
        app_id = trade.app_id, auth_app_id = trade.app_id,
        trade_no = trade.trade_no, out_trade_no = trade.out_trade_no,
        buyer_id = "2088102122524333", buyer_logon_id = "csq***@sandbox.com",
        seller_id = app.seller_id, seller_email = "shop@sandbox.com",
        trade_status = trade.status,
        total_amount = total, receipt_amount = total, invoice_amount = total, buyer_pay_amount = total,
        point_amount = "0.00",
        subject = trade.subject, body = trade.body, passback_params = trade.passback_params,
        gmt_create = clock.text(trade.created_at),
        gmt_payment = trade.paid_at and clock.text(trade.paid_at),
        fund_bill_list = ('[{"amount":"%s","fundChannel":"ALIPAYACCOUNT"}]'):format(total),
    }
end

--- The same of a refund: refund_fee is what was given back in all.
---@param trade table as it is after the refund
---@param app table
---@param refund table {kind, out_request_no, amount}
---@param at integer ms
---@return table<string, string>
function notice.of_refund(trade, app, refund, at)
    local fields = notice.of_payment(trade, app)
    fields.refund_fee, fields.send_back_fee = yuan.text(trade.refunded), yuan.text(refund.amount)
    fields.gmt_refund = clock.text(at) .. ".000"
    fields.out_biz_no = refund.kind == "refund" and refund.out_request_no or nil
    fields.gmt_close = trade.status == "TRADE_CLOSED" and clock.text(at) or nil
    return fields
end

--- The body of one delivery.
---@param fields table
---@param key userdata Alipay's private key
---@param spoil fun(signed: table)? what a test wants changed after signing
---@return string
function notice.body(fields, key, spoil)
    local signed = {}
    for name, value in pairs(fields) do
        signed[name] = value
    end
    signed.notify_time = signed.notify_time or clock.text(time.now())
    signed.sign = wire.sign_fields(signed, key)
    if spoil then
        spoil(signed)
    end
    return wire.write_form(signed)
end

return notice
