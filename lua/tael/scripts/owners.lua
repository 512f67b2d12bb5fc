--- Whose scripts there are: each merchant's, and the parts of scripts/ that are the operator's own. What a
--- version, a check and a generation have to know of whose they are is said here, and nowhere else.
--- 1 The operator's parts are trusted with what the engine may do; no merchant's name is one of theirs.
local files_of = require "tael.scripts.files"
local folder = require "tael.folder"
local globals = require "tael.scripts.globals"
local job_files = require "tael.scripts.job_files"
local loading = require "tael.scripts.loading"
local registry = require "tael.kernel.registry"
local route_files = require "tael.scripts.route_files"
local task = require "tael.task"

local owners = {}

--- load gives a generation, or nil with why not, the kind of failure and the steps used; check, of what has
--- not run before, the same with what became of their own specs before the kind; unproven is check without
--- specs. Arguments: texts by path; do others of theirs run?
---@class tael.scripts.Owner: tael.scripts.Kept
---@field key string in memory: the slug, or "/jobs", which no slug is
---@field name string in messages, the log and the API: "merchants/acme", "jobs"
---@field number integer? nil: a merchant that is not configured, of whom the store knows nothing
---@field slug string? of the merchant
---@field folder string where its files lie that are no version
---@field routes boolean? their files are called as routes are
---@field held boolean? every worker holds them, and is given others (renewal); else asked for (generations)
---@field load fun(files: table<string, string>, runs: boolean?): table?, string?, string?, integer
---@field check fun(files: table<string, string>, runs: boolean?): table?, string?, table?, string?, integer
---@field unproven fun(files: table<string, string>, runs: boolean?): table?, string?, nil, string?, integer

local folders ---@type { merchants: string, own: string, channels: string }

--- Where files lie. At the start of a worker.
---@param where { merchants: string, own: string?, channels: string? } folder of merchants' folders, that of
--- the operator's jobs and routes, that of the channels' packages
function owners.open(where)
    folders = where
end

---@return string that in which each merchant's lies, by its slug
function owners.folder()
    return folders.merchants
end

---@param slug string
---@return tael.scripts.Owner
function owners.merchant(slug)
    local known = registry.merchant(slug)
    return {
        key = slug, name = "merchants/" .. slug, number = known and known.id, part = "", slug = slug,
        folder = folders.merchants .. "/" .. slug,
        load = function(files, runs) return loading.load(slug, files, runs) end,
        check = function(files, runs) return loading.check(slug, files, runs) end,
        unproven = function(files, runs) return loading.unproven(slug, files, runs) end,
    }
end

-- ---- the operator's ----

--- Loads them here, with the accounts that use them; they are not used.
local function load_channels(files)
    local prepared, err = registry.prepare_channels(files)
    if not prepared then
        return nil, err.message, "contract", 0
    end
    return { id = loading.id(files), channels = prepared.digests }, nil, nil, 0
end

local function check_channels(files)
    local generation, why, kind, used = load_channels(files)
    if generation then
        why, used = globals.wrong("channels", files)
        kind = why and "contract" or nil
    end
    return not why and generation or nil, why, nil, kind, used
end

local function load_routes(files)
    return route_files.load(files, task.last)
end

local function check_routes(files)
    return route_files.check(files, task.last)
end

local parts = {
    channels = { load = load_channels, check = check_channels, held = true },
    jobs = { load = job_files.load, check = job_files.check },
    routes = { load = load_routes, check = check_routes, held = true },
}

owners.PARTS = files_of.paths(parts)

---@param part string "channels", "jobs", "routes"
---@return tael.scripts.Owner? owner nil: there is no such part
function owners.operator(part)
    local about = parts[part]
    return about and {
        key = "/" .. part, name = part, number = 0, part = part, held = about.held, routes = part == "routes",
        folder = (part == "channels" and folders.channels or folders.own) .. "/" .. part,
        load = about.load, check = about.check, unproven = about.check,
    }
end

--- Of a key in memory.
---@param key string
---@return tael.scripts.Owner
function owners.of(key)
    local part = key:match("^/(.*)$")
    return part and assert(owners.operator(part)) or owners.merchant(key)
end

--- What its folder holds now.
---@param owner tael.scripts.Owner
---@return table<string, string>? files nil without why: nothing
---@return string? why it cannot be read
function owners.folder_of(owner)
    local found, err = folder.read(owner.folder, owner.routes)
    if not found and err.code ~= "not_found" then
        return nil, owner.name .. "/" .. err.message
    end
    return found and found.files
end

return owners
