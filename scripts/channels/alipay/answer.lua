--- An answer of gateway.do, verified: {"<method>_response":{…},"sign":"…"} (protocol reference §3).
---
--- What is signed is the raw text of the node, byte for byte; it is found by a scanner that knows strings,
--- never by searching for "sign". A body with a second node, or with both roots, is refused: somebody could
--- have added one that nobody signed.
local json = require "tael.json"

local answer = {}

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

--- What an answer without a signature says: for the log only, it proves nothing.
local function unsigned(node)
    if type(node) ~= "table" then
        return "unsigned"
    end
    local words = {}
    for _, name in ipairs { "code", "sub_code" } do
        local word = node[name]
        if type(word) == "string" and word:find("^[%w%.%-_]+$") and #word <= 64 then
            words[#words + 1] = word
        end
    end
    return "unsigned: " .. table.concat(words, " ")
end

local function attest(account, message, root, sign, options)
    local material, err = message:span(root, options)
    if not material then
        return nil, err and err.code or "root"
    end
    return account.alipay_key:attest("sha256", material, sign)
end

--- Evidence of the node of `method`'s answer.
---@param account tael.channel.Account
---@param message userdata
---@param method string "alipay.trade.query"
---@return userdata? evidence its json is the node
---@return string? reason
function answer.verify(account, message, method)
    local body = json.decode(message.raw)
    if type(body) ~= "table" or json.is_array(body) then
        return nil, "not a JSON object"
    end
    local root, why = root_of(body, method)
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
        return nil, reason
    end
    return evidence
end

return answer
