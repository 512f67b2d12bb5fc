--- The simulated Alipay in one process with the channel package: its statements on a real SQLite, requests
--- handed over without a network, a clock that stands still until a spec moves it.
local support = dofile "tests/spec/channel_support.lua"

local call = require "tael.channel.call"
local form = require "tael.form"
local http = require "tael.http"
local loader = require "tael.channel.loader"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"

local gateway = require "tael.sandbox.alipay.gateway"
local orders = require "tael.sandbox.alipay.orders"
local payer = require "tael.sandbox.alipay.payer"

local sandbox = { support = support, package = loader.load(support.scripts).alipay }

--- kernel_store reads the kernel's SQL; here it is told the sandbox's.
local function sandbox_store()
    local files, sql = package.loaded["tael.sql.files"], "../sandbox/alipay/sql/"
    package.loaded["tael.sql.files"] = {
        migrations = { "../" .. sql .. "0001_sandbox.sql", "../" .. sql .. "0002_life.sql" },
        statements = {
            sql .. "trades.sql", sql .. "orders.sql", sql .. "refunds.sql", sql .. "deliveries.sql",
        },
    }
    local loaded = dofile "tests/spec/kernel_store.lua"
    package.loaded["tael.sql.files"] = files
    return loaded
end

local stubbed = {
    { store, "query" }, { store, "commit" }, { task, "spawn" }, { task, "wait" }, { task, "wake" },
    { time, "now" }, { time, "sleep" }, { http, "request" },
}

local order_no, refund_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE", "01J8ZQ4F7MX2K9D0V3B6N8TREF"

local world = {}
world.__index = world

local function replace(self)
    store.query = function(name, params) return self.store:query(name, params) end
    store.commit = function(list) return self.store:commit(list) end
    task.spawn = function(fn)
        fn()
        return { alive = function() return false end }
    end
    task.wait, task.wake = function() end, function() end
    time.now = function() return self.now end
    time.sleep = function(ms) self.slept = self.slept + ms end
    http.request = function(request) return self:carry(request) end
end

--- Opens the world; end it with :close().
function sandbox.open()
    local self = setmetatable({ kept = {} }, world)
    self.store = sandbox_store().new(0, function() return self.now end)
    for i, place in ipairs(stubbed) do
        self.kept[i] = place[1][place[2]]
    end
    self.account = support.account(sandbox.package)
    self.app = {
        app_id = support.fields.app_id, seller_id = support.fields.seller_id,
        alipay_key = support.sign_key("alipay"), merchant_key = support.verify_key("merchant"),
    }
    replace(self)
    return self
end

--- Everything as at the beginning.
function world:begin()
    self.now, self.slept, self.sent, self.expires_at = support.now, 0, {}, nil
    for _, name in ipairs { "trades", "orders", "refunds", "balances", "effects", "deliveries" } do
        self.store:run("DELETE FROM " .. name .. ";")
    end
    self.state = { speed = 1, address = "127.0.0.1:8090", faults = {}, notices = {}, sending = {},
        apps = { [self.app.app_id] = self.app } }
    assert(store.commit { { "balance.open", { app_id = self.app.app_id } } })
end

function world:close()
    for i, place in ipairs(stubbed) do
        place[1][place[2]] = self.kept[i]
    end
    self.store:remove()
end

--- What becomes of a request on its way: the caller's patience is ten seconds.
function world:carry(request)
    if request.method == "POST" and not request.url:find("/gateway.do", 1, true) then
        self.sent[#self.sent + 1] = request.body
        return { status = 200, headers = {}, raw = "success", ms = 1 }
    end
    local before = self.slept
    local response = gateway.handle(self.state, {
        method = request.method, query = request.url:match("%?(.*)$"), body = form.encode(request.form),
        headers = { ["content-type"] = "application/x-www-form-urlencoded", host = "sandbox.test" },
    })
    local flaw = response.flaw or {}
    if self.slept - before >= 10000 then
        return nil, { code = "timeout", message = "", sent = true }
    elseif flaw.drop or flaw.cut then
        return nil, { code = "reset", message = "", sent = true }
    end
    return { status = response.status, headers = response.headers, raw = response.body, ms = 1 }
end

--- One call as the kernel makes it.
---@param op string
---@param changed table? {amount?, refund_no?, refund_amount?}
---@return table outcome
function world:ask(op, changed)
    changed = changed or {}
    local ctx = support.context { now = self.now, attempt = {
        product = "qr", amount = changed.amount or 2000, expires_at = self.now + 1800000,
    } }
    ctx.attempt.expires_at = self.expires_at or ctx.attempt.expires_at
    ctx.refund = { refund_no = changed.refund_no or refund_no, amount = changed.refund_amount or 500,
        currency = "CNY", reason = "cold" }
    local request = assert(call.build(sandbox.package, op, self.account, ctx))
    local answer, err = call.send(request)
    return call.interpret(sandbox.package, op, self.account, answer, ctx, err)
end

--- The code is scanned; gives the trade, or nil and why.
function world.scan()
    return orders.scan(assert(orders.by_number(order_no)))
end

--- A precreated order of that amount, scanned and paid.
function world:paid(amount)
    self.expires_at = self.now + 1800000
    assert(self:ask("create", { amount = amount }).class == "ok")
    return payer.pay(self.state, assert(self:scan()))
end

function world:trade()
    return self.store:query("trade.get", { app_id = support.fields.app_id, out_trade_no = order_no })[1]
end

function world:order()
    return self.store:query("order.get", { app_id = support.fields.app_id, out_trade_no = order_no })[1]
end

return sandbox
