--- What was made lately, by key: at most twice as many as asked for are kept. When the newer half is full the
--- older one is thrown away; what is found there becomes new again. Nothing is ever gone through.

---@class tael.Recent
---@field package max integer
---@field package newer table
---@field package older table
---@field package count integer in newer
local Recent = {}
Recent.__index = Recent

local recent = {}

---@param max integer
---@return tael.Recent
function recent.new(max)
    return setmetatable({ max = max, newer = {}, older = {}, count = 0 }, Recent)
end

---@param key any
---@param value any not nil
function Recent:put(key, value)
    if self.newer[key] == nil then
        if self.count == self.max then
            self.older, self.newer, self.count = self.newer, {}, 0
        end
        self.count = self.count + 1
    end
    self.newer[key] = value
end

---@param key any
---@return any value nil: not kept
function Recent:get(key)
    local value = self.newer[key]
    if value == nil then
        value = self.older[key]
        if value ~= nil then
            self:put(key, value)
        end
    end
    return value
end

return recent
