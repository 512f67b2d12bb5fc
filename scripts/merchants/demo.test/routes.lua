-- The demo shop's own endpoints, below /m/demo.test/: a page of a shop calls them without a key. Save a
-- change and the next request runs it.
local tael = require "tael"
local routes = {}

local PRICES = { espresso = 1800, cappuccino = 2600, beans = 8800 } -- fen

---@type tael.RouteHandler
local function order(request)
    local cart = request.json
    local price = type(cart) == "table" and PRICES[cart.item]
    if not price or type(cart.id) ~= "string" then
        return tael.problem(400, "invalid_field", "id is a text and item one of: beans, cappuccino, espresso")
    end
    local payment, err = tael.charge {
        merchant_order_id = cart.id, amount = price, currency = "CNY", subject = cart.item,
        channel = "alipay", device = cart.mobile and "mobile" or "desktop",
        payer = { client_ip = request.ip },
    }
    if not payment then
        return tael.problem(err.code == "invalid_field" and 400 or 402, err.code, err.message)
    end
    return { status = 201, json = { id = payment.id, price = tael.money.format(price, "CNY"),
        pay = payment.next_action } }
end

--- What became of an order; whoever knows its number may ask.
---@type tael.RouteHandler
local function show(request)
    local payment, err = tael.find(request.params.id)
    if not payment then
        return tael.problem(err.code == "not_found" and 404 or 503, err.code, err.message)
    end
    return { json = { state = payment.state, paid = payment.state == "paid" } }
end

routes["POST /orders"] = { auth = "none", max_body = 4096, handler = order }
routes["GET /orders/:id"] = { auth = "none", handler = show }

return routes
