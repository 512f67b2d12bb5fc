--- The known name that a misspelt one most likely means, for messages.

--- Edits (insert, remove, replace, swap neighbours) between two short texts.
local function distance(a, b)
    local before, last = {}, {}
    for j = 0, #b do
        last[j] = j
    end
    for i = 1, #a do
        local row = { [0] = i }
        for j = 1, #b do
            local same = a:byte(i) == b:byte(j)
            row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
            if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
                row[j] = math.min(row[j], before[j - 2] + 1)
            end
        end
        before, last = last, row
    end
    return last[#b]
end

local LENGTH_MAX = 64

--- The one name that ends or begins with this one: ip, client_ip.
local function longer(name, known)
    local found
    for candidate in pairs(known) do
        local ends = candidate:sub(-#name - 1) == "_" .. name
        if #name > 1 and (ends or candidate:sub(1, #name + 1) == name .. "_") then
            if found then
                return nil
            end
            found = candidate
        end
    end
    return found
end

---@param name string
---@param known table<string, any> names are the keys
---@return string? best nil when nothing is near
local function nearest(name, known)
    local best, best_distance
    if #name > LENGTH_MAX then
        return nil
    end
    for candidate in pairs(known) do
        local edits = distance(name:lower(), candidate:lower())
        if edits <= math.max(1, math.min(#name, #candidate) // 3)
            and (not best or edits < best_distance or edits == best_distance and candidate < best) then
            best, best_distance = candidate, edits
        end
    end
    return best or longer(name, known)
end

return nearest
