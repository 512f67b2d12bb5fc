--- The check of tael doctor on scripts: the folders of all merchants, of the operator's jobs and routes load,
--- and what runs of the versions in the store would still be activated. Channels' folders are looked at where
--- accounts are.
local isolate = require "tael.isolate"
local json = require "tael.json"
local loading = require "tael.scripts.loading"
local own_scripts = require "tael.cli.own_scripts"
local part_checks = require "tael.cli.part_checks"
local places = require "tael.cli.places"
local text = require("tael.cli.texts").of

local script_checks = {}

local MORE_MAX = 10

-- ---- the versions that run ----

--- As the store has it; nil: a merchant that it does not know yet.
local function kept_as(owner)
    if owner.part then
        return { number = 0, part = owner.part }
    end
    local rows = require("tael.store").query("doctor.merchant", { slug = owner.slug })
    return rows and rows[1] and { number = rows[1].id, part = "" }
end

--- As the store says, when this command has opened it.
local function version_in_store(owner)
    local kept = kept_as(owner)
    local version = kept and require("tael.scripts.versions").running(kept)
    return version and { name = version.hash:sub(1, 16), files = version.files }
end

--- As the engine says that runs.
local function version_of_engine(call, owner)
    local client = call.client
    local path = client.path(owner.part and "/v1/scripts/{}/versions" or "/v1/scripts/merchants/{}/versions",
        owner.part or owner.slug)
    local query = { limit = 100 }
    while path do
        local page = client:get(path, query)
        for _, listed in ipairs(page and page.data or {}) do
            if listed.active then
                local version = client:get(path .. "/" .. listed.id)
                return version and { name = version.id, files = version.files }
            end
        end
        query.cursor = page and page.next_cursor ~= json.null and page.next_cursor or nil
        path = query.cursor and path
    end
end

---@param owner { slug: string?, part: string? }
---@return { name: string, files: table<string, string> }? version nil: the folder's files run
local function version_of(call, owner)
    if call.pass.store == "open" then
        return version_in_store(owner)
    elseif call.pass.store == "owned" then
        return version_of_engine(call, owner)
    end
end

local function version_wrong(version, why)
    return why and text("doctor.version_wrong", { version = version.name, reason = why }) or nil
end

-- ---- the check ----

--- What is wrong with a merchant's; nil: nothing. While a version runs the folder's files do not count.
local function wrong_with(call, slug, own)
    local version = version_of(call, { slug = slug })
    local _, why
    if version then
        _, why = loading.check(slug, version.files)
        return version_wrong(version, why)
    elseif own and own.error then
        return own.error
    elseif own then
        _, why = loading.check(slug, own.files)
        return why
    end
end

--- How many jobs or routes run, and what is wrong with them.
local function look_at_part(call, part)
    local version = version_of(call, { part = part })
    local own = version or own_scripts.of_part(call, part)
    if not own then
        return 0
    elseif own.error then
        return 0, own.error
    end
    local checked, why = part_checks.check(part, own.files, call.config)
    return checked and #checked.names or 0, version and version_wrong(version, why) or why
end

--- The packages of the version that runs, for what is looked at after this; what is wrong with them.
local function look_at_channels(call, seen)
    local version = version_of(call, { part = "channels" })
    if version then
        local packages, why = part_checks.packages(version.files, call.config, version.name)
        seen.channels = packages
        return version_wrong(version, why)
    end
end

--- Why scripts' processes cannot be had here; an engine that runs has them.
local function no_processes(call)
    if call.config.scripts.isolation ~= "process" or call.pass.store == "owned" then
        return nil
    end
    local ready, err = isolate.processes { max = 1 }
    return not ready and err.message or nil
end

---@param call tael.cli.Call
---@param seen { channels: table<string, tael.channel.Package>? } gets the packages of the version that runs
---@return tael.cli.Check
function script_checks.check(call, seen)
    local refused = no_processes(call)
    if refused then
        return places.fail(text("doctor.no_processes", { reason = refused }),
            text "doctor.no_processes.next")
    end
    local wrong, merchants = { look_at_channels(call, seen) }, 0
    loading.open(call.options.lua_root)
    for _, one in ipairs(own_scripts.of_merchants(call)) do
        local why = wrong_with(call, one.merchant, one.own)
        wrong[#wrong + 1] = why
        merchants = merchants + (one.own and 1 or 0)
    end
    local jobs, why = look_at_part(call, "jobs")
    wrong[#wrong + 1] = why
    local _
    _, why = look_at_part(call, "routes")
    wrong[#wrong + 1] = why
    local strays = own_scripts.strays(call)
    local check
    if #wrong > 0 then
        check = places.fail(table.remove(wrong, 1), text "doctor.scripts.next")
    elseif #strays > 0 then
        check = places.warn(table.remove(strays, 1), text "doctor.scripts.stray.next")
    else
        return places.ok(text("doctor.scripts", { merchants = merchants, jobs = jobs }))
    end
    table.move(strays, 1, #strays, #wrong + 1, wrong)
    check.more = table.move(wrong, 1, math.min(#wrong, MORE_MAX), 1, {})
    return check
end

return script_checks
