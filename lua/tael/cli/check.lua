--- tael check: are merchants' scripts right, and the operator's jobs. Loads them as an engine does, in
--- isolates, and asks nothing of an engine; exits 1 and names file and line of what is wrong.
local exits = require "tael.cli.exits"
local files_of = require "tael.scripts.files"
local job_files = require "tael.scripts.job_files"
local json = require "tael.json"
local loading = require "tael.scripts.loading"
local own_scripts = require "tael.cli.own_scripts"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of

local check = { name = "check", usage = "[PATH]", min = 0, max = 1 }

---@class tael.cli.Checked
---@field merchant string
---@field generation string? id
---@field rules string[]
---@field routes string[] "POST /orders"
---@field error string?

---@param own tael.cli.OwnScripts
---@return tael.cli.Checked
local function check_one(own)
    local generation, why = nil, own.error
    if own.files then
        generation, why = loading.check(own.merchant, own.files)
    end
    return { merchant = own.merchant, generation = generation and generation.id, error = why,
        rules = json.array(files_of.paths(generation and generation.rules or {})),
        routes = json.array(generation and generation.route_keys or {}) }
end

local function show(checked)
    if checked.error then
        screen.line(screen.state("fail", "fail") .. "  " .. checked.error)
    else
        screen.line(screen.state "ok" .. "    " .. text("check.ok", { merchant = checked.merchant,
            generation = checked.generation, rules = table.concat(checked.rules, " "),
            routes = table.concat(checked.routes, ", ") }))
    end
end

local function names_of(jobs)
    local names = json.array {}
    for i, job in ipairs(jobs) do
        names[i] = job.name
    end
    return names
end

--- The operator's jobs, when all is looked at. How many things are wrong with them.
local function check_jobs(call)
    local own = not call.rest[1] and own_scripts.of_part(call, "jobs")
    if not own then
        return 0
    end
    local generation, why = nil, own.error
    if own.files then
        generation, why = job_files.check(own.files)
    end
    local names = names_of(generation and generation.jobs or {})
    if call.json then
        screen.object { owner = "jobs", generation = generation and generation.id, jobs = names, error = why }
    elseif why then
        screen.line(screen.state("fail", "fail") .. "  " .. why)
    else
        screen.line(screen.state "ok" .. "    " .. text("check.jobs", { generation = generation.id,
            jobs = table.concat(names, " ") }))
    end
    return why and 1 or 0
end

function check.run(call)
    local list, failure = own_scripts.all(call)
    local wrong = list and check_jobs(call) or 0
    if not list then
        return nil, failure
    end
    for _, own in ipairs(list) do
        local checked = check_one(own)
        wrong = wrong + (checked.error and 1 or 0)
        if call.json then
            screen.object(checked)
        else
            show(checked)
        end
    end
    return wrong > 0 and exits.no or exits.done
end

return check
