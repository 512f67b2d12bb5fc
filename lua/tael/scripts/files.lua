--- The files of one merchant's scripts, as texts by path: what they may be called, how large they may be, and
--- what they are called together.
local crypto = require "tael.crypto"

local files = {}

local FILES_MAX, FILE_MAX, ALL_MAX = 256, 256 * 1024, 1024 * 1024 -- script/generation.h
local PATH_MAX = 128

--- Names of modules, ending in .lua; "tael" is the engine's own.
local function is_path(path, form)
    if #path > PATH_MAX or path:sub(-4) ~= ".lua" or path:find("^tael[/.]") then
        return false
    end
    for part in (path:sub(1, -5) .. "/"):gmatch("([^/]*)/") do
        if not part:find(form) then
            return false
        end
    end
    return true
end

---@param given table<string, string>
---@return string[] paths sorted
function files.paths(given)
    local paths = {}
    for path in pairs(given) do
        paths[#paths + 1] = path
    end
    table.sort(paths)
    return paths
end

--- What is wrong with them before they are read as Lua.
---@param given table<string, string>
---@param form string? pattern of a path's parts; without it that of modules
---@return string? what
---@return string? path
function files.wrong(given, form)
    local count, bytes = 0, 0
    for _, path in ipairs(files.paths(given)) do
        count, bytes = count + 1, bytes + #given[path]
        if not is_path(path, form or "^%l[%l%d_]*$") then
            return "a path is made of names of small letters, digits and '_', and ends in .lua; tael/ is the "
                .. "engine's", path
        elseif #given[path] > FILE_MAX then
            return "a file has at most 256 KiB", path
        elseif not utf8.len(given[path]) then
            return "a file is text in UTF-8", path
        end
    end
    if count > FILES_MAX then
        return "there are more than 256 files"
    elseif bytes > ALL_MAX then
        return "all files together have at most 1 MiB"
    end
end

--- One name for these very texts.
---@param given table<string, string>
---@return string 64 hexadecimal digits
function files.digest(given)
    local parts = {}
    for i, path in ipairs(files.paths(given)) do
        parts[i] = ("s4s4"):pack(path, given[path])
    end
    return crypto.hex.encode(crypto.digest("sha256", table.concat(parts)))
end

return files
