--- How the manifest's checks say what is wrong. A fault is { field = "products.page.min", message = "…" };
--- the checks add them to a list, and the loader finds the line.
local faults = {}

---@param words string[]
---@return table<string, true>
function faults.set(words)
    local out = {}
    for _, word in ipairs(words) do
        out[word] = true
    end
    return out
end

---@param list table[]
---@param field string
---@param message string
function faults.add(list, field, message)
    list[#list + 1] = { field = field, message = message }
end

--- Is the value of this kind? Says so when it is not.
---@param list table[]
---@param field string
---@param value any
---@param kind string a Lua type
---@return boolean
function faults.expect(list, field, value, kind)
    if type(value) == kind then
        return true
    end
    faults.add(list, field, value == nil and ("a " .. kind .. " is missing")
        or ("must be a " .. kind .. ", not a " .. type(value)))
    return false
end

--- A misspelt member must not be ignored.
---@param list table[]
---@param field string "" for the package itself
---@param value table
---@param members table<string, true>
function faults.known(list, field, value, members)
    for name in pairs(value) do
        if not members[name] then
            local prefix = field == "" and "" or (field .. ".")
            faults.add(list, prefix .. tostring(name), "unknown member")
        end
    end
end

return faults
