--- What Tael itself puts into every isolate of a merchant's, as source text: lua/tael/scripts/inside/*.lua is
--- there as "tael/*.lua", with the table of currencies. What only specs need stands beside it.
local folder = require "tael.folder"

local own = {}

local FOR_SPECS = { ["test.lua"] = true, ["spec_world.lua"] = true, ["counters.lua"] = true }

local texts ---@type table<string, string> by path

--- The same for specs alone, from open() on.
---@type table<string, string>
own.of_specs = {}

local function text_of(path)
    local file <close> = assert(io.open(path, "rb"))
    return assert(file:read "a")
end

--- Where the engine's own Lua lies. Before anything is loaded.
---@param lua_root string
function own.open(lua_root)
    texts = { ["tael/currencies.lua"] = text_of(lua_root .. "/tael/kernel/currencies.lua") }
    own.of_specs = { ["tael/nearest.lua"] = text_of(lua_root .. "/tael/nearest.lua") }
    for path, text in pairs(assert(folder.read(lua_root .. "/tael/scripts/inside")).files) do
        (FOR_SPECS[path] and own.of_specs or texts)["tael/" .. path] = text
    end
end

--- A merchant's files with those of Tael's own.
---@param files table<string, string>
---@return table<string, string>
function own.beside(files)
    local all = {}
    for path, text in pairs(files) do
        all[path] = text
    end
    for path, text in pairs(texts or {}) do
        all[path] = text
    end
    return all
end

return own
