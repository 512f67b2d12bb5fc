--- JSON to Lua values and back: what is read is written in one way, and reading that gives the same again.
local json = require "tael.json"

local codes = { invalid_json = true, duplicate = true }

--- The same value: tables by their members, decimals by their text, integers apart from all else.
local function same(a, b)
    if json.is_decimal(a) then
        return json.is_decimal(b) and tostring(a) == tostring(b)
    elseif type(a) ~= "table" or type(b) ~= "table" then
        return a == b and math.type(a) == math.type(b)
    elseif json.is_array(a) ~= json.is_array(b) then
        return false
    end
    for name, value in pairs(a) do
        if not same(value, b[name]) then
            return false
        end
    end
    for name in pairs(b) do
        if a[name] == nil then
            return false
        end
    end
    return true
end

---@param bytes string
return function(bytes)
    local value, err = json.decode(bytes)
    if value == nil then
        assert(codes[err.code], err.code)
        assert(err.offset >= 1 and err.offset <= #bytes + 1, "an offset outside the text")
        return
    end
    local text = json.encode(value)
    assert(utf8.len(text), "not UTF-8")
    assert(not text:find("[%z\1-\31]"), "a control character was written")
    local again = json.decode(text) -- may be false
    assert(same(value, again), "reading what was written gives something else")
    assert(json.encode(again) == text, "written in two ways")
end
