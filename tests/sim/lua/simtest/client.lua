--- The shoppers of a simulated history: an application without store or listeners that talks to the engine
--- and the sandbox over the in-memory network, as merchants' programs and buyers' browsers would.
--- POST /shop {api, sandbox, key, shoppers, orders} -> every acknowledgement that a shopper was given.
local http = require "tael.http"
local json = require "tael.json"
local task = require "tael.task"
local time = require "tael.time"

local app = {}

function app.plan()
    return { workers = 1, log = { level = "info" } }
end

--- Sends until something answers: an engine that has just crashed is restarted by the test.
local function request(call)
    for _ = 1, 400 do
        local answer = http.request(call)
        if answer and answer.status < 500 then
            return answer
        end
        time.sleep(50)
    end
    error("no answer from " .. call.url)
end

local function api(shop, method, path, body)
    local headers = { authorization = "Bearer " .. shop.key }
    headers["content-type"] = body and "application/json" or nil
    local answer = request {
        method = method, url = shop.api .. path, body = body and json.encode(body), headers = headers,
    }
    return assert(json.decode(answer.raw)), answer.status
end

local function await_paid(shop, id)
    for _ = 1, 4000 do
        local payment = api(shop, "GET", "/v1/payments/" .. id)
        if payment.state == "paid" then
            return payment
        end
        time.sleep(100)
    end
    error(id .. " was never paid")
end

--- One order from creation to paid; what the engine acknowledged is written down before anything else.
local function buy(shop, order, seen)
    local payment, status = api(shop, "POST", "/v1/payments", {
        merchant_order_id = order, amount = 100 + #seen, currency = "CNY", subject = "coffee",
        channel = "alipay", product = "page",
    })
    assert(status == 201, "create answered " .. status .. " " .. json.encode(payment))
    seen[#seen + 1] = { order = order, id = payment.id, state = payment.state, amount = payment.amount }
    request { method = "GET", url = payment.next_action.url }
    local attempts = api(shop, "GET", "/v1/payments/" .. payment.id .. "/attempts")
    local number = attempts.data[1].order_no
    request { method = "POST", url = shop.sandbox .. "/sandbox/trades/" .. number .. "/pay", body = "" }
    local paid = await_paid(shop, payment.id)
    seen[#seen + 1] = { order = order, id = paid.id, state = paid.state, amount = paid.amount }
end

function app.handle(call)
    local shop = assert(json.decode(call.body))
    local seen, finished = {}, 0
    for shopper = 1, shop.shoppers do
        task.spawn(function()
            for n = 1, shop.orders do
                buy(shop, ("S%d-%d"):format(shopper, n), seen)
            end
            finished = finished + 1
        end)
    end
    while finished < shop.shoppers do
        time.sleep(100)
    end
    return { status = 200, headers = { ["content-type"] = "application/json" }, body = json.encode(seen) }
end

return app
