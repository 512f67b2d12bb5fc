--- The simulated gateway.do: the checks in Alipay's order (protocol reference §13), then the method. Every
--- answer has status 200 and says text/html; errors before the application is known are not signed. A page
--- request that is wrong is told to the payer, not to the merchant.
local crypto = require "tael.crypto"
local json = require "tael.json"
local time = require "tael.time"

local clock = require "tael.sandbox.alipay.clock"
local error_page = require "tael.sandbox.alipay.error_page"
local trades = require "tael.sandbox.alipay.trades"
local wire = require "tael.sandbox.alipay.wire"

local gateway = {}

local messages = {
    ["10000"] = "Success", ["20000"] = "Service Currently Unavailable",
    ["40001"] = "Missing Required Arguments", ["40002"] = "Invalid Arguments",
    ["40004"] = "Business Failed",
}

local reasons = {
    ["isv.missing-method"] = "缺少方法名参数",
    ["isv.invalid-method"] = "不存在的方法名",
    ["isv.missing-app-id"] = "缺少AppID参数",
    ["isv.invalid-app-id"] = "无效的AppID参数",
    ["isv.missing-timestamp"] = "缺少时间戳参数",
    ["isv.invalid-timestamp"] = "非法的时间戳参数",
    ["isv.missing-version"] = "缺少版本参数",
    ["isv.missing-signature-type"] = "缺少签名类型参数",
    ["isv.invalid-signature-type"] = "无效签名类型",
    ["isv.invalid-charset"] = "字符集错误",
    ["isv.invalid-format"] = "无效数据格式",
    ["isv.missing-signature"] = "缺少签名参数",
    ["isv.invalid-encrypt-type"] = "无效加密类型",
    ["isv.illegal-json"] = "biz_content不是合法的JSON",
    ["isv.invalid-parameter"] = "参数无效",
    ["isp.unknow-error"] = "系统繁忙",
    ["ACQ.INVALID_PARAMETER"] = "参数无效",
    ["ACQ.TRADE_NOT_EXIST"] = "交易不存在",
    ["ACQ.TRADE_HAS_CLOSE"] = "交易已经关闭",
    ["ACQ.CONTEXT_INCONSISTENT"] = "交易信息被篡改",
    ["ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR"] = "当前时间已超过允许支付的时间",
}

local methods = {} -- by name: {page = boolean, run = function(call) → members | response}

-- ---- answers ----

local function answer_headers(charset)
    return {
        ["content-type"] = "text/html;charset=" .. charset,
        ["trace_id"] = crypto.hex.encode(crypto.random(16)),
        ["cache-control"] = "no-store",
    }
end

local function root_of(method)
    return methods[method] and method:gsub("%.", "_") .. "_response" or "error_response"
end

local function node_of(failure)
    return {
        { "code", failure.code }, { "msg", messages[failure.code] },
        { "sub_code", failure.sub_code }, { "sub_msg", failure.sub_msg or reasons[failure.sub_code] },
    }
end

--- What a test asked to go wrong with the next answer.
local faults = {
    wrong_signature = function(root, node, key)
        return wire.answer(root, node, key:sign("sha256", node .. " "))
    end,
    unsigned = function(root, node)
        return wire.answer(root, node)
    end,
    double_node = function(root, node, key)
        local tail = (',"%s":%s}'):format(root, (node:gsub('"TRADE_%u+"', '"TRADE_SUCCESS"')))
        return wire.answer(root, node, key:sign("sha256", node)):sub(1, -2) .. tail
    end,
    sign_first = function(root, node, key)
        return ('{"sign":"%s","%s":%s}'):format(key:sign("sha256", node), root, node)
    end,
    signed_before_escaping = function(root, node, key)
        return wire.answer(root, node, key:sign("sha256", (node:gsub("\\/", "/"))))
    end,
    system_error = function(root, _, key)
        local node = wire.json_object(node_of { code = "20000", sub_code = "isp.unknow-error" }, true)
        return wire.answer(root, node, key:sign("sha256", node))
    end,
    not_json = function()
        return "<html>upstream error</html>"
    end,
    http_502 = function()
        return "<html>bad gateway</html>", 502
    end,
}

---@param name string
---@return boolean
function gateway.has_fault(name)
    return faults[name] ~= nil
end

local function take_fault(state)
    local fault = state.fault
    if not fault then
        return nil
    end
    fault.times = fault.times - 1
    if fault.times <= 0 then
        state.fault = nil
    end
    return faults[fault.name]
end

local function respond(state, call, members)
    local root = root_of(call.fields.method or "")
    local node = wire.json_object(members, true)
    local fault = call.app and take_fault(state)
    local body, status
    if fault then
        body, status = fault(root, node, call.app.alipay_key)
    else
        body = wire.answer(root, node, call.app and call.app.alipay_key:sign("sha256", node))
    end
    return { status = status or 200, headers = answer_headers("utf-8"), body = body }
end

-- ---- the checks, in order; each gives a failure or nil ----

local function fail(code, sub_code, sub_msg)
    return { code = code, sub_code = sub_code, sub_msg = sub_msg }
end

local function missing(fields, name)
    return fields[name] == nil or fields[name] == ""
end

local checks = {
    function(call)
        if call.doubled then
            return fail("40002", "isv.invalid-parameter", "参数无效：" .. call.doubled)
        end
    end,
    function(call)
        if missing(call.fields, "method") then
            return fail("40001", "isv.missing-method")
        elseif not methods[call.fields.method] then
            return fail("40002", "isv.invalid-method")
        end
    end,
    function(call)
        if missing(call.fields, "app_id") then
            return fail("40001", "isv.missing-app-id")
        elseif not call.known_app then
            return fail("40002", "isv.invalid-app-id")
        end
        call.app = call.known_app -- from here on answers are signed
    end,
    function(call)
        if missing(call.fields, "timestamp") then
            return fail("40001", "isv.missing-timestamp")
        elseif not clock.parse(call.fields.timestamp) then
            return fail("40002", "isv.invalid-timestamp")
        end
    end,
    function(call)
        if missing(call.fields, "version") then
            return fail("40001", "isv.missing-version")
        elseif call.fields.version ~= "1.0" then
            return fail("40002", "isv.invalid-parameter", "参数无效：version")
        end
    end,
    function(call)
        if missing(call.fields, "sign_type") then
            return fail("40001", "isv.missing-signature-type")
        elseif call.fields.sign_type ~= "RSA2" then
            return fail("40002", "isv.invalid-signature-type")
        end
    end,
    function(call)
        if (call.fields.charset or ""):lower() ~= "utf-8" then
            return fail("40002", "isv.invalid-charset")
        elseif call.fields.format and call.fields.format:upper() ~= "JSON" then
            return fail("40002", "isv.invalid-format")
        end
    end,
    function(call)
        if missing(call.fields, "sign") then
            return fail("40001", "isv.missing-signature")
        end
        local fits, text = wire.verify_request(call.fields, call.app.merchant_key)
        if not fits then
            return fail("40002", "isv.invalid-signature",
                "验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配，网关生成的验签字符串为："
                .. text:gsub("&", "&amp;"))
        end
    end,
    function(call)
        if call.fields.encrypt_type then
            return fail("40002", "isv.invalid-encrypt-type")
        end
    end,
    function(call)
        local content = json.decode(call.fields.biz_content or "")
        if type(content) ~= "table" or json.is_array(content) then
            return fail("40002", "isv.illegal-json")
        end
        call.content = content
    end,
}

local function check(call)
    for _, step in ipairs(checks) do
        local failure = step(call)
        if failure then
            return failure
        end
    end
end

-- ---- the call ----

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

local function as_response(state, call, outcome)
    if outcome.status then
        return outcome
    elseif outcome.sub_code then
        if methods[call.fields.method] and methods[call.fields.method].page then
            return error_page.response(outcome.sub_code, outcome.sub_msg or reasons[outcome.sub_code])
        end
        return respond(state, call, node_of(outcome))
    end
    table.insert(outcome, 1, { "code", "10000" })
    table.insert(outcome, 2, { "msg", messages["10000"] })
    return respond(state, call, outcome)
end

--- Handles one request of gateway.do.
---@param state table {apps, fault?}
---@param request table
---@return table response
function gateway.handle(state, request)
    if request.method ~= "GET" and request.method ~= "POST" then
        return { status = 405, headers = { allow = "GET, POST" }, body = "" }
    end
    local call = {}
    call.fields, call.doubled = merged(request)
    call.known_app = state.apps[call.fields.app_id or ""]
    local failure = check(call)
    return as_response(state, call, failure or methods[call.fields.method].run(call))
end

-- ---- alipay.trade.page.pay (§8.1) ----

local function yuan_to_fen(text)
    if type(text) ~= "string" then
        return nil
    end
    local whole, part = text:match("^(%d+)%.(%d%d?)$")
    if not whole then
        whole, part = text:match("^(%d+)$"), "0"
    end
    if not whole or #whole > 9 then
        return nil
    end
    local fen = tonumber(whole) * 100 + tonumber(#part == 1 and part .. "0" or part)
    return fen >= 1 and fen <= 10000000000 and fen or nil
end

local function invalid(name)
    return fail("40004", "ACQ.INVALID_PARAMETER", "参数无效：" .. name)
end

local function text_within(value, max)
    local length = type(value) == "string" and utf8.len(value)
    return length and length >= 1 and length <= max
end

local function optional_url(value)
    return value == nil or #value <= 256 and value:find("^https?://[^%s]+$")
end

--- The order of a page request, checked; nil and a failure otherwise.
local function read_order(call, now)
    local content = call.content
    local total = yuan_to_fen(content.total_amount)
    if type(content.out_trade_no) ~= "string" or not content.out_trade_no:find("^[%w_]+$")
        or #content.out_trade_no > 64 then
        return nil, invalid("out_trade_no")
    elseif not total then
        return nil, invalid("total_amount")
    elseif content.product_code ~= "FAST_INSTANT_TRADE_PAY" then
        return nil, invalid("product_code")
    elseif not text_within(content.subject, 256) or content.subject:find("[/=&]") then
        return nil, invalid("subject")
    elseif content.body ~= nil and not text_within(content.body, 128) then
        return nil, invalid("body")
    elseif content.passback_params ~= nil and not text_within(content.passback_params, 512) then
        return nil, invalid("passback_params")
    elseif not optional_url(call.fields.notify_url) then
        return nil, invalid("notify_url")
    elseif not optional_url(call.fields.return_url) then
        return nil, invalid("return_url")
    end
    local expires_at, wrong = clock.expiry(content, now)
    if not expires_at then
        return nil, invalid(wrong)
    end
    return {
        app_id = call.app.app_id, out_trade_no = content.out_trade_no, total = total,
        subject = content.subject, body = content.body, passback_params = content.passback_params,
        notify_url = call.fields.notify_url, return_url = call.fields.return_url, expires_at = expires_at,
    }
end

local function find_or_open(order, now)
    local trade = trades.get(order.app_id, order.out_trade_no)
    if not trade and order.expires_at <= now then
        return nil, fail("40004", "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR")
    end
    trade = trade or trades.open(order)
    if trade.total ~= order.total or trade.subject ~= order.subject then
        return nil, fail("40004", "ACQ.CONTEXT_INCONSISTENT")
    elseif trade.status == "TRADE_CLOSED" then
        return nil, fail("40004", "ACQ.TRADE_HAS_CLOSE")
    end
    return trade
end

methods["alipay.trade.page.pay"] = {
    page = true,
    run = function(call)
        local now = time.now()
        local order, wrong = read_order(call, now)
        if not order then
            return wrong
        end
        local trade, refused = find_or_open(order, now)
        if not trade then
            return refused
        end
        return {
            status = 302, body = "",
            headers = { location = "/cashier/" .. trade.token, ["cache-control"] = "no-store" },
        }
    end,
}

-- ---- alipay.trade.query (§8.7) ----

methods["alipay.trade.query"] = {
    run = function(call)
        local content = call.content
        local trade
        if type(content.trade_no) == "string" then -- wins when both are given
            trade = trades.by_trade_no(call.app.app_id, content.trade_no)
        elseif type(content.out_trade_no) == "string" then
            trade = trades.get(call.app.app_id, content.out_trade_no)
        else
            return invalid("out_trade_no")
        end
        if not trade then
            return fail("40004", "ACQ.TRADE_NOT_EXIST")
        end
        local total = ("%d.%02d"):format(trade.total // 100, trade.total % 100)
        local paid = trade.paid_at ~= nil
        return {
            { "buyer_logon_id", "csq***@sandbox.com" },
            { "buyer_pay_amount", paid and total or "0.00" },
            { "buyer_user_id", "2088102122524333" },
            { "invoice_amount", paid and total or "0.00" },
            { "out_trade_no", trade.out_trade_no },
            { "passback_params", trade.passback_params },
            { "point_amount", "0.00" },
            { "receipt_amount", paid and total or "0.00" },
            { "send_pay_date", paid and clock.text(trade.paid_at) or nil },
            { "total_amount", total },
            { "trade_no", trade.trade_no },
            { "trade_status", trade.status },
        }
    end,
}

return gateway
