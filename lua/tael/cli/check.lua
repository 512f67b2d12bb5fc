--- tael check: are merchants' scripts right. Loads them as an engine does, in isolates, and asks nothing of
--- an engine; exits 1 and names file and line of what is wrong.
local exits = require "tael.cli.exits"
local files_of = require "tael.scripts.files"
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
        generation, why = loading.load(own.merchant, own.files)
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

function check.run(call)
    local list, failure = own_scripts.all(call)
    if not list then
        return nil, failure
    end
    local wrong = 0
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
