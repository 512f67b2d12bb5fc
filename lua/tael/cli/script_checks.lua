--- The check of tael doctor on scripts: the folders of all merchants and the operator's jobs load, and what
--- runs of the versions in the store would still be activated.
local job_files = require "tael.scripts.job_files"
local json = require "tael.json"
local loading = require "tael.scripts.loading"
local own_scripts = require "tael.cli.own_scripts"
local places = require "tael.cli.places"
local text = require("tael.cli.texts").of

local script_checks = {}

local MORE_MAX = 10

-- ---- the versions that run ----

--- As the store says, when this command has opened it.
local function version_in_store(slug)
    local store, versions = require "tael.store", require "tael.scripts.versions"
    local rows = store.query("doctor.merchant", { slug = slug })
    local merchant = rows and rows[1]
    local active = merchant and versions.active(merchant.id)
    local version = active and active.version and versions.get(merchant.id, active.version)
    return version and { name = version.hash:sub(1, 16), files = version.files }
end

--- As the engine says that runs.
local function version_of_engine(call, slug)
    local client = call.client:as(slug)
    local path = client.path("/v1/scripts/merchants/{}/versions", slug)
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

local function version_of(call, slug)
    if call.pass.store == "open" then
        return version_in_store(slug)
    elseif call.pass.store == "owned" then
        return version_of_engine(call, slug)
    end
end

-- ---- the check ----

--- What is wrong with a merchant's; nil: nothing. While a version runs the folder's files do not count.
local function wrong_with(call, slug, own)
    local version = version_of(call, slug)
    local _, why
    if version then
        _, why = loading.check(slug, version.files)
        return why and text("doctor.version_wrong", { version = version.name, reason = why })
    elseif own and own.error then
        return own.error
    elseif own then
        _, why = loading.check(slug, own.files)
        return why
    end
end

local function jobs_of(call)
    local own = own_scripts.jobs(call)
    if not own then
        return 0
    elseif own.error then
        return 0, own.error
    end
    local generation, why = job_files.check(own.files)
    return generation and #generation.jobs or 0, why
end

---@param call tael.cli.Call
---@return tael.cli.Check
function script_checks.check(call)
    local wrong, merchants = {}, 0
    loading.open(call.options.lua_root)
    for _, one in ipairs(own_scripts.of_merchants(call)) do
        local why = wrong_with(call, one.merchant, one.own)
        wrong[#wrong + 1] = why
        merchants = merchants + (one.own and 1 or 0)
    end
    local jobs, why = jobs_of(call)
    wrong[#wrong + 1] = why
    if #wrong == 0 then
        return places.ok(text("doctor.scripts", { merchants = merchants, jobs = jobs }))
    end
    local check = places.fail(table.remove(wrong, 1), text "doctor.scripts.next")
    check.more = table.move(wrong, 1, math.min(#wrong, MORE_MAX), 1, {})
    return check
end

return script_checks
