--- tael doctor: everything that has to be right before money is taken, one line a check, each failing
--- one with what to do. Looks through a running engine where there is one, and into the store itself
--- where there is none.
local checks = require "tael.cli.checks"
local deep = require "tael.cli.deep"
local exits = require "tael.cli.exits"
local json = require "tael.json"
local plan_of = require "tael.config.plan"
local screen = require "tael.cli.screen"
local settings = require "tael.cli.settings"
local text = require("tael.cli.texts").of

local doctor = {
    name = "doctor", usage = "", min = 0, max = 0, any_config = true, asks = true,
    options = { deep = {} },
}

--- The store is opened by this command only when no engine owns it, and never made.
function doctor.plan(plan, config, about)
    if not config then
        return
    elseif settings.listens(settings.socket(config)) then
        plan.pass.store = "owned"
    elseif config.store.path == ":memory:" then
        plan.pass.store = "memory"
    elseif about.store_error then
        plan.pass.store = "refused"
    elseif not settings.exists(config.store.path) then
        plan.pass.store = "new"
    else
        plan.pass.store = "open"
        plan.store = plan_of.store(config, about.lua_root, false)
        plan.store.sql[#plan.store.sql + 1] = about.lua_root .. "/tael/cli/doctor.sql"
    end
end

local NAMES = { "config", "engine", "clock", "gconv", "libcurl", "disk", "store", "scripts", "keys", "ports",
    "tls", "channels" }
local WITHOUT_CONFIG = { config = true, gconv = true, libcurl = true }

local NAME_WIDTH = 11
local DETAIL_MAX = 70 -- beyond it a detail does not move the others' hints

local function run_one(name, call, seen)
    local ran, result = pcall(checks[name], call, seen)
    if not ran then
        local message = type(result) == "table" and result.message or tostring(result)
        result = { verdict = "fail", detail = text("doctor.broken", { reason = message }),
            next = text "doctor.broken.next" }
    end
    result.name = name
    return result
end

local function run_all(call)
    local seen = { has_store = call.pass.store ~= "new" and call.pass.store ~= "memory" }
    local results = {}
    for _, name in ipairs(NAMES) do
        if call.config or WITHOUT_CONFIG[name] then
            results[#results + 1] = run_one(name, call, seen)
        end
    end
    if call.flags.deep and call.config then
        local found = deep.checks(call)
        table.move(found, 1, #found, #results + 1, results)
    end
    return results
end

--- The column in which hints begin.
local function hint_column(results)
    local widest = 0
    for _, result in ipairs(results) do
        local width = result.next and screen.width(result.detail) or 0
        if width <= DETAIL_MAX then
            widest = math.max(widest, width)
        end
    end
    return widest
end

local function print_all(results)
    local column = hint_column(results)
    for _, result in ipairs(results) do
        local detail = result.detail
        if result.next then
            detail = ("%s   → %s"):format(screen.pad(detail, column), screen.with_given(result.next))
        end
        screen.line(("%s %s %s"):format(screen.pad(screen.state(result.verdict), 4),
            screen.pad(result.name, NAME_WIDTH), detail))
        for _, line in ipairs(result.more or {}) do
            screen.line((" "):rep(NAME_WIDTH + 6) .. line)
        end
    end
end

function doctor.run(call)
    local results, good = run_all(call), true
    for _, result in ipairs(results) do
        good = good and result.verdict ~= "fail"
        if call.json then
            screen.object {
                name = result.name, verdict = result.verdict, detail = result.detail,
                next = result.next or json.null, differences = json.array(result.more or {}),
            }
        end
    end
    if not call.json then
        print_all(results)
    end
    return good and exits.done or exits.no
end

return doctor
