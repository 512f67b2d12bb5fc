--- Our books against the money that the simulated channel really moved. Pure: what the API says of each
--- payment and the sandbox's bill in, what does not fit out.
local accounts = {}

local function by_number(bill)
    local map = {}
    for _, trade in ipairs(bill.trades) do
        map[trade.out_trade_no] = trade
    end
    return map
end

--- Sums over the payment's orders at the channel, and every refund there by its number.
local function money_of(attempts, trades)
    local money = { paid = 0, back = 0, refunds = {} }
    for _, attempt in ipairs(attempts) do
        local trade = trades[attempt.order_no]
        money.paid = money.paid + (trade and trade.paid or 0)
        for _, back in ipairs(trade and trade.refunded or {}) do
            money.back = money.back + back.amount
            if back.out_request_no then
                money.refunds[back.out_request_no] = (money.refunds[back.out_request_no] or 0) + back.amount
            end
        end
    end
    return money
end

local function check_refunds(say, fact, money)
    local sum = 0
    for _, refund in ipairs(fact.refunds) do
        local moved = money.refunds[refund.refund_no] or 0
        if refund.state == "succeeded" then
            sum = sum + refund.amount
        end
        if refund.state == "succeeded" and moved ~= refund.amount then
            say(("%s says succeeded %d, the channel moved %d"):format(refund.id, refund.amount, moved))
        elseif (refund.state == "failed" or refund.state == "cancelled") and moved ~= 0 then
            say(("%s says %s, the channel moved %d"):format(refund.id, refund.state, moved))
        end
    end
    if sum ~= fact.payment.refunded_amount then
        say(("refunded_amount %d, its refunds %d"):format(fact.payment.refunded_amount, sum))
    end
end

local function check_payment(say, fact, money)
    local payment = fact.payment
    if payment.state == "paid" then
        if payment.captured_amount ~= money.paid then
            say(("captured %d, the channel took %d"):format(payment.captured_amount, money.paid))
        elseif payment.refunded_amount ~= money.back then
            say(("refunded %d, the channel gave back %d"):format(payment.refunded_amount, money.back))
        end
    elseif payment.state == "closed" or payment.state == "failed" then
        if money.paid ~= money.back then
            say(("%s, but the channel holds %d"):format(payment.state, money.paid - money.back))
        end
    else
        say("ended in " .. payment.state)
    end
    if payment.captured_amount - payment.refundable_amount > payment.captured_amount
        or payment.refunded_amount > payment.captured_amount then
        say("more was refunded than captured")
    end
end

local ENDED = { succeeded = true, declined = true, cancelled = true, expired = true }

---@param facts table[] {payment, attempts, refunds} as the API says
---@param bill table {trades: [{out_trade_no, paid, refunded: [{out_request_no, amount}]}]}
---@return string[] wrong
---@return table<string, integer> counts of states, to see that a history was worth living
function accounts.compare(facts, bill)
    local wrong, counts, trades = {}, {}, by_number(bill)
    local function count(word)
        counts[word] = (counts[word] or 0) + 1
    end
    for _, fact in ipairs(facts) do
        local function say(text)
            wrong[#wrong + 1] = fact.payment.id .. " " .. text
        end
        local money = money_of(fact.attempts, trades)
        check_payment(say, fact, money)
        check_refunds(say, fact, money)
        count("payment " .. fact.payment.state)
        for _, attempt in ipairs(fact.attempts) do
            count("attempt " .. attempt.state)
            if not ENDED[attempt.state] then
                say("its attempt is still " .. attempt.state)
            end
        end
        for _, refund in ipairs(fact.refunds) do
            count("refund " .. refund.state)
        end
    end
    return wrong, counts
end

return accounts
