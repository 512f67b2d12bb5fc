--- Requests to gateway.do (protocol reference §2): what is signed, and the ways onto the wire.
local form = require "tael.form"
local json = require "tael.json"

local request = {}

--- Adds sign to the parameters: over all of them, sign_type too, by name, values as they are after decoding.
--- Values that are empty are left out altogether: Alipay's own libraries disagree on whether they are signed.
---@param account tael.channel.Account
---@param params table<string, string>
---@return table<string, string> signed
function request.signed(account, params)
    local signed = { -- room for what is usual
        app_id = nil, method = nil, format = nil, charset = nil, sign_type = nil, timestamp = nil,
        version = nil, biz_content = nil, notify_url = nil, return_url = nil, sign = nil,
    }
    for name, value in pairs(params) do
        signed[name] = value ~= "" and value or nil
    end
    signed.sign = account.key:sign("sha256", request.text(signed))
    return signed
end

---@param params table<string, string>
---@return string
function request.text(params)
    return form.canonical(params, { except = { "sign" } })
end

--- The signed parameters of one method.
---@param account tael.channel.Account
---@param ctx tael.channel.Context
---@param method string "alipay.trade.query"
---@param content table biz_content
---@param more table<string, string>? other system parameters: notify_url, return_url
---@return table<string, string> signed
function request.of(account, ctx, method, content, more)
    local params = {
        app_id = account.app_id,
        method = method,
        format = "JSON",
        charset = account.charset,
        sign_type = account.sign_type,
        timestamp = ctx.time.cst,
        version = "1.0",
        biz_content = json.encode(content),
        notify_url = nil, return_url = nil,
    }
    for name, value in pairs(more or {}) do
        params[name] = value
    end
    return request.signed(account, params)
end

--- Everything in the address: what a browser opens.
---@param account tael.channel.Account
---@param signed table<string, string>
---@return string url
function request.url(account, signed)
    return account.gateway .. "?" .. form.encode(signed)
end

--- All but biz_content in the address, since the gateway wants the charset before it decodes a body.
---@param account tael.channel.Account
---@param signed table<string, string>
---@return string url
---@return table<string, string> body
function request.parts(account, signed)
    local query = {}
    for name, value in pairs(signed) do
        query[name] = name ~= "biz_content" and value or nil
    end
    return account.gateway .. "?" .. form.encode(query), { biz_content = signed.biz_content }
end

--- A call that this machine makes.
---@param account tael.channel.Account
---@param ctx tael.channel.Context
---@param method string
---@param content table
---@param more table<string, string>?
---@return tael.channel.Request
function request.execute(account, ctx, method, content, more)
    local url, body = request.parts(account, request.of(account, ctx, method, content, more))
    return { method = "POST", url = url, form = body }
end

return request
