-- rule.lua - the operator's script of the route work: which way a payment goes, what that costs, whether a
-- person looks at it. Plain Lua of 5.1 and later, so that every host that is compared runs the same text;
-- rule.mjs is its twin.
local BASIS_POINTS = { intercard = 290, unionpay = 45, ["alipay.wap"] = 60, ["alipay.page"] = 55,
    ["wechat.native"] = 60 }

local function totals(items)
    local amount, pieces = 0, 0
    for i = 1, #items do
        local item = items[i]
        amount = amount + item.price * item.quantity
        pieces = pieces + item.quantity
    end
    return amount, pieces
end

local function choose(order, payer, amount)
    if order.currency ~= "CNY" then
        return "intercard"
    elseif payer.device == "mobile" then
        return amount >= 100000 and "unionpay" or "alipay.wap"
    end
    return order.hour < 7 and "wechat.native" or "alipay.page"
end

return function(request)
    local order, payer, limits = request.order, request.payer, request.limits
    local amount, pieces = totals(request.items)
    local way = choose(order, payer, amount)
    local share = BASIS_POINTS[way] * (payer.member and 9 or 10)
    local fee = math.floor(amount * share / 100000)
    local doubtful = payer.risk > 80 or limits.used + amount > limits.daily
    local decision = doubtful and "review" or "accept"
    local summary = string.format("%s:%s:%.0f:%.0f:%s", request.merchant, way, amount, fee, decision)
    return { summary = summary, way = way, fee = fee, pieces = pieces }
end
