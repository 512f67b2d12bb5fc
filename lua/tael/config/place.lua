--- Where something stands in tael.lua, for messages; and how a configuration is refused.
local nearest = require "tael.nearest"
local shown = require "tael.shown"

local place = {}

---@param code string
---@param message string may quote the file, in whatever encoding it was written
---@return nil
---@return { code: string, message: string }
function place.fail(code, message)
    return nil, { code = code, message = shown(message) }
end

--- Comments as blanks of the same length, so that a name in one is not taken for a key.
---@param text string
---@return string
function place.without_comments(text)
    local function blank(comment)
        return (comment:gsub("[^\n]", " "))
    end
    return (text:gsub("%-%-%[%[.-%]%]", blank):gsub("%-%-[^\n]*", blank))
end

--- The line of the last part of a path, each part sought after the one before; nil when it is not found.
local function line_of(text, path)
    local at, found = 1, nil
    for _, part in ipairs(path) do
        local plain = tostring(part):gsub("%W", "%%%0")
        local from, to = text:find("%f[%w_]" .. plain .. "[\"']?%]?%s*=%f[^=]", at)
        if not from then
            return nil
        end
        at, found = to, from
    end
    local _, breaks = text:sub(1, found):gsub("\n", "")
    return breaks + 1
end

local function where(context, path)
    local line = context.plain and line_of(context.plain, path)
    return line and context.file .. ":" .. line or context.file
end

---@param context table
---@param code string
---@param path string[] of the key
---@param message string
function place.refuse(context, code, path, message)
    return place.fail(code, ("%s: %s: %s"):format(where(context, path), table.concat(path, "."), message))
end

---@param context table
---@param path string[] its last part is not known
---@param known table<string, any>
function place.refuse_unknown(context, path, known)
    local name = tostring(path[#path])
    local near = nearest(name, known)
    local parent = #path > 1 and (" in " .. table.concat(path, ".", 1, #path - 1)) or ""
    return place.fail("config_unknown_key", ("%s: unknown key '%s'%s%s"):format(where(context, path), name,
        parent, near and "; did you mean '" .. near .. "'?" or ""))
end

---@param path string[]
---@param name any
---@return string[]
function place.child(path, name)
    local longer = table.move(path, 1, #path, 1, {})
    longer[#longer + 1] = tostring(name)
    return longer
end

---@param map table
---@return any[]
function place.sorted_names(map)
    local names = {}
    for name in pairs(map) do
        names[#names + 1] = name
    end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    return names
end

return place
