-- What the demo shop decides by itself. Save a change and the next payment is decided by it.
local rules = {}

---@param payment tael.PaymentInput
---@return "allow"|"review"|"deny" risk
---@return string? reason
function rules.risk(payment)
    if payment.amount >= 100000000 then -- a million yuan, in fen
        return "review", "a large amount: look at it first"
    end
    return "allow"
end

return rules
