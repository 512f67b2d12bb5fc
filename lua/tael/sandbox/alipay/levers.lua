--- What tests and curious developers pull: /sandbox/… answers JSON. Trades as they are, payer's actions
--- without a browser, notifications of chosen kinds, faults of the gateway, and what was really paid.
local json = require "tael.json"
local store = require "tael.store"

local cashier = require "tael.sandbox.alipay.cashier"
local gateway = require "tael.sandbox.alipay.gateway"
local notify = require "tael.sandbox.alipay.notify"
local trades = require "tael.sandbox.alipay.trades"

local levers = {}

local function reply(status, value)
    return {
        status = status,
        headers = { ["content-type"] = "application/json", ["cache-control"] = "no-store" },
        body = json.encode(value),
    }
end

local function refuse(status, text)
    return reply(status, { error = text })
end

local function view(trade)
    return {
        app_id = trade.app_id, out_trade_no = trade.out_trade_no, trade_no = trade.trade_no,
        trade_status = trade.status, total = trade.total, subject = trade.subject,
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

local function read_body(request)
    if request.body == "" then
        return {}
    end
    local body = json.decode(request.body)
    return type(body) == "table" and not json.is_array(body) and body or nil
end

-- ---- one trade ----

local trade_actions = {
    pay = cashier.pay,
    refuse = function(_, trade)
        return trade -- an order that was refused can still be paid
    end,
    close = function(_, trade)
        return trades.close(trade)
    end,
}

local function one_trade(state, request, number, action)
    local trade = trades.by_order(number)
    if not trade or not state.apps[trade.app_id] then
        return refuse(404, "no such trade: it exists once the payer has opened the order")
    elseif action == "" then
        return reply(200, view(trade))
    elseif not trade_actions[action] then
        return refuse(404, "no such action")
    elseif request.method ~= "POST" then
        return refuse(405, "POST")
    end
    return reply(200, view(trade_actions[action](state, trade)))
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
    local body = read_body(request)
    local trade = body and type(body.out_trade_no) == "string" and trades.by_order(body.out_trade_no)
    local app = trade and state.apps[trade.app_id]
    if not app then
        return refuse(404, "no such trade: it exists once the payer has opened the order")
    elseif not trade.notify_url then
        return refuse(409, "the order named no notify_url")
    end
    local times = body.times == nil and 1 or body.times
    local changes = body.fields == nil and {} or text_map(body.fields)
    if math.type(times) ~= "integer" or times < 1 or times > 256 or not changes then
        return refuse(400, "times is 1 … 256, fields are texts by name")
    end
    local form = notify.variant(trade, app, body.variant or "duplicate", changes)
    if not form then
        return refuse(400, "no such variant")
    end
    local answers = notify.send_many(trade.notify_url, form, times)
    return reply(200, { form = form, answers = json.array(answers) })
end

local function deliveries(_, request)
    local number = (request.query or ""):match("^out_trade_no=([%w_]+)$")
    if not number then
        return refuse(400, "?out_trade_no= is needed")
    end
    local out = json.array {}
    for i, row in ipairs(assert(store.query("deliveries.of_order", { out_trade_no = number }))) do
        out[i] = {
            notify_id = row.notify_id, state = row.state, attempts = row.attempts, due_at = row.due_at,
            last_answer = row.last_answer, url = row.url,
        }
    end
    return reply(200, { deliveries = out })
end

-- ---- the rest ----

local function money()
    local sum, list = trades.money()
    return reply(200, { trades = sum.trades, total = sum.total, paid = views(list) })
end

--- {fault="wrong_signature", times?=1} spoils the next answers; {fault=null} none; {notify=false} keeps
--- notifications of later payments back.
local function behaviour(state, request)
    local body = read_body(request)
    if not body then
        return refuse(400, "a JSON object is needed")
    end
    if body.fault == json.null then
        state.fault = nil
    elseif body.fault ~= nil then
        if type(body.fault) ~= "string" or not gateway.has_fault(body.fault) then
            return refuse(400, "no such fault")
        end
        state.fault = { name = body.fault, times = math.type(body.times) == "integer" and body.times or 1 }
    end
    if type(body.notify) == "boolean" then
        state.notify = body.notify
    end
    local fault = state.fault and state.fault.name or json.null
    return reply(200, { fault = fault, notify = state.notify ~= false })
end

local routes = {
    ["GET trades"] = function()
        return reply(200, { trades = views(trades.newest()) })
    end,
    ["GET money"] = money,
    ["GET deliveries"] = deliveries,
    ["POST notify"] = send_notification,
    ["POST behaviour"] = behaviour,
}

---@param state table
---@param request table
---@param rest string what follows /sandbox/
---@return table response
function levers.handle(state, request, rest)
    local number, action = rest:match("^trades/([%w_]+)/?(%l*)$")
    if number then
        return one_trade(state, request, number, action)
    end
    local route = routes[request.method .. " " .. rest]
    if not route then
        return refuse(404, "no such lever")
    end
    return route(state, request)
end

return levers
