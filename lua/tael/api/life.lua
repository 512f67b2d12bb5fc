--- What moves a payment after it was created: close, cancel, ask the channel, another attempt, metadata, a
--- person's decision; and its story.
local schema = require "tael.api.schema"

local M = {}

--- 200 when it is settled, 202 while only the channel knows: it goes on by itself.
local function settled(result, err)
    if not result then
        return nil, err
    end
    return result.closing and 202 or 200, result.payment
end

---@param call tael.api.Call
function M.close(call)
    return settled(require("tael.kernel.payments").close(call.params.id, call.caller.actor))
end

---@param call tael.api.Call
function M.cancel(call)
    return settled(require("tael.kernel.payments").cancel(call.params.id, call.caller.actor))
end

--- Asks the channel now.
---@param call tael.api.Call
function M.sync(call)
    local result, err = require("tael.kernel.payments").sync(call.params.id, call.caller.actor)
    if not result then
        return nil, err
    end
    return 200, result.payment
end

M.attempt_schema = { fields = {
    channel = { type = "string", match = "^[a-z][a-z0-9]+$", max = 16, form = "a channel's name" },
    product = { type = "enum", values = schema.PRODUCTS }, account = schema.slug,
} }

--- Another way to pay the same payment.
---@param call tael.api.Call
function M.attempt(call)
    local result, err = require("tael.kernel.attempts").start(call.params.id, call.body, call.caller.actor)
    if not result then
        return nil, err
    end
    if not result.started then
        return 200, result.payment
    end
    return 201, result.payment, { location = "/v1/payments/" .. result.payment.id .. "/attempts" }
end

M.metadata_schema = { fields = { metadata = schema.metadata_patch } }

---@param call tael.api.Call
function M.metadata(call)
    local view, err = require("tael.kernel.metadata").merge(call.params.id, call.body.metadata,
        call.caller.actor)
    if not view then
        return nil, err
    end
    return 200, view
end

M.review_schema = {
    fields = {
        decision = { type = "enum", required = true, values = { "paid", "closed", "failed", "pending" } },
        note = { type = "string", required = true, min = 1, max = 500, control = true },
    },
}

---@param call tael.api.Call
function M.review(call)
    local view, err = require("tael.kernel.review").decide(call.params.id, {
        decision = call.body.decision, note = call.body.note, actor = call.caller.actor,
    })
    if not view then
        return nil, err
    end
    return 200, view
end

---@param call tael.api.Call
function M.timeline(call)
    local view, err = require("tael.kernel.timeline").of(call.params.id)
    if not view then
        return nil, err
    end
    return 200, view
end

return M
