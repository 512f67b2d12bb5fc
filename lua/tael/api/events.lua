--- /v1/events: what happened, in the order of commits with `after` or `wait`, else newest first. With `wait`
--- an answer that would be empty is held back until something happens or the seconds are over; each answer
--- then has a cursor to go on from, so that nothing is missed and nothing comes twice.
local events = require "tael.kernel.events"
local events_wake = require "tael.kernel.events_wake"
local ids = require "tael.kernel.ids"
local lists = require "tael.api.lists"
local schema = require "tael.api.schema"
local time = require "tael.time"

local M = {}

M.list_query = schema.list {
    type = { type = "string", max = 64, match = "^[a-z_]+%.[a-z_]+$", form = "a type such as payment.paid" },
    payment = schema.id, after = schema.id,
    wait = { type = "integer", min = 0, max = 30, doc = "seconds" },
}

---@param call tael.api.Call
function M.get(call)
    local view, err = events.get(call.params.id)
    if not view then
        return nil, err
    end
    return 200, view
end

--- The newest event there is: "from now on" begins behind it.
local function newest()
    local list, err = events.list { limit = 1 }
    if not list then
        return nil, err
    end
    return list[1] and ids.decode("evt", list[1].id) or 0
end

--- Events behind a position, waited for until the deadline.
---@return table[]? views
---@return integer|table position to go on from, or err
local function await(filters, deadline)
    local reader <close> = time.monotonic() < deadline and events_wake.reader() or nil
    while true do
        if reader then
            reader:mark()
        end
        local list, rest, last = events.list(filters)
        if not list then
            return nil, rest
        end
        filters.after = rest or last or filters.after
        local left = deadline - time.monotonic()
        if #list > 0 or not reader or left <= 0 or not rest and not reader:wait(left) then
            return list, filters.after
        end
    end
end

--- A list that goes on with what happens: from `after`, from the cursor, or from now.
local function follow(call, filters, from)
    local deadline = time.monotonic() + call.query.wait * 1000
    local order = not call.query.after and "commits" or nil
    local err
    if not from then
        from, err = newest()
        if not from then
            return nil, err
        end
    end
    filters.after = from
    local list, position = await(filters, deadline)
    if not list then
        return nil, position
    end
    return 200, lists.page(call, list, position, order)
end

---@param call tael.api.Call
function M.list(call)
    local query = call.query
    local position, refused = lists.position(call, query.wait and not query.after and "commits" or nil)
    local payment, after
    if not refused then
        payment, refused = lists.number(call, "payment", "pay")
    end
    if not refused then
        after, refused = lists.number(call, "after", "evt")
    end
    if refused then
        return nil, refused
    end
    local filters = { limit = query.limit or schema.LIMIT_DEFAULT, type = query.type, payment = payment }
    if query.wait then
        return follow(call, filters, position or after)
    end
    filters.after = after and (position or after)
    filters.before = not after and position or nil
    local list, rest = events.list(filters)
    if not list then
        return nil, rest
    end
    return 200, lists.page(call, list, rest)
end

return M
