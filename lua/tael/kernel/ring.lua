--- Refused messages, in memory, for as long as there is room: an anonymous sender must not be able to fill
--- the disk. The oldest go first; one source gets at most so many a second.
local source = require "tael.kernel.source"

local ring = {}
ring.__index = ring

local OVERHEAD = 512 -- of an entry besides its bytes

---@param max_bytes integer
---@param per_second integer for each source
function ring.new(max_bytes, per_second)
    return setmetatable({
        max = max_bytes, bytes = 0, first = 1, last = 0, slots = {}, by_id = {},
        allow = source.meter(per_second),
    }, ring)
end

local function size_of(entry)
    return OVERHEAD + #(entry.raw or "") + #(entry.checks or "")
end

function ring:drop_oldest()
    local entry = self.slots[self.first]
    self.slots[self.first] = nil
    self.first = self.first + 1
    self.by_id[entry.id] = nil
    self.bytes = self.bytes - size_of(entry)
end

---@param entry table {id, source, at, raw?, …}
---@return boolean kept
function ring:add(entry)
    local size = size_of(entry)
    if size > self.max or not self.allow(entry.source, entry.at) then
        return false
    end
    while self.bytes + size > self.max do
        self:drop_oldest()
    end
    self.last = self.last + 1
    self.slots[self.last] = entry
    self.by_id[entry.id] = entry
    self.bytes = self.bytes + size
    return true
end

---@param id integer
---@return table? entry
function ring:get(id)
    return self.by_id[id]
end

--- Newest first.
---@param limit integer
---@param fits fun(entry: table): boolean
---@return table[]
function ring:newest(limit, fits)
    local found = {}
    for i = self.last, self.first, -1 do
        local entry = self.slots[i]
        if #found == limit then
            break
        elseif fits(entry) then
            found[#found + 1] = entry
        end
    end
    return found
end

return ring
