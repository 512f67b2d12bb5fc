--- Lists: where a page begins, and how it is answered.
local cursor = require "tael.api.cursor"
local json = require "tael.json"
local problem = require "tael.api.problem"
local secrets = require "tael.kernel.secrets"
local time = require "tael.time"

local lists = {}

local function about(call)
    return cursor.about(call.route.path, call.caller.merchant, call.query)
end

--- Where the page begins when a cursor is given.
---@param call tael.api.Call
---@return integer? position nil: at the beginning
---@return tael.api.Problem?
function lists.position(call)
    local text = call.query.cursor
    if not text then
        return nil
    end
    local position = cursor.read(secrets.get("ids"), about(call), text, time.now())
    if not position then
        return nil, problem.new("invalid_cursor")
    end
    return position
end

--- A page as the answer's body.
---@param call tael.api.Call
---@param views table[]
---@param position integer? where the next page begins; nil: this is the last one
---@return table
function lists.page(call, views, position)
    return {
        data = json.array(views),
        next_cursor = position and cursor.make(secrets.get("ids"), about(call), position, time.now())
            or json.null,
    }
end

return lists
