--- Tael's own values as plain data for scripts: copies, without nulls; a number that is no integer is its
--- text.
local json = require "tael.json"

local plain = {}

local function copy(value, left)
    if value == json.null then
        return nil
    elseif type(value) == "userdata" then
        return tostring(value)
    elseif type(value) ~= "table" then
        return value
    end
    local out = {}
    for name, member in pairs(value) do
        left.count = left.count - 1
        out[name] = left.count > 0 and copy(member, left) or nil
    end
    return out
end

---@param value any
---@return any
function plain.of(value)
    return copy(value, { count = math.maxinteger })
end

--- The same of what others send; nil when it has more members than that.
---@param value any
---@param most integer
---@return any
function plain.within(value, most)
    local left = { count = most }
    local out = copy(value, left)
    return left.count > 0 and out or nil
end

return plain
