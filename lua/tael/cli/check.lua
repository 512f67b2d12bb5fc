--- tael check: are merchants' scripts right. Loads them as an engine does, in isolates, and asks nothing of
--- an engine; exits 1 and names file and line of what is wrong.
local exits = require "tael.cli.exits"
local folder = require "tael.folder"
local generations = require "tael.scripts.generations"
local json = require "tael.json"
local plan_of = require "tael.config.plan"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of

local check = { name = "check", usage = "[PATH]", min = 0, max = 1 }

---@class tael.cli.Checked
---@field merchant string
---@field generation string? id
---@field rules string[]
---@field error string?

local function sorted(map)
    local names = {}
    for name in pairs(map or {}) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

--- nil: there are no scripts.
---@return tael.cli.Checked?
local function check_one(merchant, path)
    local found, err = folder.read(path)
    if not found then
        return err.code ~= "not_found"
            and { merchant = merchant, rules = json.array {}, error = path .. "/" .. err.message } or nil
    end
    local generation, why = generations.check(merchant, found.files)
    return { merchant = merchant, generation = generation and generation.id, error = why,
        rules = json.array(sorted(generation and generation.rules)) }
end

--- The folder that was named, or those of all merchants that are configured.
local function check_all(call)
    local path = call.rest[1]
    if path then
        path = path:gsub("/+$", "")
        return { check_one(path:match("([^/]+)$") or path, path) }
    end
    local list, folders = {}, plan_of.own_scripts(call.config, call.options) .. "/merchants/"
    for _, merchant in ipairs(sorted(call.config.merchants)) do
        list[#list + 1] = check_one(merchant, folders .. merchant)
    end
    return list
end

local function show(checked)
    if checked.error then
        screen.line(screen.state("fail", "fail") .. "  " .. checked.error)
    else
        screen.line(screen.state "ok" .. "    " .. text("check.ok", { merchant = checked.merchant,
            generation = checked.generation, rules = table.concat(checked.rules, " ") }))
    end
end

function check.run(call)
    local list, wrong = check_all(call), 0
    for _, checked in ipairs(list) do
        wrong = wrong + (checked.error and 1 or 0)
        if call.json then
            screen.object(checked)
        else
            show(checked)
        end
    end
    if #list == 0 then
        return exits.fail(exits.no, text "check.none", text "check.none.next")
    end
    return wrong > 0 and exits.no or exits.done
end

return check
