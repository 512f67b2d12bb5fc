--- The trades of the simulated Alipay, in the sandbox's own store. A trade exists from the moment the payer
--- opens the order; when its time is over it is closed the next time anyone looks, without a notification.
local crypto = require "tael.crypto"
local store = require "tael.store"
local time = require "tael.time"

local clock = require "tael.sandbox.alipay.clock"

local trades = {}

local function first(name, params)
    local rows, err = store.query(name, params)
    if not rows then
        error("sandbox store: " .. tostring(err.code))
    end
    return rows[1]
end

local function must_commit(list)
    local result, err = store.commit(list)
    if not result and err.code ~= "guard" then
        error("sandbox store: " .. tostring(err.code))
    end
    return result, err
end

--- n random digits.
function trades.digits(n)
    local out = {}
    for byte in crypto.random(n):gmatch(".") do
        out[#out + 1] = tostring(byte:byte() % 10)
    end
    return table.concat(out)
end

--- A trade as it is now: one that waits beyond its time is closed first.
local function current(trade)
    local now = time.now()
    if not trade or trade.status ~= "WAIT_BUYER_PAY" or trade.expires_at > now then
        return trade
    end
    must_commit { { "trade.close",
        { app_id = trade.app_id, out_trade_no = trade.out_trade_no, now = trade.expires_at } } }
    return first("trade.get", { app_id = trade.app_id, out_trade_no = trade.out_trade_no })
end

---@param app_id string
---@param out_trade_no string
---@return table? trade
function trades.get(app_id, out_trade_no)
    return current(first("trade.get", { app_id = app_id, out_trade_no = out_trade_no }))
end

function trades.by_trade_no(app_id, trade_no)
    return current(first("trade.by_trade_no", { app_id = app_id, trade_no = trade_no }))
end

function trades.by_token(token)
    return current(first("trade.by_token", { token = token }))
end

--- For levers that name the order alone.
function trades.by_order(out_trade_no)
    return current(first("trade.by_order", { out_trade_no = out_trade_no }))
end

--- Opens an order: the first opening makes the trade, later ones find it.
---@param order table {app_id, out_trade_no, total, subject, expires_at} and body?, passback_params?,
---   notify_url?, return_url?
---@return table trade
function trades.open(order)
    local now = time.now()
    local date = clock.text(now):sub(1, 10):gsub("-", "")
    must_commit { { "trade.open", {
        app_id = order.app_id, out_trade_no = order.out_trade_no,
        trade_no = date .. "22001400" .. trades.digits(12),
        token = crypto.hex.encode(crypto.random(16)),
        total = order.total, subject = order.subject, body = order.body,
        passback_params = order.passback_params, notify_url = order.notify_url,
        return_url = order.return_url, now = now, expires_at = order.expires_at,
    } } }
    return assert(trades.get(order.app_id, order.out_trade_no))
end

--- Pays once. The notification is written down in the same unit, so that it is sent even after a crash.
---@param trade table
---@param delivery fun(trade: table): table? the row of the notification; nil: none is to be sent
---@return table trade as it is now
---@return table? delivery when this call paid
function trades.pay(trade, delivery)
    local now = time.now()
    local paid = {}
    for name, value in pairs(trade) do
        paid[name] = value
    end
    paid.status, paid.paid_at = "TRADE_SUCCESS", now
    local row = delivery(paid)
    local unit = { { "trade.pay",
        { app_id = trade.app_id, out_trade_no = trade.out_trade_no, now = now } } }
    if row then
        unit[2] = { "delivery.insert", row }
    end
    local committed = must_commit(unit)
    return trades.get(trade.app_id, trade.out_trade_no), committed and row or nil
end

--- Closes a waiting trade, as its time being over would.
function trades.close(trade)
    must_commit { { "trade.close",
        { app_id = trade.app_id, out_trade_no = trade.out_trade_no, now = time.now() } } }
    return trades.get(trade.app_id, trade.out_trade_no)
end

function trades.newest()
    return assert(store.query("trades.newest"))
end

--- What was really paid: the one truth that an engine's books can be compared with.
---@return table sum {trades, total}
---@return table[] list
function trades.money()
    return assert(store.query("money.sum"))[1], assert(store.query("money.list"))
end

return trades
