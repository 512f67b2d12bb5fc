--- The sandbox: simulators of the channels' gateways, an application of the engine beside the payments one.
--- One worker, one listener, one store of its own. It shares with the rest of Tael what C gives, and no rule
--- of any protocol.
local crypto = require "tael.crypto"

local alipay = require "tael.sandbox.alipay"
local options_of = require "tael.sandbox.options"

local app = {}

---@param given table options from C
---@return table? plan
---@return table? err
function app.plan(given)
    local options, err = options_of.read(given)
    if not options then
        return nil, err
    end
    local sql = given.lua_root .. "/tael/sandbox/alipay/sql/"
    return {
        workers = 1,
        drain_ms = 5000,
        clock = "adjustable",
        log = { level = options.level or "info" },
        listeners = { { name = "sandbox", address = options.listen } },
        client = { allow_private = true }, -- shops under test are on this machine or its network
        folders = { options.data },
        store = {
            path = options.data .. "/sandbox.db", migrate = true,
            sql = { sql .. "trades.sql", sql .. "orders.sql", sql .. "refunds.sql", sql .. "deliveries.sql" },
            migrations = { sql .. "0001_sandbox.sql", sql .. "0002_life.sql" },
        },
        pass = {
            keys = options.keys, master = options.master, speed = options.speed, apps = options.apps,
            address = options.listen,
        },
    }
end

local function open_keys(pass)
    local master
    if pass.master then
        local err
        master, err = require("tael.config").secret(pass.master)
        if not master then
            return nil, err
        end
    end
    return crypto.keys(pass.keys, master)
end

---@param context table {pass}
function app.open(context)
    local pass = context.pass
    local ready, err = open_keys(pass)
    if not ready then
        return nil, err
    end
    local state, wrong = alipay.open { apps = pass.apps, speed = pass.speed, address = pass.address }
    if not state then
        return nil, wrong
    end
    app.alipay = state
    return true
end

local function about()
    return {
        status = 200, headers = { ["content-type"] = "text/plain; charset=utf-8" },
        body = "Tael sandbox: simulated gateways, no real money.\n"
            .. "What can be done here, magic amounts, faults: /sandbox\n",
    }
end

---@param request table
---@return table response
function app.handle(request)
    if request.path == "/" and (request.method == "GET" or request.method == "HEAD") then
        return about()
    elseif request.path == "/healthz" then
        return { status = 200, headers = { ["content-type"] = "text/plain" }, body = "ok" }
    elseif request.path == "/favicon.ico" then
        return { status = 204, body = "" }
    end
    return alipay.handle(app.alipay, request)
        or { status = 404, headers = { ["content-type"] = "text/plain" }, body = "not found" }
end

return app
