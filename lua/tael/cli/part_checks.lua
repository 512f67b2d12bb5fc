--- Are the parts of scripts/ right that are the operator's own? Looked at on this machine, as an engine does
--- before it uses them.
local configuration = require "tael.cli.configuration"
local files_of = require "tael.scripts.files"
local globals = require "tael.scripts.globals"
local job_files = require "tael.scripts.job_files"
local packages_of = require "tael.channel.packages"
local route_files = require "tael.scripts.route_files"

local part_checks = {}

--- Channels' packages, and the accounts of the configuration that use them.
---@param files table<string, string>
---@param config table
---@param where string? where they are, in messages; without it in the folder
---@return table<string, tael.channel.Package>? packages
---@return string? why not
function part_checks.packages(files, config, where)
    local ran, found = pcall(packages_of.of, files)
    if not ran then
        return nil, type(found) == "table" and found.message or tostring(found)
    end
    local wrong = configuration.wrong_account(config, found.loaded, where)
    return not wrong and found.loaded or nil, wrong
end

---@class tael.cli.PartChecked
---@field generation string id
---@field names string[] of channels, jobs, routes

local checks = {}

function checks.channels(files, config)
    local packages, why = part_checks.packages(files, config)
    why = why or globals.wrong("channels", files)
    return not why and { generation = files_of.digest(files):sub(1, 16),
        names = files_of.paths(packages) } or nil, why
end

function checks.jobs(files)
    local generation, why = job_files.check(files)
    local names = {}
    for i, job in ipairs(generation and generation.jobs or {}) do
        names[i] = job.name
    end
    return generation and { generation = generation.id, names = names }, why
end

function checks.routes(files)
    local generation, why = route_files.check(files)
    return generation and { generation = generation.id, names = generation.names }, why
end

--- As before they run for the first time.
---@param part string
---@param files table<string, string>
---@param config table
---@return tael.cli.PartChecked? checked
---@return string? why not, with file and line where there is one
function part_checks.check(part, files, config)
    return checks[part](files, config)
end

return part_checks
