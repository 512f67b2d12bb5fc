--- What a test wants to go wrong, and what magic amounts make go wrong: which fault meets a call, a
--- notification or a payer. What was asked for by a lever comes first and is forgotten by a restart; the
--- effects of magic amounts are counted in the store.
local crypto = require "tael.crypto"
local task = require "tael.task"
local time = require "tael.time"

local db = require "tael.sandbox.alipay.db"
local magic = require "tael.sandbox.alipay.magic"
local yuan = require "tael.sandbox.alipay.yuan"

local behaviour = {}

---@class tael.sandbox.Fault
---@field name string
---@field ms? integer
---@field sub_code? string
---@field since integer when it was asked for, or first met
---@field times? integer left
---@field ops? table<string, true> what alone it can meet

--- Runs fn in a task of its own and waits: a unit of work in it does not tie this task to its end, so that a
--- client that goes away still ends the waiting of a request that is never answered.
---@param fn fun(): any
---@return any
function behaviour.apart(fn)
    local ended, good, result = false, nil, nil
    local name = "sandbox.apart." .. crypto.hex.encode(crypto.random(8))
    task.spawn(function()
        good, result = pcall(fn)
        ended = true
        task.wake(name)
    end)
    while not ended do
        task.wait(name, 1000)
    end
    if not good then
        error(result, 0)
    end
    return result
end

-- ---- asked for by a lever ----

local function key_of(op, number)
    return number and op .. " " .. number or op
end

--- A balance that is too low stays so until it was topped up.
local function is_over(fault, app_id)
    if fault.name ~= "balance_too_low" then
        return false
    end
    local balance = db.first("balance.get", { app_id = app_id })
    return balance ~= nil and balance.topped_up_at > fault.since
end

--- What can meet any call meets pages and payers only where they are named.
local function can_meet(fault, at, op)
    if fault.ops then
        return fault.ops[op]
    end
    return at ~= "*" or op ~= "page" and op ~= "pay"
end

--- What was asked for at an op or at all ("*"); it waits for what it can meet.
local function take(map, at, number, op, app_id)
    local key = key_of(at, number)
    local fault = map[key]
    if not fault or not can_meet(fault, at, op) then
        return nil
    elseif is_over(fault, app_id) then
        map[key] = nil
        return nil
    elseif fault.name ~= "balance_too_low" then
        fault.times = fault.times - 1
        map[key] = fault.times > 0 and fault or nil
    end
    return fault
end

local function asked(map, op, number, app_id)
    local of_order = number and (take(map, op, number, op, app_id) or take(map, "*", number, op, app_id))
    return of_order or take(map, op, nil, op, app_id) or take(map, "*", nil, op, app_id)
end

--- A fault for the next calls; it replaces the one that stood there.
---@param map table state.faults or state.notices
---@param op string "refund", or "*"
---@param number string? of one order alone
---@param fault tael.sandbox.Fault
function behaviour.ask(map, op, number, fault)
    map[key_of(op, number)] = fault
end

local function parts_of(key)
    local op, number = key:match("^(%S+) ?(.*)$")
    return op, number ~= "" and number or nil
end

--- Forgets what was asked for: of one op, of one order, or all.
---@param map table
---@param op string?
---@param number string?
function behaviour.forget(map, op, number)
    for key in pairs(map) do
        local of_op, of_order = parts_of(key)
        if (not op or op == of_op) and (not number or number == of_order) then
            map[key] = nil
        end
    end
end

--- What is still asked for, in order.
---@param map table
---@return table[]
function behaviour.list(map)
    local list = {}
    for key, fault in pairs(map) do
        local op, number = parts_of(key)
        list[#list + 1] = {
            op = op, out_trade_no = number, fault = fault.name, times = fault.times,
            ms = fault.ms, sub_code = fault.sub_code, key = key,
        }
    end
    table.sort(list, function(a, b) return a.key < b.key end)
    for _, item in ipairs(list) do
        item.key = nil
    end
    return list
end

-- ---- magic amounts ----

--- Nil when the rule has had all its effects on this object.
local function effect(rule, app_id, object)
    local times, first_at = magic.seen(rule, app_id, object)
    local fault = { name = rule.fault, since = first_at or time.now() }
    if rule.times and times >= rule.times or is_over(fault, app_id) then
        return nil
    elseif rule.times or not first_at then
        behaviour.apart(function()
            magic.note(rule, app_id, object, fault.since)
        end)
    end
    return fault
end

local function trade_of(call)
    local content, app_id = call.content, call.app.app_id
    if type(content.trade_no) == "string" then
        return db.first("trade.by_trade_no", { app_id = app_id, trade_no = content.trade_no })
    elseif type(content.out_trade_no) == "string" then
        return db.first("trade.get", { app_id = app_id, out_trade_no = content.out_trade_no })
    end
end

local function refund_number(content, trade)
    local number = content.out_request_no
    return type(number) == "string" and number or trade.out_trade_no
end

local amount_of = {
    refund = function(call)
        return yuan.fen(call.content.refund_amount)
    end,
    refund_query = function(call, trade)
        local refund = db.first("refund.get", {
            app_id = trade.app_id, out_trade_no = trade.out_trade_no, kind = "refund",
            out_request_no = refund_number(call.content, trade),
        })
        return refund and refund.amount
    end,
}

local function by_refund(call, op)
    local trade = trade_of(call)
    local rule = trade and magic.rule("refund", amount_of[op](call, trade), op)
    if rule then
        local object = trade.out_trade_no .. " " .. refund_number(call.content, trade)
        return effect(rule, trade.app_id, object)
    end
end

local function by_total(call, op)
    local content, trade = call.content, trade_of(call)
    local total = trade and trade.total or op == "precreate" and yuan.fen(content.total_amount) or nil
    local rule = magic.rule("total", total, op)
    local number = trade and trade.out_trade_no or content.out_trade_no
    if not rule or type(number) ~= "string" or rule.paid and not (trade and trade.paid_at) then
        return nil
    end
    return effect(rule, call.app.app_id, number)
end

-- ---- which fault meets what ----

--- The fault that meets a call of the gateway.
---@param state table {faults, magic}
---@param call table {method, app, content}
---@return tael.sandbox.Fault?
function behaviour.of_call(state, call)
    local op, number = call.method.op, call.content.out_trade_no
    local fault = asked(state.faults, op, type(number) == "string" and number or nil, call.app.app_id)
    if fault or state.magic == false then
        return fault
    end
    return amount_of[op] and by_refund(call, op) or by_total(call, op)
end

--- The fault that meets the payer of a trade.
---@param state table {faults, magic}
---@param trade table
---@return tael.sandbox.Fault?
function behaviour.of_payer(state, trade)
    local fault = asked(state.faults, "pay", trade.out_trade_no, trade.app_id)
    local rule = not fault and state.magic ~= false and magic.rule("total", trade.total, "pay")
    return fault or rule and effect(rule, trade.app_id, trade.out_trade_no) or nil
end

--- What is wrong with a notification; an empty table: nothing.
---@param state table {notices, magic}
---@param trade table
---@param op "pay"|"refund" what it tells
---@return { name: string?, ms: integer? }
function behaviour.notice(state, trade, op)
    local fault = asked(state.notices, op, trade.out_trade_no, trade.app_id)
    local by_magic = not fault and op == "pay" and state.magic ~= false
    local rule = by_magic and magic.rule("total", trade.total, "notice")
    return fault or rule and { name = rule.fault } or {}
end

return behaviour
