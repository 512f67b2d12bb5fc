--- An endpoint of the operator's own, POST /r/quote: which channel a shop should offer first, and what a
--- payment will cost it. Save the file and the next request runs it.
local RATES = { alipay = 60, card = 290 } -- basis points
local MOST = 100000000000000 -- minor units of a payment; a fee of far more would overflow

local tael = require "tael"
local routes = {}

routes["POST /"] = {
    auth = "none",
    handler = function(request)
        local order = request.json
        if math.type(order.amount) ~= "integer" or order.amount < 1 or order.amount > MOST then
            return tael.problem(400, "invalid_field", "amount is an integer of minor units, up to 10^14",
                { pointer = "/amount" })
        end
        local channel = order.currency == "CNY" and "alipay" or "card"
        return { json = { channel = channel, fee = (order.amount * RATES[channel] + 9999) // 10000 } }
    end,
}

return routes
