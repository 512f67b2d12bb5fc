--- tael test: runs merchants' spec/*_spec.lua in isolates, as an engine does before it lets scripts run;
--- where one asks for the channels' sandboxes, in a rehearsal. Exits 1 when one fails.
local exits = require "tael.cli.exits"
local json = require "tael.json"
local loading = require "tael.scripts.loading"
local own_scripts = require "tael.cli.own_scripts"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of
local values = require "tael.config.values"

local REHEARSE = 100 -- nothing is done yet: the command is to be run in a rehearsal (engine/words.h)

local test = { name = "test", usage = "[PATH]", min = 0, max = 1 }

---@class tael.cli.Tested
---@field merchant string
---@field passed integer
---@field failed integer
---@field pending integer
---@field failures { name: string, error: string }[]
---@field error string? the scripts themselves are wrong: nothing was run

---@param own tael.cli.OwnScripts
---@param rehearsal table? tael.rehearsal.world
---@return tael.cli.Tested
local function test_one(own, rehearsal)
    local result, why = nil, own.error
    if own.files then
        local _
        _, why, result = loading.check(own.merchant, own.files, nil, rehearsal and function(generation)
            return rehearsal.new(own.merchant, generation)
        end)
    end
    if not result then
        return { merchant = own.merchant, passed = 0, failed = 0, pending = 0, failures = json.array {},
            error = why }
    end
    return { merchant = own.merchant, passed = result.passed, failed = result.failed,
        pending = result.pending, failures = json.array(result.failures) }
end

local function show(tested)
    for _, failure in ipairs(tested.failures) do
        screen.line(screen.state("fail", "fail") .. "  " .. failure.name)
        screen.line("      " .. failure.error)
    end
    if tested.error then
        screen.line(screen.state("fail", "fail") .. "  " .. tested.error)
    else
        screen.line((tested.failed == 0 and screen.state "ok" .. "    " or screen.state "fail" .. "  ")
            .. text("test.done", { merchant = tested.merchant, passed = tested.passed,
                failed = tested.failed, pending = tested.pending }))
    end
end

local function wants_sandboxes(list)
    for _, own in ipairs(list) do
        for path, file in pairs(own.files or {}) do
            if path:find "^spec/" and file:find("sandbox", 1, true) then
                return true
            end
        end
    end
    return false
end

function test.run(call)
    local list, failure = own_scripts.all(call)
    if not list then
        return nil, failure
    end
    local rehearsal, wrong = call.pass.rehearsal, 0
    if not rehearsal and wants_sandboxes(list) then
        if not values.is_merchant(list[1].merchant) then
            return exits.fail(exits.no, text("test.no_slug", { path = call.rest[1] }),
                text "test.no_slug.next")
        end
        return REHEARSE
    end
    for _, own in ipairs(list) do
        local tested = test_one(own, rehearsal)
        wrong = wrong + tested.failed + (tested.error and 1 or 0)
        if call.json then
            screen.object(tested)
        else
            show(tested)
        end
    end
    return wrong > 0 and exits.no or exits.done
end

return test
