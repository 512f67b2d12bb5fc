--- /v1/refunds, and the refunds of one payment.
local crypto = require "tael.crypto"
local due = require "tael.kernel.due"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local lists = require "tael.api.lists"
local money = require "tael.kernel.money"
local payments = require "tael.kernel.payments"
local problem = require "tael.api.problem"
local refunds = require "tael.kernel.refunds"
local schema = require "tael.api.schema"

local M = {}

local STATES = { "created", "pending", "unknown", "succeeded", "failed", "abnormal", "cancelled" }
local REFUND_ID = { type = "string", match = "^[%w_.%-]+$", min = 1, max = 64,
    form = "1 to 64 letters, digits, '_', '.' or '-'" }

M.create_schema = {
    fields = {
        amount = { type = "integer", min = money.MIN, max = money.MAX,
            doc = "minor units; without it all that is refundable" },
        merchant_refund_id = REFUND_ID,
        reason = { type = "string", min = 1, max = 80, doc = "shown to the payer by some channels" },
    },
    optional = true,
}

M.list_of_payment_query = schema.list {
    state = { type = "enum", values = STATES },
    created_after = schema.time, created_before = schema.time,
}

M.list_query = schema.list {
    payment = schema.id, merchant_refund_id = REFUND_ID, state = { type = "enum", values = STATES },
    created_after = schema.time, created_before = schema.time,
}

--- The same body for another payment is another request.
---@param payment string "pay_…"
---@param body table
---@return string 16 bytes
function M.digest(payment, body)
    local text = "refunds.create\n" .. payment .. "\n" .. json.encode(body, { sort = true })
    return crypto.digest("sha256", text):sub(1, 16)
end

---@param call tael.api.Call
function M.create(call)
    if not call.body.merchant_refund_id and not call.idempotency_key then
        return nil, problem.new("idempotency_key_required",
            "Send merchant_refund_id, or the header Idempotency-Key: so that no refund happens twice.")
    end
    local result, err = refunds.create {
        payment = call.params.id, actor = call.caller.actor, input = call.body,
        digest = M.digest(call.params.id, call.body), idempotency_key = call.idempotency_key,
    }
    if not result then
        return nil, err
    end
    return 201, result.refund, {
        location = "/v1/refunds/" .. result.refund.id,
        ["idempotency-replayed"] = result.replayed and "true" or nil,
    }
end

---@param call tael.api.Call
function M.get(call)
    local view, err = refunds.get(call.params.id)
    if not view then
        return nil, err
    end
    return 200, view
end

---@param call tael.api.Call
function M.retry(call)
    local result, err = refunds.retry(call.params.id, call.caller.actor)
    if not result then
        return nil, err
    end
    return 200, result.refund
end

local function page(call, payment)
    local position, refused = lists.position(call)
    if refused then
        return nil, refused
    end
    local query = call.query
    local list, rest = refunds.list {
        limit = query.limit or schema.LIMIT_DEFAULT, payment = payment, state = query.state,
        merchant_refund_id = query.merchant_refund_id,
        before = position or query.created_before and due.before(query.created_before),
        since = query.created_after and due.before(query.created_after),
    }
    if not list then
        return nil, rest
    end
    return 200, lists.page(call, list, rest)
end

---@param call tael.api.Call
function M.list(call)
    local payment, refused = lists.number(call, "payment", "pay")
    if refused then
        return nil, refused
    end
    return page(call, payment)
end

---@param call tael.api.Call
function M.list_of_payment(call)
    local view, err = payments.get(call.params.id)
    if not view then
        return nil, err
    end
    return page(call, ids.decode("pay", view.id))
end

return M
