--- The names of a map, in order.
---@param map table<string, any>?
---@return string[] names none of nil
return function(map)
    local names = {}
    for name in pairs(map or {}) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end
