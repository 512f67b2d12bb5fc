--- What a notification says about refunds is a hint: it settles nothing, and lets the channel be asked about
--- the refund at once. A refund that is not ours was made at the channel itself: a person has to know.
local evidence = require "tael.kernel.evidence"
local ids = require "tael.kernel.ids"
local refund_drive = require "tael.kernel.refund_drive"
local settle = require "tael.kernel.settle"
local store = require "tael.store"

local refund_hints = {}

local MANY = 1000

--- The part of a fact that a hint needs, when it was signed.
---@param run tael.kernel.Inbound
---@param fact tael.channel.Fact of kind "refund"
---@return table? hint
---@return table? refusal
function refund_hints.admit(run, fact)
    local hint = { kind = "refund", order_no = fact.order_no, trade_no = fact.trade_no,
        refund_no = fact.refund_no }
    local good, refusal = evidence.admit { proof = run.proof, message = run.message, account = run.account,
        fact = hint, identity = run.claims.identity, stated = (run.package.stated or {}).notification,
        amounts = run.package.amounts }
    return good and hint, refusal
end

--- The refunds that a hint may be about; none: it is not ours.
local function refunds_of(hint, payment, attempt)
    if not hint.refund_no then
        return store.query("refund.of_payment", { payment = payment.id, after = 0, n = MANY })
    end
    local number = ids.refund_of(hint.refund_no)
    if not number then
        return {}
    end
    local rows, err = store.query("refund.get", { refund = number })
    if not rows then
        return nil, err
    end
    local row = rows[1]
    return { row and row.payment == payment.id and row.attempt == attempt.id and row or nil }
end

--- Money that goes back without a refund of ours went back by our own cancel, or without us.
local function is_foreign(payment, attempt)
    return attempt.state ~= "cancelled" and payment.closing ~= "cancel"
end

--- What the hints do, in the notification's own unit: for each refund once, however many are about it.
---@param hints table[]
---@param payment table row
---@param attempt table row
---@return table[] statements
---@return table[] foreign hints about refunds that are not ours
function refund_hints.statements(hints, payment, attempt)
    local list, foreign, hurried = {}, {}, {}
    for _, hint in ipairs(hints) do
        local rows = refunds_of(hint, payment, attempt)
        if rows and #rows == 0 and is_foreign(payment, attempt) then
            foreign[#foreign + 1] = hint
        end
        for _, row in ipairs(rows or {}) do
            for _, statement in ipairs(hurried[row.id] and {} or refund_drive.hurry(row)) do
                list[#list + 1] = statement
            end
            hurried[row.id] = true
        end
    end
    return list, foreign
end

---@param run tael.kernel.Inbound
---@param foreign table[]
---@param payment table row
function refund_hints.alarm(run, foreign, payment)
    for _, hint in ipairs(foreign) do
        settle.alarm("foreign_refund", { payment = ids.encode("pay", payment.id), refund_no = hint.refund_no,
            notification = ids.encode("ntf", run.id), account = run.account.slug,
            detail = "money was given back that this engine did not ask for" })
    end
end

return refund_hints
