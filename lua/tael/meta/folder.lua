---@meta tael.folder

--- Source files below a folder (C: engine/bind/folder.c). Files and folders whose names are those of modules
--- (small letters, digits, "_", a letter first; files end in .lua) are seen, others are not.
--- One of them that cannot be read, or is a link, is an error: never as good as absent.
---@class tael.folder
local folder = {}

---@class tael.folder.Reading
---@field files table<string, string> texts by path, "lib/prices.lua"
---@field stamps string of files and of the folders that hold them: to be compared here, and nothing else
---@field recent boolean changed just now: it may be unfinished, and stamps may not tell the next change

---@param path string
---@param routes boolean? names may be those of routes: with "-", and not a letter first
---@return tael.folder.Reading?
---@return { code: "not_found"|"too_large"|"unavailable", message: string }? err
function folder.read(path) end

--- The folders in a folder, whatever they are called, but for those whose names begin with a dot. In no order.
---@param path string
---@return string[]? names
---@return { code: "not_found"|"too_large"|"unavailable", message: string }? err
function folder.folders(path) end

--- Does anything differ from when these stamps were taken?
---@param path string
---@param stamps string "": is there such a folder, and can it be opened?
---@return boolean
function folder.changed(path, stamps) end

--- The same of many folders in one.
---@param path string
---@param stamps table<string, string> by the name of each folder in it
---@return table<string, string> stamps the same table: those that differ are left
function folder.differing(path, stamps) end

return folder
