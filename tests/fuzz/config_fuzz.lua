--- tael.lua: any text is a configuration or is refused with a code and a message that names the file. What
--- comes out is plain data, and the same text gives the same.
local config = require "tael.config"

local codes = { config_syntax = true, config_failed = true, config_unknown_key = true,
    config_wrong_value = true, config_missing_key = true, config_not_found = true }

--- Everything in it but functions, in a fixed order; the depth is that of a schema, not of what was given.
local function written(value, depth)
    assert(depth < 20, "no end")
    if type(value) ~= "table" then
        assert(type(value) ~= "function" and type(value) ~= "thread" and type(value) ~= "userdata",
            "a " .. type(value) .. " came through")
        return math.type(value) == "float" and ("%a"):format(value) or tostring(value)
    end
    local names, parts = {}, {}
    for name in pairs(value) do
        names[#names + 1] = name
    end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    for i, name in ipairs(names) do
        parts[i] = tostring(name) .. "=" .. written(value[name], depth + 1)
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

local function load_text(text)
    return config.load { text = text, root = "build/fuzz", env = { TAEL_HTTP__LISTEN = nil } }
end

---@param text string
return function(text)
    local loaded, err = load_text(text)
    if not loaded then
        assert(codes[err.code], tostring(err.code))
        assert(type(err.message) == "string" and err.message:find("tael.lua", 1, true)
            or err.code == "config_failed" or err.code == "config_syntax", err.message)
        return
    end
    assert(written(loaded, 0) == written(assert(load_text(text)), 0), "twice the same text is not the same")
end
