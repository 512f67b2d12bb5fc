--- Lists: where a page begins, and how it is answered.
local cursor = require "tael.api.cursor"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local problem = require "tael.api.problem"
local schema = require "tael.api.schema"
local secrets = require "tael.kernel.secrets"
local time = require "tael.time"

local lists = {}

--- The path as it was asked for: what its parameters name is what is listed. One path may be listed in
--- several orders, and a cursor is of one of them.
local function about(call, order)
    local path = call.route.path:gsub("{([%w_]+)}", call.params)
    local text = cursor.about(path, call.caller.merchant, call.query)
    return order and text .. "\n" .. order or text
end

--- Where the page begins when a cursor is given.
---@param call tael.api.Call
---@param order string? nil: newest first
---@return integer? position nil: at the beginning
---@return tael.api.Problem?
function lists.position(call, order)
    local text = call.query.cursor
    if not text then
        return nil
    end
    local position = cursor.read(secrets.get("ids"), about(call, order), text, time.now())
    if not position then
        return nil, problem.new("invalid_cursor")
    end
    return position
end

--- The number behind an id in the query; nil when none is given.
---@param call tael.api.Call
---@param name string of the parameter
---@param prefix string
---@return integer?
---@return tael.api.Problem?
function lists.number(call, name, prefix)
    local text = call.query[name]
    local number = text and ids.decode(prefix, text)
    if text and not number then
        local detail = name .. " is not an id of this engine"
        return nil, problem.new("invalid_parameter", detail .. ".", { errors = {
            { parameter = name, code = "invalid_parameter", detail = detail } } })
    end
    return number
end

--- A page as the answer's body.
---@param call tael.api.Call
---@param views table[]
---@param position integer? where the next page begins; nil: this is the last one
---@param order string? nil: newest first
---@return table
function lists.page(call, views, position, order)
    local next_cursor = position
        and cursor.make(secrets.get("ids"), about(call, order), position, time.now())
    return { data = json.array(views), next_cursor = next_cursor or json.null }
end

--- Answers with a page of rows, newest first: one more is read than is shown, to tell whether more follow.
---@param call tael.api.Call
---@param read fun(before: integer?, count: integer): table[]?, table? rows with id; or err
---@param view fun(row: table): table
---@return integer? status
---@return table body or problem
function lists.answer(call, read, view)
    local position, refused = lists.position(call)
    if refused then
        return nil, refused
    end
    local limit = call.query.limit or schema.LIMIT_DEFAULT
    local rows, err = read(position, limit + 1)
    if not rows then
        return nil, err
    end
    local views = {}
    for i = 1, math.min(#rows, limit) do
        views[i] = view(rows[i])
    end
    return 200, lists.page(call, views, rows[limit + 1] and rows[limit].id)
end

return lists
