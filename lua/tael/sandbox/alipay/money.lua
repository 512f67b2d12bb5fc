--- Money that goes back to payers. One unit reserves it at the trade, takes it from the merchant's balance
--- and writes the refund down; the statements' guards see to it that a trade never gives back more than was
--- paid, whatever runs at the same time. A refund in process holds its part until its end.
local time = require "tael.time"

local db = require "tael.sandbox.alipay.db"
local deliveries = require "tael.sandbox.alipay.deliveries"

local money = {}

local TRIES = 64 -- of a unit that another refund of the same trade came before

local function key_of(trade)
    return { app_id = trade.app_id, out_trade_no = trade.out_trade_no }
end

local function key_and(trade, values)
    for name, value in pairs(key_of(trade)) do
        values[name] = value
    end
    return values
end

---@param trade table
---@param kind "refund"|"cancel"
---@param number string out_request_no; "" for a cancel
---@return table? refund
function money.find(trade, kind, number)
    return db.first("refund.get", key_and(trade, { kind = kind, out_request_no = number }))
end

--- The statements by which a reserved amount really moves, with the notification of it.
local function moved(state, trade, refund, now)
    local returned = trade.refunded + refund.amount
    local unit = {
        { "trade.give_back", key_and(trade, { amount = refund.amount, before = trade.refunded }) },
        { "trade.close_returned", key_and(trade, { now = now }) },
    }
    local after = setmetatable({
        refunded = returned, closed_at = now,
        status = returned == trade.total and "TRADE_CLOSED" or trade.status,
    }, { __index = trade })
    local told = deliveries.of_refund(state, after, refund, now)[1]
    refund.notify_id = told and told[2].notify_id
    unit[#unit + 1] = told
    return unit
end

local function begun(state, trade, wish, now)
    local unit = {
        { "trade.reserve", key_and(trade, { amount = wish.amount }) },
        { "balance.take", { app_id = trade.app_id, amount = wish.amount } },
        { "refund.insert", key_and(trade, {
            kind = wish.kind, out_request_no = wish.out_request_no, amount = wish.amount,
            reason = wish.reason, state = wish.ends_at and "in_process" or "done", ends_at = wish.ends_at,
            fails = wish.fails and 1 or 0, moved_at = not wish.ends_at and now or nil,
            shown_at = now + (wish.lag_ms or 0),
        }) },
    }
    if not wish.ends_at then
        table.move(moved(state, trade, wish, now), 1, 3, #unit + 1, unit)
    end
    return unit
end

--- Gives money back, or begins to.
---@param state table
---@param trade table
---@param wish table {kind, out_request_no, amount, reason?} and of a test: ends_at?, fails?, lag_ms?,
---   notify?; gains notify_id
---@return table? trade as it was before the money moved
---@return "taken"|"not_refundable"|"balance_too_low"|nil word
function money.give_back(state, trade, wish)
    for _ = 1, TRIES do
        local done, word = db.commit(begun(state, trade, wish, time.now()))
        if done then
            deliveries.wake()
            return trade
        elseif word ~= "changed" then
            return nil, word
        end
        trade = db.first("trade.get", key_of(trade))
    end
    error("sandbox: a refund was overtaken again and again")
end

local function failed(trade, refund)
    return {
        { "refund.fail", key_and(trade, { kind = refund.kind, out_request_no = refund.out_request_no }) },
        { "trade.release", key_and(trade, { amount = refund.amount }) },
        { "balance.add", { app_id = trade.app_id, amount = refund.amount } },
    }
end

local function settle(state, refund)
    local trade = db.first("trade.get", key_of(refund))
    if refund.fails == 1 then
        return db.commit(failed(trade, refund))
    end
    local unit = { { "refund.done", key_and(trade, {
        kind = refund.kind, out_request_no = refund.out_request_no, now = refund.ends_at,
    }) } }
    return db.commit(table.move(moved(state, trade, refund, refund.ends_at), 1, 3, 2, unit))
end

--- Ends every refund in process whose time has come; one that another call overtook is met again.
---@param state table
---@return integer? at when the next one ends
function money.settle_due(state)
    while true do
        local refund = db.first("refund.ending")
        if not refund or refund.ends_at > time.now() then
            return refund and refund.ends_at
        end
        settle(state, refund)
        deliveries.wake()
    end
end

-- ---- balances ----

---@param app_id string
---@return table {balance?, topped_up_at}
function money.balance(app_id)
    return assert(db.first("balance.get", { app_id = app_id }))
end

--- Sets a balance, or adds to it. Nil: there is always enough.
---@param app_id string
---@param change {set?: integer|false, add?: integer} set = false: always enough
function money.top_up(app_id, change)
    local now = time.now()
    if change.set ~= nil then
        db.commit { { "balance.set", { app_id = app_id, balance = change.set or nil, now = now } } }
    else
        db.commit { { "balance.top_up", { app_id = app_id, amount = change.add or 0, now = now } } }
    end
    deliveries.wake()
end

-- ---- the bill ----

local function line_of(trade)
    local refunded = {}
    for _, refund in ipairs(db.all("refunds.of_trade", key_of(trade))) do
        if refund.state == "done" then
            refunded[#refunded + 1] = {
                out_request_no = refund.kind == "refund" and refund.out_request_no or nil,
                kind = refund.kind, amount = refund.amount, at = refund.moved_at,
            }
        end
    end
    local paid = trade.paid_at and trade.total or 0
    return {
        app_id = trade.app_id, out_trade_no = trade.out_trade_no, trade_no = trade.trade_no,
        trade_status = trade.status, paid = paid, paid_at = trade.paid_at, refunded = refunded,
        net = paid - trade.refunded,
    }, trade.refunded
end

--- Every trade and what really moved, with the sums.
---@param app_id string? of all applications without it
---@return table {trades: table[], paid, refunded, net}
function money.bill(app_id)
    local bill = { trades = {}, paid = 0, refunded = 0, net = 0 }
    local after = ""
    repeat
        local page = db.all("bill.trades", { after = after })
        for _, trade in ipairs(page) do
            after = trade.trade_no
            if not app_id or trade.app_id == app_id then
                local line, back = line_of(trade)
                bill.trades[#bill.trades + 1] = line
                bill.paid, bill.refunded = bill.paid + line.paid, bill.refunded + back
                bill.net = bill.net + line.net
            end
        end
    until #page == 0
    return bill
end

return money
