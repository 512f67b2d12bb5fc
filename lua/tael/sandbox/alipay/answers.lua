--- Answers of the simulated gateway: Alipay's words for what is wrong, the node, and the node with its
--- signature. Every answer has status 200 and says text/html; what is said to an unknown application is not
--- signed (protocol reference §3, §6).
local crypto = require "tael.crypto"

local wire = require "tael.sandbox.alipay.wire"

local answers = {}

local messages = {
    ["10000"] = "Success", ["20000"] = "Service Currently Unavailable",
    ["40001"] = "Missing Required Arguments", ["40002"] = "Invalid Arguments",
    ["40004"] = "Business Failed", ["40005"] = "Call Limited",
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
    ["isv.app-call-limited"] = "应用调用次数超限",
    ["isp.unknow-error"] = "系统繁忙",
    ["ACQ.SYSTEM_ERROR"] = "系统错误",
    ["ACQ.INVALID_PARAMETER"] = "参数无效",
    ["ACQ.TRADE_NOT_EXIST"] = "交易不存在",
    ["ACQ.TRADE_HAS_CLOSE"] = "交易已经关闭",
    ["ACQ.TRADE_HAS_SUCCESS"] = "交易已被支付",
    ["ACQ.TRADE_HAS_FINISHED"] = "交易已完结",
    ["ACQ.TRADE_STATUS_ERROR"] = "交易状态不合法",
    ["ACQ.REASON_TRADE_STATUS_INVALID"] = "交易状态异常",
    ["ACQ.CONTEXT_INCONSISTENT"] = "交易信息被篡改",
    ["ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR"] = "当前时间已超过允许支付的时间",
    ["ACQ.SELLER_NOT_EXIST"] = "卖家不存在",
    ["ACQ.SELLER_BALANCE_NOT_ENOUGH"] = "卖家余额不足",
    ["ACQ.DISCORDANT_REPEAT_REQUEST"] = "请求信息不一致",
    ["ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"] = "退款金额与订单金额不一致",
    ["ACQ.REASON_TRADE_REFUND_FEE_ERR"] = "退款金额无效",
    ["ACQ.TRADE_NOT_ALLOW_REFUND"] = "当前交易不允许退款",
    ["ACQ.TRADE_CANCEL_TIME_OUT"] = "交易撤销超时",
}

--- What went wrong, as the checks and methods say it.
---@param code string
---@param sub_code string
---@param sub_msg string?
---@return table failure
function answers.fail(code, sub_code, sub_msg)
    return { code = code, sub_code = sub_code, sub_msg = sub_msg or reasons[sub_code] or sub_code }
end

--- A refusal of the business: 40004.
---@param word string "TRADE_NOT_EXIST"
---@return table failure
function answers.refuse(word)
    return answers.fail("40004", "ACQ." .. word)
end

---@param name string of the parameter
---@return table failure
function answers.invalid(name)
    return answers.fail("40004", "ACQ.INVALID_PARAMETER", "参数无效：" .. name)
end

--- The members of a node: of a failure, or of what a method answers.
---@param outcome table failure, or list of {name, value}
---@return table[] members
function answers.members(outcome)
    if outcome.sub_code then
        return {
            { "code", outcome.code }, { "msg", messages[outcome.code] },
            { "sub_code", outcome.sub_code }, { "sub_msg", outcome.sub_msg },
        }
    end
    local members = { { "code", "10000" }, { "msg", messages["10000"] } }
    return table.move(outcome, 1, #outcome, 3, members)
end

---@param method string? nil: not a method that exists
---@return string
function answers.root(method)
    return method and method:gsub("%.", "_") .. "_response" or "error_response"
end

--- HTML by name, as at Alipay, with what the caller wrote in it: a browser that is led here must run none of
--- it, or any page could pull our levers.
---@param body string
---@param status integer?
---@return table response
function answers.response(body, status)
    return {
        status = status or 200, body = body,
        headers = {
            ["content-type"] = "text/html;charset=utf-8",
            ["content-security-policy"] = "default-src 'none'; sandbox",
            ["trace_id"] = crypto.hex.encode(crypto.random(16)),
            ["cache-control"] = "no-store",
        },
    }
end

--- The whole answer, signed when the application is known.
---@param call table {method?, app?}
---@param outcome table
---@return table response
function answers.of(call, outcome)
    local node = wire.json_object(answers.members(outcome), true)
    local sign = call.app and call.app.alipay_key:sign("sha256", node)
    return answers.response(wire.answer(answers.root(call.method and call.method.name), node, sign))
end

return answers
