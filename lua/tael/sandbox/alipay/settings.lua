--- What tests set: behaviour, balances, the clock.
local json = require "tael.json"
local time = require "tael.time"

local behaviour = require "tael.sandbox.alipay.behaviour"
local deliveries = require "tael.sandbox.alipay.deliveries"
local faults = require "tael.sandbox.alipay.faults"
local help = require "tael.sandbox.alipay.help"
local money = require "tael.sandbox.alipay.money"
local reply = require "tael.sandbox.alipay.reply"

local settings = {}

local LATEST = 366 * 24 * 3600 * 1000

-- ---- balances ----

--- The application that a lever means: the only one need not be named.
local function app_of(state, named)
    if named ~= nil then
        return state.apps[named] and named
    end
    local only = next(state.apps)
    return only and next(state.apps, only) == nil and only or nil
end

local function is_amount(value)
    return math.type(value) == "integer" and value >= 0 and value <= 10000000000000
end

local function show_balance(app_id)
    local balance = money.balance(app_id)
    return reply.json(200, { app_id = app_id, balance = balance.balance or json.null })
end

---@param state table
---@param request table
---@return table response
function settings.balance(state, request)
    local app_id = app_of(state, reply.parameter(request, "app_id"))
    return app_id and show_balance(app_id) or reply.refuse(404, "no such application: name one by app_id")
end

--- {app_id?, set = fen|null} or {app_id?, add = fen}; null: there is always enough.
---@param state table
---@param request table
---@return table response
function settings.set_balance(state, request)
    local body = reply.read(request)
    local app_id = body and app_of(state, body.app_id)
    if not app_id then
        return reply.refuse(404, "no such application: name one by app_id")
    elseif body.set ~= nil and body.set ~= json.null and not is_amount(body.set)
        or body.add ~= nil and not is_amount(body.add) or body.set == nil and body.add == nil then
        return reply.refuse(400, "set is fen or null, add is fen")
    end
    local set = body.set ~= json.null and body.set or false
    money.top_up(app_id, body.set == nil and { add = body.add } or { set = set })
    return show_balance(app_id)
end

-- ---- behaviour ----

local ops = { page = true, precreate = true, query = true, close = true, cancel = true, refund = true,
    refund_query = true, pay = true, ["*"] = true }
local notice_ops = { pay = true, refund = true }

local function shown(state)
    local list = behaviour.list(state.faults)
    return {
        fault = list[1] and list[1].fault or json.null, faults = json.array(list),
        notices = json.array(behaviour.list(state.notices)), notify = state.notify ~= false,
        refund_notify = state.refund_notify or "partial", magic = state.magic ~= false,
    }
end

local function count(value, otherwise, max)
    if value == nil then
        return otherwise
    end
    return math.type(value) == "integer" and value >= 1 and value <= max and value or nil
end

--- {fault, op?, times?, ms?, sub_code?, out_trade_no?}; null: none any more, of that op and order or at all.
--- Gives what is to be done, or what is wrong.
local function ask_fault(state, body)
    local op = body.op or "*"
    if not ops[op] then
        return nil, "no such op"
    elseif body.fault == json.null then
        return function() behaviour.forget(state.faults, body.op, body.out_trade_no) end
    end
    local name, times = faults.name(body.fault, op), count(body.times, 1, 1000000)
    local ms, sub_code = count(body.ms, 0, 600000), body.sub_code
    if not name then
        return nil, "no such fault for this op"
    elseif not times or not ms or sub_code ~= nil and not tostring(sub_code):find("^[%w%._%-]+$") then
        return nil, "times is 1 … 1000000, ms 1 … 600000, sub_code a word"
    end
    return function()
        behaviour.ask(state.faults, op, body.out_trade_no, {
            name = name, times = times, ms = ms > 0 and ms or nil, sub_code = sub_code, since = time.now(),
            ops = faults.ops(name),
        })
    end
end

--- {notices, op? = pay|refund, times?, ms?, out_trade_no?}; null: none any more.
local function ask_notices(state, body)
    local op = body.op or "*"
    if op ~= "*" and not notice_ops[op] then
        return nil, "op of notices is pay or refund"
    elseif body.notices == json.null then
        return function() behaviour.forget(state.notices, body.op, body.out_trade_no) end
    end
    local times, ms = count(body.times, 1, 1000000), count(body.ms, 0, LATEST)
    if not help.is_notice(body.notices) then
        return nil, "no such notices"
    elseif not times or not ms then
        return nil, "times is 1 … 1000000, ms at least 1"
    end
    return function()
        behaviour.ask(state.notices, op, body.out_trade_no, {
            name = body.notices, times = times, ms = ms > 0 and ms or nil, since = time.now(),
            ops = notice_ops,
        })
    end
end

local function nothing() end

local switches = {
    notify = function(value) return type(value) == "boolean" end,
    magic = function(value) return type(value) == "boolean" end,
    refund_notify = function(value) return value == "all" or value == "partial" or value == "none" end,
}

local members = { fault = true, notices = true, op = true, times = true, ms = true, sub_code = true,
    out_trade_no = true }

--- What no lever can mean; nil: all may be.
local function wrong_member(body)
    for name, value in pairs(body) do
        if switches[name] and not switches[name](value) then
            return name .. " cannot be that"
        elseif not switches[name] and not members[name] then
            return "there is no " .. name
        end
    end
    if body.out_trade_no ~= nil and type(body.out_trade_no) ~= "string" then
        return "out_trade_no is a text"
    end
end

--- Any of fault, notices and the switches, all or none of it; gives what stands then.
---@param state table
---@param request table
---@return table response
function settings.set_behaviour(state, request)
    local body = reply.read(request)
    local wrong = not body and "a JSON object is needed" or wrong_member(body)
    if wrong then
        return reply.refuse(400, wrong)
    end
    local fault, no_fault = nothing, nil
    if body.fault ~= nil then
        fault, no_fault = ask_fault(state, body)
    end
    local notices, no_notices = nothing, nil
    if body.notices ~= nil then
        notices, no_notices = ask_notices(state, body)
    end
    if not fault or not notices then
        return reply.refuse(400, no_fault or no_notices)
    end
    fault()
    notices()
    for name in pairs(switches) do
        if body[name] ~= nil then
            state[name] = body[name]
        end
    end
    return reply.json(200, shown(state))
end

---@param state table
---@return table response
function settings.behaviour(state)
    return reply.json(200, shown(state))
end

-- ---- the clock ----

---@return table response
function settings.clock()
    return reply.json(200, { now = time.now() })
end

--- {advance_ms}: everything that is due by then happens.
---@param request table
---@return table response
function settings.advance(_, request)
    local body = reply.read(request)
    local ms = body and body.advance_ms
    if math.type(ms) ~= "integer" or ms < 1 or ms > LATEST then
        return reply.refuse(400, "advance_ms is 1 … 366 days")
    elseif not time.advance then
        return reply.refuse(409, "this clock cannot be set")
    end
    local good = pcall(time.advance, ms)
    if not good then
        return reply.refuse(409, "this clock cannot be set")
    end
    deliveries.wake()
    return reply.json(200, { now = time.now() })
end

return settings
