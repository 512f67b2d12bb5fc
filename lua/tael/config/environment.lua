--- The variables TAEL_… of the environment: each names a key of tael.lua, or is refused. One that is misspelt
--- would otherwise do nothing, and nobody would know.
local nearest = require "tael.nearest"
local place = require "tael.config.place"
local schema = require "tael.config.schema"

local environment = {}

-- Of commands and clients, not of the configuration.
local OTHERS = { TAEL_KEY = true, TAEL_URL = true }

local ENVIRON_MAX = 4 * 1024 * 1024

--- Names of the process's own variables, as it was started with them; none where the system does not say.
local function own_names()
    local handle = io.open("/proc/self/environ", "rb")
    local text = handle and handle:read(ENVIRON_MAX) or ""
    if handle then
        handle:close()
    end
    local names = {}
    for name in text:gmatch("([^=\0]+)=[^\0]*") do
        names[#names + 1] = name
    end
    return names
end

local function known_variables()
    local known = {}
    for _, key in ipairs(schema.list) do
        known[schema.variable(key.name)] = key
    end
    return known
end

local function refusal(name, key, known)
    if key then -- a secret
        return ("%s: a secret is not taken from here; write %s = secret.env(\"%s\") into the file"):format(
            name, key.name, name)
    end
    local near = nearest(name, known)
    return ("%s: this environment variable names no key%s"):format(name,
        near and "; did you mean " .. near .. "?" or "")
end

--- Refuses the first variable that nothing reads.
---@param given table<string, string>? in place of the process's own
---@param asked table<string, true> names that the file itself asks for
---@return true?
---@return table? err {code, message}
function environment.check(given, asked)
    local known = known_variables()
    for _, name in ipairs(given and place.sorted_names(given) or own_names()) do
        local key = known[name]
        if name:find("^TAEL_") and not OTHERS[name] and not asked[name]
            and (not key or key.type == "secret") then
            return place.fail("config_unknown_variable", refusal(name, key, known))
        end
    end
    return true
end

return environment
