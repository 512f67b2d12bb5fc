--- The configuration as a command sees it, and the places that follow from it.
local config = require "tael.config"
local machine = require "tael.machine"
local plan = require "tael.config.plan"

local settings = {}

local ENOENT, ENOTDIR = 2, 20

local function open_errno(path)
    local file, _, errno = io.open(path, "rb")
    if file then
        file:close()
    end
    return errno
end

--- Is something there under that name? What cannot be read is, too: nothing new can be made in its place.
---@param path string
---@return boolean
function settings.exists(path)
    local errno = open_errno(path)
    return errno ~= ENOENT and errno ~= ENOTDIR
end

--- Without a file, a folder in which development mode has run stays a development folder: its keys lie in
--- data/keys, and `tael keys show …` beside a running `tael serve --dev` must find them.
---@param options { config_path: string?, root: string, lua_root: string?, dev: boolean }
---@return table? config
---@return table? err {code, message}
function settings.load(options)
    local given = { path = options.config_path, root = options.root, lua_root = options.lua_root,
        dev = options.dev }
    local loaded, err = config.load(given)
    if loaded and not loaded.dev and not options.config_path
        and not open_errno(loaded.data .. "/demo.key") then
        given.dev = true
        return config.load(given)
    end
    return loaded, err
end

--- Where a running engine answers the operator.
settings.socket = plan.socket

local function identity(path)
    local file = machine.file(path)
    return file and file.identity
end

--- Does a process listen on the socket? A socket file that a killed engine left behind is not in the
--- kernel's list. That has each by the path that its process went: another one may lead to the same file.
---@param path string
---@param list string? file to read instead of the kernel's
---@return boolean
function settings.listens(path, list)
    local file = io.open(list or "/proc/net/unix", "rb")
    if not file then
        return false
    end
    local found, own, name = false, identity(path), path:match("[^/]*$")
    for line in file:lines() do
        local other = line:match("^%x+: %x+ %x+ %x+ %x+ %x+ +%d+ (/.*)$")
        found = found or other == path
            or other ~= nil and own ~= nil and other:match("[^/]*$") == name and identity(other) == own
    end
    file:close()
    return found
end

--- Every channel account, in order: {merchant, slug, account}.
---@param loaded table config
---@return { merchant: string, slug: string, account: table }[]
function settings.accounts(loaded)
    local list = {}
    for merchant, about in pairs(loaded.merchants) do
        for slug, account in pairs(about.accounts or {}) do
            list[#list + 1] = { merchant = merchant, slug = slug, account = account }
        end
    end
    table.sort(list, function(a, b) return a.merchant .. " " .. a.slug < b.merchant .. " " .. b.slug end)
    return list
end

--- What the store said when it could not be opened, with the file's path.
---@param loaded table config
---@param refused { message: string }
---@return string
function settings.store_message(loaded, refused)
    local path = loaded.store.path
    if refused.message:find(path, 1, true) then
        return refused.message
    end
    return path .. ": " .. refused.message
end

return settings
