--- The simulated gateway.do: a request is read from query and body together, checked, and given to its
--- method; a fault that a test asked for, or a magic amount, stands between. A page request that is wrong is
--- told to the payer, not to the merchant.
local answers = require "tael.sandbox.alipay.answers"
local checks = require "tael.sandbox.alipay.checks"
local ends = require "tael.sandbox.alipay.ends"
local error_page = require "tael.sandbox.alipay.error_page"
local faults = require "tael.sandbox.alipay.faults"
local orders = require "tael.sandbox.alipay.orders"
local queries = require "tael.sandbox.alipay.queries"
local refunds = require "tael.sandbox.alipay.refunds"
local wire = require "tael.sandbox.alipay.wire"

local gateway = {}

-- op: the word by which behaviour and magic amounts name the method
local methods = {
    ["alipay.trade.page.pay"] = { op = "page", page = true, run = orders.page },
    ["alipay.trade.precreate"] = { op = "precreate", run = orders.precreate },
    ["alipay.trade.query"] = { op = "query", run = queries.trade },
    ["alipay.trade.close"] = { op = "close", run = ends.close },
    ["alipay.trade.cancel"] = { op = "cancel", run = ends.cancel },
    ["alipay.trade.refund"] = { op = "refund", run = refunds.refund },
    ["alipay.trade.fastpay.refund.query"] = { op = "refund_query", run = refunds.query },
}
for name, method in pairs(methods) do
    method.name = name
end

--- Query and body together; a name in both, or twice in one, is refused.
local function merged(request)
    local fields = {}
    local texts = { request.query or "" }
    local media = request.headers["content-type"] or ""
    if request.method == "POST" and media:lower():find("^application/x%-www%-form%-urlencoded") then
        texts[2] = request.body
    end
    for _, text in ipairs(texts) do
        local good, name = wire.read_form(fields, text)
        if not good then
            return fields, name
        end
    end
    return fields
end

local function as_response(call, outcome)
    if outcome.status then
        return outcome
    elseif outcome.sub_code and call.method and call.method.page then
        return error_page.response(outcome.sub_code, outcome.sub_msg)
    end
    return answers.of(call, outcome)
end

--- Handles one request of gateway.do.
---@param state table {apps, faults, …}
---@param request table
---@return table response
function gateway.handle(state, request)
    if request.method ~= "GET" and request.method ~= "POST" then
        return { status = 405, headers = { allow = "GET, POST" }, body = "" }
    end
    local call = { request = request }
    call.fields, call.doubled = merged(request)
    call.method = methods[call.fields.method or ""]
    call.known_app = state.apps[call.fields.app_id or ""]
    local failure = checks.run(call)
    if failure then
        return as_response(call, failure)
    end
    return faults.serve(state, call, function()
        return call.method.run(state, call)
    end, function(outcome)
        return as_response(call, outcome)
    end)
end

return gateway
