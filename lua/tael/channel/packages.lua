--- The channel packages of a scripts folder, as one generation: each loaded when it is first asked for, and
--- never changed. Another generation has the same package where its files are the same.
local files_of = require "tael.scripts.files"
local folder = require "tael.folder"
local loader = require "tael.channel.loader"

---@class tael.channel.Packages
---@field root string folder of scripts
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
    if package == nil then
        local digest = digest_of(self.root, name) -- before it is read: what is written meanwhile is a change
        package = self.source[name]
        self.loaded[name], self.digests[name] = package, digest
    end
    return package
end

--- What the folder holds now. Everything that was asked for here is loaded there. Raises, as get does; also
--- when a package is written meanwhile.
---@return tael.channel.Packages
function packages:again()
    local next_ones = packages.open(self.root)
    for name, package in pairs(self.loaded) do
        local digest = digest_of(self.root, name)
        if digest and digest == self.digests[name] then
            next_ones.loaded[name], next_ones.digests[name] = package, digest
        else
            next_ones:get(name)
            if digest_of(self.root, name) ~= next_ones.digests[name] then
                error({ code = "script_refused", message = "channels/" .. name
                    .. " is being written: once more" })
            end
        end
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
    table.sort(names)
    return names
end

return packages
