--- Tael's own values as plain data for scripts: copies, without nulls.
local json = require "tael.json"

local plain = {}

---@param value any
---@return any
function plain.of(value)
    if value == json.null then
        return nil
    elseif type(value) ~= "table" then
        return value
    end
    local copy = {}
    for name, member in pairs(value) do
        copy[name] = plain.of(member)
    end
    return copy
end

return plain
