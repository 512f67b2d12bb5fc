--- tael check: are merchants' scripts right, and the operator's jobs. Loads them as an engine does, in
--- isolates, and asks nothing of an engine; exits 1 and names file and line of what is wrong.
local exits = require "tael.cli.exits"
local files_of = require "tael.scripts.files"
local json = require "tael.json"
local loading = require "tael.scripts.loading"
local own_scripts = require "tael.cli.own_scripts"
local part_checks = require "tael.cli.part_checks"
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

--- A part that is the operator's own. Of channels and routes that are right nothing is said to people: there
--- are always some.
local function show_part(call, part, checked, why)
    if call.json then
        screen.object { owner = part, generation = checked and checked.generation, error = why,
            [part] = json.array(checked and checked.names or {}) }
    elseif why then
        screen.line(screen.state("fail", "fail") .. "  " .. why)
    elseif part == "jobs" then
        screen.line(screen.state "ok" .. "    " .. text("check.jobs", { generation = checked.generation,
            jobs = table.concat(checked.names, " ") }))
    end
end

--- The operator's own, when all is looked at. How many things are wrong with them.
local function check_parts(call)
    local wrong = 0
    for _, part in ipairs(call.rest[1] and {} or own_scripts.PARTS) do
        local own = own_scripts.of_part(call, part)
        local checked, why = nil, own and own.error
        if own and own.files then
            checked, why = part_checks.check(part, own.files, call.config)
        end
        if own then
            show_part(call, part, checked, why)
        end
        wrong = wrong + (why and 1 or 0)
    end
    return wrong
end

function check.run(call)
    local list, failure = own_scripts.all(call)
    local wrong = list and check_parts(call) or 0
    if not list then
        return nil, failure
    end
    for _, told in ipairs(call.rest[1] and {} or own_scripts.strays(call)) do
        if call.json then
            screen.hint(told)
        else
            screen.line(screen.state("warn", "warn") .. "  " .. told)
        end
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
