--- What the payer does to a trade, whether by the button of the cashier, by a lever, or by a test's fault.
local behaviour = require "tael.sandbox.alipay.behaviour"
local deliveries = require "tael.sandbox.alipay.deliveries"
local trades = require "tael.sandbox.alipay.trades"

local payer = {}

--- Pays a trade, and starts its notification when this call is the one that paid. A test may want that the
--- payer has too little, or that the notification comes before he sees that he has paid.
---@param state table {apps, speed, notify}
---@param trade table
---@return table trade as it is now
---@return "balance_too_low"|nil why it was not paid
function payer.pay(state, trade)
    local fault = trade.status == "WAIT_BUYER_PAY" and behaviour.of_payer(state, trade)
    if fault and fault.name == "payer_balance_too_low" then
        return trade, "balance_too_low"
    end
    local notify_id
    local now, paid = trades.pay(trade, function(as_paid)
        local statements = deliveries.of_payment(state, as_paid)
        notify_id = statements[1] and statements[1][2].notify_id
        return statements
    end)
    if paid and notify_id then
        deliveries.wake()
    end
    if paid and notify_id and fault and fault.name == "notice_first" then
        deliveries.await(notify_id)
    end
    return now
end

return payer
