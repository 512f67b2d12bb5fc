--- The trades of the simulated Alipay, in the sandbox's own store. A trade exists from the moment the payer
--- opens the order. What time alone does to it, the end of an order and the end of its refund window, happens
--- the next time anyone looks, without a notification.
local crypto = require "tael.crypto"
local time = require "tael.time"

local clock = require "tael.sandbox.alipay.clock"
local db = require "tael.sandbox.alipay.db"

local trades = {}

local REFUND_WINDOW = 365 * 24 * 3600 * 1000

--- n random digits.
function trades.digits(n)
    local out = {}
    for byte in crypto.random(n):gmatch(".") do
        out[#out + 1] = tostring(byte:byte() % 10)
    end
    return table.concat(out)
end

local function key_of(trade)
    return { app_id = trade.app_id, out_trade_no = trade.out_trade_no }
end

--- A trade as it is now: one that waits beyond its time is closed first, one that nobody may refund any more
--- is finished.
local function current(trade)
    local now = time.now()
    if not trade then
        return nil
    elseif trade.status == "WAIT_BUYER_PAY" and trade.expires_at <= now then
        db.commit { { "trade.close",
            { app_id = trade.app_id, out_trade_no = trade.out_trade_no, now = trade.expires_at } } }
    elseif trade.status == "TRADE_SUCCESS" and trade.paid_at + REFUND_WINDOW <= now
        and trade.reserved == trade.refunded then
        db.commit { { "trade.finish", key_of(trade) } }
    else
        return trade
    end
    return db.first("trade.get", key_of(trade))
end

---@param app_id string
---@param out_trade_no string
---@return table? trade
function trades.get(app_id, out_trade_no)
    return current(db.first("trade.get", { app_id = app_id, out_trade_no = out_trade_no }))
end

function trades.by_trade_no(app_id, trade_no)
    return current(db.first("trade.by_trade_no", { app_id = app_id, trade_no = trade_no }))
end

function trades.by_token(token)
    return current(db.first("trade.by_token", { token = token }))
end

--- For levers that name the order alone.
function trades.by_order(out_trade_no)
    return current(db.first("trade.by_order", { out_trade_no = out_trade_no }))
end

--- Opens an order: the first opening makes the trade, later ones find it.
---@param order table {app_id, out_trade_no, total, subject, expires_at} and body?, passback_params?,
---   notify_url?, return_url?
---@return table trade
function trades.open(order)
    local now = time.now()
    local date = clock.text(now):sub(1, 10):gsub("-", "")
    db.commit { { "trade.open", {
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
---@param notice fun(trade: table): table[] statements that write its notification down
---@return table trade as it is now
---@return boolean paid by this call
function trades.pay(trade, notice)
    local now = time.now()
    local paid = setmetatable({ status = "TRADE_SUCCESS", paid_at = now }, { __index = trade })
    local unit = {
        { "trade.pay", { app_id = trade.app_id, out_trade_no = trade.out_trade_no, now = now } },
        { "balance.add", { app_id = trade.app_id, amount = trade.total } },
    }
    for _, statement in ipairs(notice(paid)) do
        unit[#unit + 1] = statement
    end
    local committed = db.commit(unit)
    return trades.get(trade.app_id, trade.out_trade_no), committed ~= nil
end

--- Closes a trade that waits, as its time being over would.
---@return table trade as it is now
function trades.close(trade)
    db.commit { { "trade.close",
        { app_id = trade.app_id, out_trade_no = trade.out_trade_no, now = time.now() } } }
    return trades.get(trade.app_id, trade.out_trade_no)
end

function trades.newest()
    return db.all("trades.newest")
end

--- What was really paid: the one truth that an engine's books can be compared with.
---@return table sum {trades, total, refunded}
---@return table[] list
function trades.money()
    return db.first("money.sum"), db.all("money.list")
end

return trades
