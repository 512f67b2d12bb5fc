--- /v1/events: what happened, in the order of commits with `after`, else newest first.
local events = require "tael.kernel.events"
local ids = require "tael.kernel.ids"
local lists = require "tael.api.lists"
local problem = require "tael.api.problem"
local schema = require "tael.api.schema"

local M = {}

M.list_query = schema.list {
    type = { type = "string", max = 64, match = "^[a-z_]+%.[a-z_]+$", form = "a type such as payment.paid" },
    payment = { type = "string", max = 64 }, after = { type = "string", max = 64 },
}

---@param call tael.api.Call
function M.get(call)
    local view, err = events.get(call.params.id)
    if not view then
        return nil, err
    end
    return 200, view
end

--- The number behind an id in the query; nil when none is given.
local function number_of(call, name, prefix)
    local text = call.query[name]
    if not text then
        return nil
    end
    local number = ids.decode(prefix, text)
    if not number then
        local detail = name .. " is not an id of this engine"
        return nil, problem.new("invalid_parameter", detail .. ".", { errors = {
            { parameter = name, code = "invalid_parameter", detail = detail } } })
    end
    return number
end

---@param call tael.api.Call
function M.list(call)
    local position, refused = lists.position(call)
    if refused then
        return nil, refused
    end
    local payment, after
    payment, refused = number_of(call, "payment", "pay")
    if not refused then
        after, refused = number_of(call, "after", "evt")
    end
    if refused then
        return nil, refused
    end
    local list, rest = events.list {
        limit = call.query.limit or schema.LIMIT_DEFAULT, type = call.query.type, payment = payment,
        after = after and (position or after), before = not after and position or nil,
    }
    if not list then
        return nil, rest
    end
    return 200, lists.page(call, list, rest)
end

return M
