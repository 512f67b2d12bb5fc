--- The file itself: read, and run in an environment of its own: env, file, secret and plain Lua, nothing
--- else.
local place = require "tael.config.place"
local script = require "tael.script"
local values = require "tael.config.values"

local file = {}

local SOURCE_MAX = 256 * 1024

---@param path string
---@param max integer bytes
---@return string? text
---@return string? reason
function file.read(path, max)
    local handle, reason = io.open(path, "rb")
    if not handle then
        return nil, reason
    end
    local text = handle:read(max + 1)
    handle:close()
    if text and #text > max then
        return nil, path .. ": is larger than " .. max .. " bytes"
    end
    return text or ""
end

---@param path string
---@return string? text
---@return string? reason
function file.source(path)
    return file.read(path, SOURCE_MAX)
end

---@param path string
---@return boolean
function file.exists(path)
    local handle = io.open(path, "rb")
    if handle then
        handle:close()
    end
    return handle ~= nil
end

local function reference(kind, asked)
    return function(at)
        if type(at) ~= "string" or at == "" then
            error("secret." .. kind .. " needs a name", 2)
        elseif asked then
            asked[at] = true
        end
        return setmetatable({ secret = kind, at = at }, values.SECRET)
    end
end

--- Variables that the file asks for are its own affair, whatever they are called.
local function environment(context)
    return {
        env = function(name, default)
            local text = context.getenv(name)
            if text == nil and default == nil then
                error("the environment variable " .. tostring(name) .. " is not set", 2)
            end
            context.asked[name] = true
            return text == nil and default or text
        end,
        file = function(path)
            local at, wrong = values.check({ type = "path" }, path, context)
            local text
            if at then
                text, wrong = file.source(at)
            end
            if not text then
                error(at and wrong or "a file's path " .. wrong, 2)
            end
            context.read[at] = text
            return (text:gsub("\r?\n$", ""))
        end,
        secret = { file = reference("file"), env = reference("env", context.asked) },
    }
end

--- Runs the text.
---@param context table text, file, root, getenv, asked, read
---@return table? given
---@return table? err
function file.evaluate(context)
    local chunk, message = load(context.text, "@" .. context.file, "t", environment(context))
    if not chunk then
        return place.fail("config_syntax", message)
    end
    local ran, result = script.bounded(chunk)
    if not ran then
        return place.fail("config_failed", tostring(result))
    elseif type(result) ~= "table" then
        return place.fail("config_failed", context.file .. ": must return a table")
    end
    return result
end

return file
