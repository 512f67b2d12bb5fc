--- Channel packages as one generation, which never changes: those of a version's texts, all of them loaded;
--- or those of a scripts folder, each loaded when it is first asked for. Another generation has the same
--- package where its files are the same.
local files_of = require "tael.scripts.files"
local folder = require "tael.folder"
local loader = require "tael.channel.loader"
local sorted = require "tael.sorted"

---@class tael.channel.Packages
---@field root string? folder of scripts; nil: of a version
---@field loaded table<string, tael.channel.Package>
---@field digests table<string, string> of the files, by name of the channel
---@field source table<string, tael.channel.Package>
local packages = {}
packages.__index = packages

--- Of what lies there now; nil: nothing.
local function digest_of(root, name)
    local found = folder.read(root .. "/channels/" .. name)
    return found and files_of.digest(found.files)
end

---@param root string folder of scripts
---@return tael.channel.Packages
function packages.open(root)
    return setmetatable({ root = root, loaded = {}, digests = {}, source = loader.load(root) }, packages)
end

--- Raises {code = "script_refused", message, …} for a broken package.
---@param name string
---@return tael.channel.Package? package nil: there is none of this name
function packages:get(name)
    local package = self.loaded[name]
    if package == nil and self.root then
        local digest = digest_of(self.root, name) -- before it is read: what is written meanwhile is a change
        package = self.source[name]
        self.loaded[name], self.digests[name] = package, digest
    end
    return package
end

--- What a folder holds now. Everything that was asked for before is loaded. Raises, as get does; also when a
--- package is written meanwhile.
---@param root string folder of scripts
---@param was tael.channel.Packages those before
---@return tael.channel.Packages
function packages.again(root, was)
    local next_ones = packages.open(root)
    for name, package in pairs(was.loaded) do
        local digest = digest_of(root, name)
        if digest and digest == was.digests[name] then
            next_ones.loaded[name], next_ones.digests[name] = package, digest
        else
            next_ones:get(name)
            if digest_of(root, name) ~= next_ones.digests[name] then
                error({ code = "script_refused", message = "channels/" .. name
                    .. " is being written: once more" })
            end
        end
    end
    return next_ones
end

local function refuse(message)
    error({ code = "script_refused", message = "channels/" .. message }, 0)
end

--- Files by channel; each lies in the folder of one.
local function by_channel(files)
    local channels = {}
    for _, path in ipairs(files_of.paths(files)) do
        local name, inner = path:match("^([^/]+)/(.+)$")
        if not name or not loader.is_name(name) then
            refuse(path .. ": is in no channel's folder: channels/NAME/init.lua, NAME of 2 to 16 small "
                .. "letters and digits")
        end
        channels[name] = channels[name] or {}
        channels[name][inner] = files[path]
    end
    return channels
end

--- Those of a version. Raises, as get does.
---@param files table<string, string> by path: "alipay/init.lua"
---@param was tael.channel.Packages? those before
---@return tael.channel.Packages
function packages.of(files, was)
    local next_ones = setmetatable({ loaded = {}, digests = {} }, packages)
    local wrong, path = files_of.wrong(files)
    if wrong then
        refuse((path and path .. ": " or "") .. wrong)
    end
    local channels = by_channel(files)
    for _, name in ipairs(sorted(channels)) do
        local own, digest = channels[name], files_of.digest(channels[name])
        local same = was and was.digests[name] == digest and was.loaded[name]
        next_ones.loaded[name] = same or loader.package(name, own) or refuse(name .. ": has no init.lua")
        next_ones.digests[name] = digest
    end
    return next_ones
end

--- Channels that are not the same in both, by name.
---@param other tael.channel.Packages
---@return string[]
function packages:differing(other)
    local names = {}
    for name, package in pairs(self.loaded) do
        if other.loaded[name] ~= package then
            names[#names + 1] = name
        end
    end
    for name in pairs(other.loaded) do
        if not self.loaded[name] then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

return packages
