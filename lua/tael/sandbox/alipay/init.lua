--- The simulated Alipay of one sandbox: its applications, its gateway, its payers and its levers.
---
--- State in memory is only what can be read again: applications from the configuration, trades and
--- deliveries from the store. A fault that a test asked for is forgotten by a restart.
local crypto = require "tael.crypto"
local log = require "tael.log"

local cashier = require "tael.sandbox.alipay.cashier"
local db = require "tael.sandbox.alipay.db"
local deliveries = require "tael.sandbox.alipay.deliveries"
local gateway = require "tael.sandbox.alipay.gateway"
local hosts = require "tael.sandbox.alipay.hosts"
local levers = require "tael.sandbox.alipay.levers"
local money = require "tael.sandbox.alipay.money"

local alipay = {}

local function fail(app, what, err)
    return nil, { code = "configuration_invalid", message = ("sandbox: application %s: %s: %s")
        :format(tostring(app.app_id), what, tostring(err.message or err.code)) }
end

local function open_app(app)
    local alipay_key, err = crypto.key(app.alipay_key, { use = "sign" })
    if not alipay_key then
        return fail(app, "Alipay's private key '" .. app.alipay_key .. "'", err)
    end
    local merchant_key, wrong = crypto.key(app.merchant_key, { use = "verify" })
    if not merchant_key then
        return fail(app, "the merchant's public key '" .. app.merchant_key .. "'", wrong)
    end
    return {
        app_id = app.app_id, seller_id = app.seller_id,
        alipay_key = alipay_key, merchant_key = merchant_key,
    }
end

--- Readies the applications and takes up what was not yet delivered. We are the Alipay of those whose
--- alipay_key we hold the private half of; an account of Alipay's own sandbox is passed over.
---@param options table {apps, speed, address}
---@return table? state
---@return table? err
function alipay.open(options)
    local state = { apps = {}, speed = options.speed, address = options.address, faults = {}, notices = {},
        hosts = hosts.own(options.address, options.apps) }
    local count = 0
    for _, app in ipairs(options.apps) do
        if app.alipay_key and crypto.exists(app.alipay_key, "key") then
            local opened, err = open_app(app)
            if not opened then
                return nil, err
            end
            state.apps[app.app_id] = opened
            db.commit { { "balance.open", { app_id = app.app_id } } }
            count = count + 1
        end
    end
    log.info("sandbox.alipay", { applications = count })
    deliveries.run(state, function()
        return money.settle_due(state)
    end)
    return state
end

local rooms = {
    { "^/gateway%.do$", gateway.handle },
    { "^/cashier/(.+)$", cashier.handle },
    { "^/qr/(.+)$", cashier.scan },
    { "^/sandbox/?(.*)$", levers.handle },
}

--- Nil when the path belongs to nobody.
---@param state table
---@param request table
---@return table? response
function alipay.handle(state, request)
    for _, room in ipairs(rooms) do
        local rest = request.path:match(room[1])
        if rest then
            money.settle_due(state) -- the clock may have been set ahead
            return room[2](state, request, rest)
        end
    end
end

return alipay
