--- Tasks that run at the same time: at most so many in all and for one key, one for each id. A task that
--- ends in any way, even for want of memory before its first step, gives its place back.
local task = require "tael.task"

---@class tael.AtOnce
---@field count integer tasks that have a place
---@field package max integer
---@field package per_key integer
---@field package places table<integer|string, { key: any, handle: tael.task.Handle|false }> by id
---@field package taken table<any, integer> by key
local AtOnce = {}
AtOnce.__index = AtOnce

local at_once = {}

---@param max integer
---@param per_key integer? default max
---@return tael.AtOnce
function at_once.new(max, per_key)
    return setmetatable({ max = max, per_key = per_key or max, count = 0, places = {}, taken = {} }, AtOnce)
end

---@param id integer|string
---@return boolean
function AtOnce:has(id)
    return self.places[id] ~= nil
end

---@param key any
---@return boolean
function AtOnce:has_room(key)
    return self.count < self.max and (self.taken[key] or 0) < self.per_key
end

---@return boolean
function AtOnce:is_full()
    return self.count >= self.max
end

--- No step of it needs memory.
local function leave(self, id)
    local place = self.places[id]
    if place then
        self.places[id] = nil
        self.taken[place.key] = self.taken[place.key] > 1 and self.taken[place.key] - 1 or nil
        self.count = self.count - 1
    end
end

--- Whatever may want memory comes before the first place is counted.
local function enter(self, id, key)
    local place = { key = key, handle = false }
    self.taken[key] = self.taken[key] or 0
    self.places[id] = place
    self.taken[key] = self.taken[key] + 1
    self.count = self.count + 1
    return place
end

--- Runs fn in a task of its own; raises when there is no memory for it.
---@param id integer|string that has no place yet
---@param key any
---@param fn fun()
function AtOnce:start(id, key, fn)
    local function run()
        fn()
        leave(self, id)
    end
    local place = enter(self, id, key)
    place.handle = task.spawn(run)
end

--- Frees the places of tasks that have ended without saying so: they raised.
function AtOnce:sweep()
    for id, place in pairs(self.places) do
        if not place.handle or not place.handle:alive() then
            leave(self, id)
        end
    end
end

return at_once
