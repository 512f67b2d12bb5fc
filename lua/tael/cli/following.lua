--- Events as they happen, by long poll: from a moment on, nothing missed, nothing twice.
local json = require "tael.json"

local PATH = "/v1/events"
local WAIT_S = 25

---@class tael.cli.Following
local following = {}
following.__index = following

--- From now on.
---@param client tael.cli.Client
---@param filters { payment: string?, type: string?, after: string? }
---@return tael.cli.Following?
---@return tael.cli.Failure?
function following.begin(client, filters)
    local self = setmetatable({ client = client, filters = filters }, following)
    if filters.after then
        return self
    end
    local list, failure = self:ask(0)
    return list and self or nil, failure
end

function following:ask(wait_s)
    local query = { wait = wait_s, limit = 100, cursor = self.cursor }
    for name, value in pairs(self.filters) do
        query[name] = value
    end
    local page, failure = self.client:get(PATH, query)
    if not page then
        return nil, failure
    elseif page.next_cursor ~= json.null then
        self.cursor = page.next_cursor
    end
    return page.data
end

--- Waits for what happens next; an empty list when nothing did for a while.
---@param within_ms integer? at most so long
---@return table[]? events
---@return tael.cli.Failure?
function following:next(within_ms)
    return self:ask(within_ms and math.max(0, math.min(WAIT_S, within_ms // 1000)) or WAIT_S)
end

return following
