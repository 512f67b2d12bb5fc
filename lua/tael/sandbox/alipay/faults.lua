--- Faults of the gateway: what goes wrong with a call, by name. A fault says whether the method still acts,
--- what is answered, or, for a twist, leaves both to the method. (Which meets which call: behaviour.lua.)
local crypto = require "tael.crypto"
local time = require "tael.time"

local answers = require "tael.sandbox.alipay.answers"
local behaviour = require "tael.sandbox.alipay.behaviour"
local clock = require "tael.sandbox.alipay.clock"
local db = require "tael.sandbox.alipay.db"
local deliveries = require "tael.sandbox.alipay.deliveries"
local wire = require "tael.sandbox.alipay.wire"
local yuan = require "tael.sandbox.alipay.yuan"

local faults = {}

local LOST = 30000 -- longer than any caller should wait
local SLOW = 5000

---@class tael.sandbox.FaultKind
---@field says string
---@field acts boolean the method runs before
---@field ops? table<string, true> the only calls it can meet
---@field answer? fun(met: table): table response; nil: as if nothing were wrong
---@field hangs? boolean waits for the caller to give up
local kinds = {}

-- ---- what is answered ----

local function node_of(met)
    return wire.json_object(answers.members(met.outcome), true)
end

local function signed(met, node)
    return met.call.app.alipay_key:sign("sha256", node)
end

local function root_of(met)
    return answers.root(met.call.method.name)
end

--- Answers with a node of its own making.
local function with_node(make)
    return function(met)
        local node = node_of(met)
        return answers.response(make(met, root_of(met), node))
    end
end

local function failure(code, sub_code)
    return function(met)
        return answers.of(met.call, answers.fail(code, met.fault.sub_code or sub_code))
    end
end

local function http(status)
    return function()
        return answers.response("<html>upstream error</html>", status)
    end
end

--- No answer, and the connection closes.
local function hung_up()
    return { status = 200, body = "", flaw = { drop = true } }
end

--- No answer: the caller gives up first, or is cut off in the end.
local function silence(met)
    time.sleep(met.fault.ms or LOST)
    return hung_up()
end

--- An answer that breaks off. A client whose connection closes without one may take that for the age of the
--- connection and ask again by itself; here it cannot.
local function broken()
    local response = answers.response("{}")
    response.flaw = { cut = true, after = 0 }
    return response
end

--- What an answer would have to say for the merchant to believe that all went well.
local function claim(call)
    local content = call.content
    local number = type(content.out_trade_no) == "string" and content.out_trade_no or nil
    local trade = number and db.first("trade.get", { app_id = call.app.app_id, out_trade_no = number })
    local total = trade and yuan.text(trade.total) or content.total_amount
    return {
        { "action", "close" }, { "buyer_pay_amount", total }, { "fund_change", "Y" },
        { "gmt_refund_pay", clock.text(time.now()) }, { "out_request_no", content.out_request_no },
        { "out_trade_no", number }, { "qr_code", "https://example.com/somebody-else" },
        { "refund_amount", content.refund_amount }, { "refund_fee", content.refund_amount },
        { "refund_status", "REFUND_SUCCESS" }, { "retry_flag", "N" },
        { "send_pay_date", clock.text(time.now()) }, { "total_amount", total },
        { "trade_no", trade and trade.trade_no or "2026011522001400000000000000" },
        { "trade_status", "TRADE_SUCCESS" },
    }
end

local function claimed(met)
    return wire.json_object(answers.members(claim(met.call)), true)
end

local function slow_body(met)
    local response = answers.of(met.call, met.outcome)
    response.flaw = { pause_ms = met.fault.ms or SLOW, after = #response.body // 2 }
    return response
end

local function cut_body(met)
    local response = answers.of(met.call, met.outcome)
    response.flaw = { cut = true, after = #response.body // 2 }
    return response
end

-- ---- the faults ----

local function both(name, says, answer, hangs)
    kinds[name .. "_before"] = { says = says .. ", nothing is done", acts = false, answer = answer }
    kinds[name .. "_after"] = { says = says .. ", it is done", acts = true, answer = answer, hangs = hangs }
end

both("lost", "no answer at all", silence, true)
both("reset", "the connection breaks while the answer begins", broken)
both("hangup", "the connection closes without an answer", hung_up)
both("busy", "20000 isp.unknow-error", failure("20000", "isp.unknow-error"))
both("acq_error", "40004 ACQ.SYSTEM_ERROR", failure("40004", "ACQ.SYSTEM_ERROR"))
for _, status in ipairs { 500, 502, 503, 504 } do
    both("http_" .. status, "HTTP " .. status, http(status))
end

local function done(name, says, answer)
    kinds[name] = { says = says, acts = true, answer = answer }
end

local function not_done(name, says, answer)
    kinds[name] = { says = says, acts = false, answer = answer }
end

not_done("refused", "40004 with sub_code, ACQ.TRADE_NOT_ALLOW_REFUND by default",
    failure("40004", "ACQ.TRADE_NOT_ALLOW_REFUND"))
not_done("limited", "40005 isv.app-call-limited", failure("40005", "isv.app-call-limited"))
not_done("no_code", "a sub_code without a code", function(met)
    local node = wire.json_object({ { "msg", "Business Failed" }, { "sub_code", "ACQ.SYSTEM_ERROR" } }, true)
    return answers.response(wire.answer(root_of(met), node, signed(met, node)))
end)
not_done("unsigned_success", "nothing is done, an unsigned answer says that all is well", function(met)
    return answers.response(wire.answer(root_of(met), claimed(met)))
end)
not_done("slow", "the call is done late", function(met)
    time.sleep(met.fault.ms or SLOW)
    return met.respond(met.run())
end)
done("slow_answer", "the answer comes late", function(met)
    time.sleep(met.fault.ms or SLOW)
    return met.respond(met.outcome)
end)
done("slow_body", "half of the answer comes late", slow_body)
done("cut_body", "half of the answer, then the connection closes", cut_body)
done("empty", "an answer without a body", function()
    return answers.response("")
end)
done("html", "an HTML page of somebody between", function()
    return answers.response("<html>upstream error</html>")
end)
done("garbage", "random bytes", function()
    return answers.response(crypto.random(256))
end)
done("wrong_signature", "signed over something else", with_node(function(met, root, node)
    return wire.answer(root, node, signed(met, node .. " "))
end))
done("unsigned", "no sign", with_node(function(_, root, node)
    return wire.answer(root, node)
end))
done("double_node", "a second, unsigned node that says that all is well", with_node(function(met, root, node)
    local tail = (',"%s":%s}'):format(root, claimed(met))
    return wire.answer(root, node, signed(met, node)):sub(1, -2) .. tail
end))
done("sign_first", "sign stands before the node", with_node(function(met, root, node)
    return ('{"sign":"%s","%s":%s}'):format(signed(met, node), root, node)
end))
done("signed_before_escaping", "signed before slashes were escaped", with_node(function(met, root, node)
    return wire.answer(root, node, signed(met, (node:gsub("\\/", "/"))))
end))

local function twist(name, says, ...)
    local ops = {}
    for _, op in ipairs { ... } do
        ops[op] = true
    end
    kinds[name] = { says = says, acts = true, ops = ops }
end

twist("balance_too_low", "SELLER_BALANCE_NOT_ENOUGH until the balance was topped up", "refund", "cancel")
twist("in_process", "fund_change N, done later", "refund")
twist("in_process_fails", "fund_change N, undone later", "refund")
twist("query_lags", "the money moves, refund query knows it later", "refund")
twist("paid_meanwhile", "the payer pays in that moment", "close", "cancel")
twist("retry", "nothing is done, retry_flag Y", "cancel")
twist("payer_balance_too_low", "the payer has too little", "pay")
twist("notice_first", "the notification comes before the answer", "refund", "pay")

local other_names = { http_502 = "http_502_after", system_error = "busy_after", not_json = "html" }

-- ---- by name ----

---@param name any
---@param op string
---@return string? its name; nil: there is none, or it cannot meet the op
function faults.name(name, op)
    name = other_names[name] or name
    local kind = kinds[name]
    if not kind or kind.ops and op ~= "*" and not kind.ops[op] or not kind.ops and op == "pay" then
        return nil
    end
    return name
end

---@param name string
---@return table<string, true>? ops what alone it can meet
function faults.ops(name)
    return kinds[name].ops
end

---@return { name: string, says: string, acts: boolean, ops: string[]? }[]
function faults.list()
    local list = {}
    for name, kind in pairs(kinds) do
        local ops = {}
        for op in pairs(kind.ops or {}) do
            ops[#ops + 1] = op
        end
        table.sort(ops)
        list[#list + 1] = { name = name, says = kind.says, acts = kind.acts, ops = #ops > 0 and ops or nil }
    end
    table.sort(list, function(a, b) return a.name < b.name end)
    return list
end

-- ---- a call ----

local function can_meet(kind, call)
    return not kind.ops or kind.ops[call.method.op]
end

--- Answers a call whose checks have passed, with the fault that meets it.
---@param state table
---@param call table gains fault
---@param run fun(): table the method's outcome
---@param respond fun(outcome: table): table response
---@return table response
function faults.serve(state, call, run, respond)
    local fault = behaviour.of_call(state, call)
    local kind = fault and kinds[fault.name]
    if not kind or not can_meet(kind, call) then
        return respond(run())
    end
    call.fault = fault
    local met = { call = call, fault = fault, run = run, respond = respond }
    if kind.acts then
        met.outcome = kind.hangs and behaviour.apart(run) or run()
    end
    if fault.name == "notice_first" and call.notify_id then
        deliveries.await(call.notify_id)
    end
    return kind.answer and kind.answer(met) or respond(met.outcome)
end

return faults
