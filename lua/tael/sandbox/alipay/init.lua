--- The simulated Alipay of one sandbox: its applications, its gateway, its payers and its levers.
---
--- State in memory is only what can be read again: applications from the configuration, trades and
--- deliveries from the store. A fault that a test asked for is forgotten by a restart.
local crypto = require "tael.crypto"
local log = require "tael.log"

local cashier = require "tael.sandbox.alipay.cashier"
local gateway = require "tael.sandbox.alipay.gateway"
local levers = require "tael.sandbox.alipay.levers"
local notify = require "tael.sandbox.alipay.notify"

local alipay = {}

local function verify_key(app)
    if app.public_key then
        return crypto.key_from_pem(app.public_key, { use = "verify" })
    end
    return crypto.key(app.merchant_key, { use = "verify" })
end

local function open_app(app)
    local alipay_key, err = crypto.key(app.alipay_key, { use = "sign" })
    if not alipay_key then
        return nil, "Alipay's private key '" .. app.alipay_key .. "': " .. tostring(err.message or err.code)
    end
    local merchant_key, wrong = verify_key(app)
    if not merchant_key then
        return nil, "the merchant's public key: " .. tostring(wrong.message or wrong.code)
    end
    return {
        app_id = app.app_id, seller_id = app.seller_id,
        alipay_key = alipay_key, merchant_key = merchant_key,
    }
end

--- Readies the applications and takes up what was not yet delivered.
---@param options table {apps, speed}
---@return table? state
---@return table? err
function alipay.open(options)
    local state = { apps = {}, speed = options.speed }
    for _, app in ipairs(options.apps) do
        local opened, reason = open_app(app)
        if not opened then
            return nil, { code = "configuration_invalid",
                message = "sandbox: application " .. app.app_id .. ": " .. reason }
        end
        state.apps[app.app_id] = opened
    end
    if #options.apps == 0 then
        log.warn("sandbox.no_applications", {})
    end
    notify.resume(state.apps, state.speed)
    return state
end

local rooms = {
    { "^/gateway%.do$", gateway.handle },
    { "^/cashier/(.+)$", cashier.handle },
    { "^/sandbox/(.+)$", levers.handle },
}

--- Nil when the path belongs to nobody.
---@param state table
---@param request table
---@return table? response
function alipay.handle(state, request)
    for _, room in ipairs(rooms) do
        local rest = request.path:match(room[1])
        if rest then
            return room[2](state, request, rest)
        end
    end
end

return alipay
