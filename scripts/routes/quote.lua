--- An endpoint of the operator's own, POST /r/quote: which channel a shop should offer first, and what a
--- payment will cost it. Save the file and the next request runs it.
local RATES = { alipay = 60, card = 290 } -- basis points

local tael = require "tael"
local routes = {}

routes["POST /"] = {
    auth = "none",
    handler = function(request)
        local order = request.json
        if math.type(order.amount) ~= "integer" or order.amount < 1 then
            return tael.problem(400, "invalid_field", "amount must be an integer of minor units",
                { pointer = "/amount" })
        end
        local channel = order.currency == "CNY" and "alipay" or "card"
        return { json = { channel = channel, fee = (order.amount * RATES[channel] + 9999) // 10000 } }
    end,
}

return routes
