--- An answer of gateway.do: verified, and what every method's answer has (protocol reference §3, §6).
---
--- What is signed is the raw text of the node, byte for byte; it is found by a scanner that knows strings,
--- never by searching for "sign". A body with a second node, or with both roots, is refused: somebody could
--- have added one that nobody signed.
local json = require "tael.json"
local values = require "channels.alipay.values"

local answer = {}

local text_of = values.text

-- what an answer is signed with, and what to do when it does not fit
local wrong_key = "the answer's signature does not fit alipay_key: compare it with Alipay's public key, "
    .. "not the application's own, in the console"

local function root_of(body, method)
    local name = method:gsub("%.", "_") .. "_response"
    local own, failed = body[name], body.error_response
    if own ~= nil and failed ~= nil then
        return nil, "two roots"
    elseif own ~= nil then
        return name
    elseif failed ~= nil then
        return "error_response"
    end
    return nil, "no root " .. name
end

local function is_word(value)
    return type(value) == "string" and value:find("^[%w%.%-_]+$") ~= nil and #value <= 64
end

--- What an answer without a signature says: for people only, it proves nothing. A wrong app_id is answered
--- so.
local function unsigned(node)
    local words, code = {}, nil
    for _, name in ipairs { "code", "sub_code" } do
        local word = type(node) == "table" and node[name]
        if is_word(word) then
            words[#words + 1], code = word, word
        end
    end
    return { reason = "unsigned: " .. table.concat(words, " "), code = code }
end

local function attest(account, message, root, sign, options)
    local material, err = message:span(root, options)
    if not material then
        return nil, err and err.code or "root"
    end
    return account.alipay_key:attest("sha256", material, sign)
end

local function read(raw)
    local body = json.decode(raw)
    if type(body) == "table" and not json.is_array(body) then
        return body
    end
    return nil, raw:find("^%s*<") and "a page, not an answer" or "not a JSON object"
end

--- Evidence of the node of `method`'s answer.
---@param account tael.channel.Account
---@param message userdata
---@param method string "alipay.trade.query"
---@return userdata? evidence its json is the node
---@return string|tael.channel.Unproved? why
function answer.verify(account, message, method)
    local body, why = read(message.raw)
    if not body then
        return nil, why
    end
    local root
    root, why = root_of(body, method)
    if not root then
        return nil, why
    end
    if type(body.sign) ~= "string" or body.sign == "" then
        return nil, unsigned(body[root])
    end
    local evidence, reason = attest(account, message, root, body.sign)
    if not evidence and message.raw:find("\\/", 1, true) then
        -- some gateways escape slashes after they have signed; it cannot change the JSON's meaning
        evidence = attest(account, message, root, body.sign, { unescape_slashes = true })
    end
    if not evidence then
        return nil, { reason = reason, alarm = wrong_key }
    end
    return evidence
end

-- families of codes that the reference lists by their beginning, as codes.lua names them
local families = {
    { "SYSTEM_ERROR", "ACQ.SYSTEM_ERROR" }, -- its prefix varies: ACQ., AQC., aop.ACQ.
    { "^ACQ%.MERCHANT_AGREEMENT_", "ACQ.MERCHANT_AGREEMENT_*" },
    { "^ACQ%.SECONDARY_MERCHANT_", "ACQ.SECONDARY_MERCHANT_*" },
    { "^ACQ%.SUB_MERCHANT_", "ACQ.SUB_MERCHANT_*" },
    { "^ACQ%.AGREEMENT_", "ACQ.AGREEMENT_*" },
    { "^ACQ%.CYCLE_PAY_", "ACQ.CYCLE_PAY_*" },
    { "^ACQ%.OVER_.*DEDUCT", "ACQ.OVER_*DEDUCT*" },
    { "^ACQ%.AUTH_ORDER_", "ACQ.AUTH_ORDER_*" },
}

--- The word that decides, as codes.lua lists it.
local function deciding_code(node)
    local sub_code = text_of(node.sub_code)
    for _, family in ipairs(sub_code and families or {}) do
        if sub_code:find(family[1]) then
            return family[2]
        end
    end
    return sub_code or text_of(node.code)
end

--- What the answer of any method says, and the node for more when the call was taken.
---@param evidence userdata
---@param message userdata the answer: its header names the call in Alipay's logs
---@return tael.channel.Result
---@return table? node nil: the call failed
function answer.read(evidence, message)
    local node = evidence.json
    if type(node) ~= "table" then
        error("the answer is not an object", 0)
    end
    local trace = message.headers.trace_id
    local result = {
        code = deciding_code(node),
        channel_code = text_of(node.sub_code) or text_of(node.code),
        message = text_of(node.sub_msg) or text_of(node.msg),
        trace_no = is_word(trace) and trace or nil,
    }
    if result.code ~= "10000" then
        return result
    end
    result.order_no, result.trade_no = text_of(node.out_trade_no), text_of(node.trade_no)
    return result, node
end

return answer
