--- /v1/notifications: what channels sent, and what the checks said.
local due = require "tael.kernel.due"
local inspect = require "tael.kernel.inspect"
local lists = require "tael.api.lists"
local schema = require "tael.api.schema"

local M = {}

M.list_query = schema.list {
    payment = schema.id, channel = { type = "string", max = 16 },
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
    local payment
    payment, refused = lists.number(call, "payment", "pay")
    if refused then
        return nil, refused
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

--- Runs the stored bytes through today's checks once more.
---@param call tael.api.Call
function M.replay(call)
    local view, err = require("tael.kernel.notifications").replay(call.params.id, call.caller.actor)
    if not view then
        return nil, err
    end
    return 200, view
end

return M
