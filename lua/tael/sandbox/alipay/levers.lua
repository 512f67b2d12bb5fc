--- What tests and curious developers pull: /sandbox/… answers JSON. Trades as they are, payer's actions
--- without a browser, notifications of chosen kinds, and what money really moved.
local json = require "tael.json"
local shown = require "tael.shown"

local db = require "tael.sandbox.alipay.db"
local deliveries = require "tael.sandbox.alipay.deliveries"
local help = require "tael.sandbox.alipay.help"
local hosts = require "tael.sandbox.alipay.hosts"
local money = require "tael.sandbox.alipay.money"
local orders = require "tael.sandbox.alipay.orders"
local payer = require "tael.sandbox.alipay.payer"
local reply = require "tael.sandbox.alipay.reply"
local settings = require "tael.sandbox.alipay.settings"
local trades = require "tael.sandbox.alipay.trades"
local variants = require "tael.sandbox.alipay.variants"

local levers = {}

local function view(trade)
    return {
        app_id = trade.app_id, out_trade_no = trade.out_trade_no, trade_no = trade.trade_no,
        trade_status = trade.status, total = trade.total, refunded = trade.refunded, subject = trade.subject,
        notify_url = trade.notify_url, return_url = trade.return_url,
        created_at = trade.created_at, expires_at = trade.expires_at, paid_at = trade.paid_at,
        closed_at = trade.closed_at, cashier = "/cashier/" .. trade.token,
    }
end

local function views(rows)
    local out = json.array {}
    for i, row in ipairs(rows) do
        out[i] = view(row)
    end
    return out
end

-- ---- one trade ----

local trade_actions = {
    scan = function(_, trade)
        return trade
    end,
    pay = payer.pay,
    refuse = function(_, trade)
        return trade -- an order that was refused can still be paid
    end,
    close = function(_, trade)
        return trades.close(trade)
    end,
}

--- The trade of a number; the payer's actions scan a code that nobody has scanned yet.
local function find(number, action)
    local trade = trades.by_order(number)
    local order = not trade and (action == "scan" or action == "pay") and orders.by_number(number)
    if order then
        return orders.scan(order)
    end
    return trade
end

local function one_trade(state, request, number, action)
    if action ~= "" and not trade_actions[action] then
        return reply.refuse(404, "no such action")
    elseif action ~= "" and request.method ~= "POST" then
        return reply.refuse(405, "POST")
    end
    local trade = find(number, action)
    if not trade or not state.apps[trade.app_id] then
        return reply.refuse(404, "no such trade: it exists once the payer has opened the order")
    elseif action ~= "" then
        trade = trade_actions[action](state, trade)
    end
    return reply.json(200, view(trade))
end

-- ---- notifications ----

local function text_map(value)
    if type(value) ~= "table" then
        return nil
    end
    for _, item in pairs(value) do
        if type(item) ~= "string" then
            return nil
        end
    end
    return value
end

--- {out_trade_no, variant="duplicate", fields?={name: text}, times?=1} → the merchant's answers.
local function send_notification(state, request)
    local body = reply.read(request)
    local trade = body and type(body.out_trade_no) == "string" and trades.by_order(body.out_trade_no)
    local app = trade and state.apps[trade.app_id]
    if not app then
        return reply.refuse(404, "no such trade: it exists once the payer has opened the order")
    elseif not trade.notify_url then
        return reply.refuse(409, "the order named no notify_url")
    end
    local times = body.times == nil and 1 or body.times
    local changes = body.fields == nil and {} or text_map(body.fields)
    if math.type(times) ~= "integer" or times < 1 or times > 256 or not changes then
        return reply.refuse(400, "times is 1 … 256, fields are texts by name")
    end
    local bodies = variants.bodies(trade, app, body.variant or "duplicate", changes)
    if not bodies then
        return reply.refuse(400, "no such variant")
    end
    local answers = json.array {}
    for _, form in ipairs(bodies) do
        table.move(deliveries.send_many(trade.notify_url, form, times), 1, times, #answers + 1, answers)
    end
    return reply.json(200, { form = bodies[1], forms = json.array(bodies), answers = answers })
end

local function delivery_view(row)
    return {
        notify_id = row.notify_id, out_trade_no = row.out_trade_no, state = row.state,
        attempts = row.attempts, due_at = row.due_at, last_answer = row.last_answer, url = row.url,
        held = row.held == 1 or nil,
    }
end

--- Of one order all, else those that are still to be sent.
local function list_deliveries(_, request)
    local number = reply.parameter(request, "out_trade_no")
    local rows = number and db.all("deliveries.of_order", { out_trade_no = number })
        or db.all("deliveries.next")
    local out = json.array {}
    for i, row in ipairs(rows) do
        out[i] = delivery_view(row)
    end
    return reply.json(200, { deliveries = out, waiting = db.first("deliveries.count").waiting })
end

-- ---- money ----

local function show_money()
    local sum, list = trades.money()
    return reply.json(200, { trades = sum.trades, total = sum.total, refunded = sum.refunded,
        net = sum.total - sum.refunded, paid = views(list) })
end

local function show_bill(_, request)
    local bill = money.bill(reply.parameter(request, "app_id"))
    bill.trades = json.array(bill.trades)
    for _, line in ipairs(bill.trades) do
        line.refunded = json.array(line.refunded)
    end
    return reply.json(200, bill)
end

-- ---- routes ----

local routes = {
    ["GET trades"] = function()
        return reply.json(200, { trades = views(trades.newest()) })
    end,
    ["GET money"] = show_money,
    ["GET bill"] = show_bill,
    ["GET balance"] = settings.balance,
    ["POST balance"] = settings.set_balance,
    ["GET deliveries"] = list_deliveries,
    ["POST notify"] = send_notification,
    ["GET behaviour"] = settings.behaviour,
    ["POST behaviour"] = settings.set_behaviour,
    ["GET clock"] = settings.clock,
    ["POST clock"] = settings.advance,
    ["GET "] = help.page,
    ["GET help"] = help.json,
}

---@param state table
---@param request table
---@param rest string what follows /sandbox/
---@return table response
function levers.handle(state, request, rest)
    local host = request.headers.host
    if hosts.is_foreign(state.hosts, host) then
        return reply.refuse(403, ("levers do not answer to '%s': use localhost, an address, or the host of "
            .. "an account's gateway"):format(shown(host, 64)))
    elseif request.method ~= "GET" and request.method ~= "HEAD" and reply.is_foreign(request) then
        return reply.refuse(403,
            "levers are not for pages of other origins: use curl, a test, or a page from here")
    end
    local number, action = rest:match("^trades/([%w_]+)/?(%l*)$")
    if number then
        return one_trade(state, request, number, action)
    end
    local route = routes[(request.method == "HEAD" and "GET" or request.method) .. " " .. rest]
    if not route then
        return reply.refuse(404, "no such lever: see GET /sandbox")
    end
    return route(state, request)
end

return levers
