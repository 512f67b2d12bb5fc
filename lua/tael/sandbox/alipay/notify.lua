--- Notifications of the simulated Alipay: made, signed, sent and sent again until the merchant answers with
--- exactly "success" (protocol reference §9.3, §9.7). A resend keeps notify_id and renews notify_time.
local crypto = require "tael.crypto"
local http = require "tael.http"
local json = require "tael.json"
local log = require "tael.log"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"

local clock = require "tael.sandbox.alipay.clock"
local trades = require "tael.sandbox.alipay.trades"
local wire = require "tael.sandbox.alipay.wire"

local notify = {}

local minute, hour = 60 * 1000, 3600 * 1000
-- from one delivery to the next; eight deliveries in all
local intervals = { 4 * minute, 10 * minute, 10 * minute, hour, 2 * hour, 6 * hour, 15 * hour }
local answer_ms = 5000

local function yuan(fen)
    return ("%d.%02d"):format(fen // 100, fen % 100)
end

--- What every delivery of one notification repeats: all but notify_time and sign.
---@param trade table as it is after the payment
---@param app table {app_id, seller_id}
---@return table<string, string>
function notify.fields(trade, app)
    local total = yuan(trade.total)
    local at = clock.text(trade.paid_at or trade.created_at)
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
        gmt_create = clock.text(trade.created_at), gmt_payment = trade.paid_at and at,
        fund_bill_list = ('[{"amount":"%s","fundChannel":"ALIPAYACCOUNT"}]'):format(total),
    }
end

--- The body of one delivery.
---@param fields table
---@param key userdata Alipay's private key
---@param spoil fun(signed: table)? what a test wants changed after signing
---@return string
function notify.body(fields, key, spoil)
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

--- Sends once and gives the answer's status and text.
---@return integer? status
---@return string answer, or why there was none
function notify.send(url, body)
    local answer, err = http.request {
        method = "POST", url = url, body = body, timeout_ms = answer_ms, max_bytes = 65536,
        headers = { ["content-type"] = "application/x-www-form-urlencoded; charset=utf-8" },
    }
    if not answer then
        return nil, err.code
    end
    return answer.status, answer.raw
end

--- The row that pays.unit keeps; nil when the order named no notify_url.
---@param trade table
---@param app table
---@return table?
function notify.row(trade, app)
    if not trade.notify_url then
        return nil
    end
    local fields = notify.fields(trade, app)
    return {
        notify_id = fields.notify_id, app_id = trade.app_id, out_trade_no = trade.out_trade_no,
        url = trade.notify_url, fields = json.encode(fields), now = time.now(),
    }
end

--- One delivery and what follows from it. Gives the ms until the next one; nil when there is none.
local function deliver_once(row, apps, speed)
    local app = apps[row.app_id]
    if not app then
        return nil -- the application was taken out of the configuration
    end
    local status, text = notify.send(row.url, notify.body(assert(json.decode(row.fields)), app.alipay_key))
    local attempts = row.attempts + 1
    local success = status == 200 and text == "success"
    local wait = not success and intervals[attempts] and math.max(intervals[attempts] // speed, 1) or nil
    local state = success and "delivered" or wait and "waiting" or "given_up"
    log.info("sandbox.notified", { order = row.out_trade_no, attempt = attempts, state = state })
    assert(store.commit { { "delivery.note", {
        notify_id = row.notify_id, state = state, attempts = attempts,
        due_at = time.now() + (wait or 0),
        last_answer = ("%s %s"):format(status or "-", text:sub(1, 200):gsub("[^\32-\126]", "?")),
    } } })
    return wait
end

--- Starts the task that delivers one notification until it is answered or given up.
---@param notify_id string
---@param apps table<string, table>
---@param speed integer how many times faster than at Alipay the resends come
function notify.start(notify_id, apps, speed)
    task.spawn(function()
        local wait
        repeat
            local row = assert(store.query("delivery.get", { notify_id = notify_id }))[1]
            if not row or row.state ~= "waiting" then
                return
            end
            time.sleep(math.max(row.due_at - time.now(), 0))
            wait = deliver_once(row, apps, speed)
        until not wait
    end)
end

--- After a start: everything that was not yet delivered.
function notify.resume(apps, speed)
    for _, row in ipairs(assert(store.query("deliveries.waiting"))) do
        notify.start(row.notify_id, apps, speed)
    end
end

-- ---- notifications that a test asks for ----

local function other_digit(text)
    local last = tonumber(text:sub(-1)) or 0
    return text:sub(1, -2) .. (last + 1) % 10
end

--- What each variant changes: fields before signing, signed after it, body at the very end.
local variants = {
    duplicate = {},
    tampered_amount = { signed = function(fields)
        fields.total_amount = "0.01"
    end },
    other_amount = { fields = function(fields)
        fields.total_amount = "0.01"
    end },
    other_app = { fields = function(fields)
        fields.app_id = other_digit(fields.app_id)
    end },
    other_seller = { fields = function(fields)
        fields.seller_id = other_digit(fields.seller_id)
    end },
    other_order = { fields = function(fields)
        fields.out_trade_no = fields.out_trade_no:reverse()
    end },
    stale = { fields = function(fields)
        fields.notify_time = "2020-01-15 10:20:30"
    end },
    duplicate_parameter = { body = function(body)
        return body .. "&total_amount=0.01"
    end },
    unsigned = { signed = function(fields)
        fields.sign = nil
    end },
    bad_signature = { signed = function(fields)
        fields.sign = (fields.sign:sub(1, 1) == "A" and "B" or "A") .. fields.sign:sub(2)
    end },
}

--- The bytes of one variant of a trade's notification.
---@param trade table
---@param app table
---@param variant string
---@param changes table<string, string>? further fields, signed
---@return string? body nil: no such variant
function notify.variant(trade, app, variant, changes)
    local change = variants[variant]
    if not change then
        return nil
    end
    local fields = notify.fields(trade, app)
    fields.trade_status = "TRADE_SUCCESS"
    fields.gmt_payment = fields.gmt_payment or clock.text(time.now())
    for name, value in pairs(changes or {}) do
        fields[name] = value
    end
    if change.fields then
        change.fields(fields)
    end
    local body = notify.body(fields, app.alipay_key, change.signed)
    return change.body and change.body(body) or body
end

--- Sends the same bytes `times` at once.
---@return table[] answers {status, body}
function notify.send_many(url, body, times)
    local answers, key = {}, "sandbox.sent." .. crypto.hex.encode(crypto.random(8))
    for i = 1, times do
        task.spawn(function()
            local status, text = notify.send(url, body)
            answers[i] = { status = status or 0, body = text }
            task.wake(key)
        end)
    end
    local function missing()
        for i = 1, times do
            if not answers[i] then
                return true
            end
        end
        return false
    end
    while missing() do
        task.wait(key, 2 * answer_ms)
    end
    return answers
end

return notify
