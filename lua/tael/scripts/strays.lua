--- Folders in scripts/merchants that are no merchant's: nobody reads them, so that one whose name is misspelt
--- would never be missed.
local folder = require "tael.folder"
local nearest = require "tael.nearest"

local strays = {}

---@class tael.scripts.Stray
---@field name string of the folder
---@field meant string? slug of a merchant

--- In the order of their names.
---@param path string folder of all merchants
---@param merchants table<string, any> slugs are the keys
---@return tael.scripts.Stray[]
function strays.of(path, merchants)
    local list = {}
    for _, name in ipairs(folder.folders(path) or {}) do
        if not merchants[name] then
            list[#list + 1] = { name = name, meant = nearest(name, merchants) }
        end
    end
    table.sort(list, function(a, b) return a.name < b.name end)
    return list
end

return strays
