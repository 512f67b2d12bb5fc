--- Which folders of merchants' scripts a command is about: the one that is named, or those of all merchants
--- that are configured.
local exits = require "tael.cli.exits"
local folder = require "tael.folder"
local loading = require "tael.scripts.loading"
local plan_of = require "tael.config.plan"
local sorted = require "tael.sorted"
local strays = require "tael.scripts.strays"
local text = require("tael.cli.texts").of

local own_scripts = {}

---@class tael.cli.OwnScripts
---@field merchant string
---@field files table<string, string>? nil: error says why
---@field error string?

--- nil: there are no scripts.
local function read(merchant, path, routes)
    local found, err = folder.read(path, routes)
    if found then
        return { merchant = merchant, files = found.files }
    elseif err.code ~= "not_found" then
        return { merchant = merchant, error = path .. "/" .. err.message }
    end
end

--- Every merchant that is configured, with what its folder holds; own nil: nothing.
---@param call tael.cli.Call
---@return { merchant: string, own: tael.cli.OwnScripts? }[]
function own_scripts.of_merchants(call)
    local list = {}
    for i, merchant in ipairs(sorted(call.config.merchants)) do
        list[i] = { merchant = merchant, own = read(merchant, own_scripts.path(call, merchant)) }
    end
    return list
end

--- Parts of scripts/ that are the operator's own.
own_scripts.PARTS = { "channels", "jobs", "routes" }

---@param part string
---@return boolean
function own_scripts.is_part(part)
    for _, known in ipairs(own_scripts.PARTS) do
        if known == part then
            return true
        end
    end
    return false
end

---@param call tael.cli.Call
---@param part string
---@return string path
function own_scripts.path_of_part(call, part)
    local own = plan_of.own_scripts(call.config, call.options)
    return (part == "channels" and call.config.scripts.channels or own) .. "/" .. part
end

--- What a part of the operator's own holds; nil: nothing.
---@param call tael.cli.Call
---@param part string
---@return tael.cli.OwnScripts?
function own_scripts.of_part(call, part)
    return read(part, own_scripts.path_of_part(call, part), part == "routes")
end

---@param call tael.cli.Call
---@param merchant string slug
---@return string path
function own_scripts.path(call, merchant)
    return plan_of.own_scripts(call.config, call.options) .. "/merchants/" .. merchant
end

--- Folders that are no merchant's, as a person is told of them.
---@param call tael.cli.Call
---@return string[]
function own_scripts.strays(call)
    local root, shown = plan_of.own_scripts(call.config, call.options)
    local told = {}
    for i, stray in ipairs(strays.of(root .. "/merchants", call.config.merchants)) do
        told[i] = text(stray.meant and "check.stray_near" or "check.stray", { near = stray.meant,
            folder = shown .. "/merchants/" .. stray.name:gsub("%c", "?") })
    end
    return told
end

--- A folder; what stands in front of its last part does not matter.
---@param path string
---@param routes boolean? their names are those of routes
---@return tael.cli.OwnScripts? found nil: there are no scripts in it
function own_scripts.at(path, routes)
    path = path:gsub("/+$", "")
    return read(path:match("([^/]+)$") or path, path, routes)
end

--- Reads them, and makes the check of scripts ready.
---@param call tael.cli.Call
---@return tael.cli.OwnScripts[]?
---@return tael.cli.Failure? failure there are none
function own_scripts.all(call)
    local list = {}
    loading.open(call.options.lua_root)
    if call.rest[1] then
        list[1] = own_scripts.at(call.rest[1])
        if not list[1] or list[1].files and not next(list[1].files) then
            return exits.fail(exits.no, text("check.no_folder", { path = call.rest[1] }),
                text "check.none.next")
        end
    else
        for _, one in ipairs(own_scripts.of_merchants(call)) do
            list[#list + 1] = one.own
        end
    end
    if #list == 0 then
        return nil, { exit = exits.no, message = text "check.none", next = text "check.none.next",
            more = own_scripts.strays(call) }
    end
    return list
end

return own_scripts
