--- /v1/notifications: what channels sent, and what the checks said.
local due = require "tael.kernel.due"
local ids = require "tael.kernel.ids"
local inspect = require "tael.kernel.inspect"
local lists = require "tael.api.lists"
local problem = require "tael.api.problem"
local schema = require "tael.api.schema"

local M = {}

M.list_query = schema.list {
    payment = { type = "string", max = 64 }, channel = { type = "string", max = 16 },
    verdict = { type = "enum", values = { "pass", "refused", "error" } },
    effect = { type = "enum", values = { "applied", "none", "review", "late", "surplus", "unknown_order" } },
    created_after = schema.time, created_before = schema.time,
}

---@param call tael.api.Call
function M.get(call)
    local view, err = inspect.explain(call.params.id)
    if not view then
        return nil, err
    end
    return 200, view
end

---@param call tael.api.Call
function M.list(call)
    local position, refused = lists.position(call)
    if refused then
        return nil, refused
    end
    local query = call.query
    local payment = query.payment and ids.decode("pay", query.payment)
    if query.payment and not payment then
        return nil, problem.new("invalid_parameter", "payment is not the id of a payment.", { errors = {
            { parameter = "payment", code = "invalid_parameter", detail = "not the id of a payment" } } })
    end
    local list, rest = inspect.list {
        limit = query.limit or schema.LIMIT_DEFAULT, payment = payment, channel = query.channel,
        before = position or query.created_before and due.before(query.created_before),
        since = query.created_after and due.before(query.created_after),
        verdict = query.verdict, effect = query.effect,
    }
    if not list then
        return nil, rest
    end
    return 200, lists.page(call, list, rest)
end

return M
