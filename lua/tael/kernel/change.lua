--- A change of one payment that somebody asks for: it is read and decided about, and once more when another
--- unit has moved it in between.
local ids = require "tael.kernel.ids"
local payments = require "tael.kernel.payments"

local change = {}

local ROUNDS = 3

---@generic Result
---@param id_text string "pay_…"
---@param work fun(payment: table): Result?, table? nil, err: a problem, or the store's; its guard: again
---@return Result?
---@return table? problem
function change.payment(id_text, work)
    local id = ids.decode("pay", id_text) or 0
    for _ = 1, ROUNDS do
        local payment, err = payments.row_of(id)
        if not payment then
            return nil, err
        end
        local result
        result, err = work(payment)
        if result then
            return result
        elseif err.code ~= "guard" then
            return payments.told(err)
        end
    end
    return nil, { code = "overloaded", detail = "the payment changes too quickly; send it again" }
end

return change
