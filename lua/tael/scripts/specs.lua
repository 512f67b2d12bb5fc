--- A merchant's spec/*_spec.lua: run in an isolate of their own, under budgets, before the scripts that they
--- speak of are. What they may say is scripts/inside/test.lua. Nothing that they do has an effect: what a
--- route asks for is asked of the spec, in the same isolate, while the route waits.
local arguments = require "tael.scripts.arguments"
local effects = require "tael.effects"
local files_of = require "tael.scripts.files"
local isolate = require "tael.isolate"
local own = require "tael.scripts.own"
local shown = require "tael.shown"
local world = require "tael.scripts.effects.world"

local specs = {}

local STEPS = 2000000 -- of each test, and of what it is asked
local STEPS_ALL = 100000000 -- of all: half a second to one
local SPEC_MAX = 255 * 1024
local FAILURES_MAX, TESTS_MAX, EFFECTS_MAX = 20, 200, 100
local ENTRY = "tael/specs.lua"
local WORDS = 'local describe,it,pending,before_each,after_each,assert=require("tael.test").words() '

--- The names of all effects, as a module.
local function names_module()
    local parts = {}
    for i, effect in ipairs(effects.list) do
        parts[i] = ("[%q]=true"):format(effect.name)
    end
    return "return {" .. table.concat(parts, ",") .. "}"
end

---@param files table<string, string>
---@return string[] paths
function specs.of(files)
    local list = {}
    for _, path in ipairs(files_of.paths(files)) do
        if path:find("^spec/.*_spec%.lua$") then
            list[#list + 1] = path
        end
    end
    return list
end

--- The same files with what runs the specs among them. The words stand on the first line: lines stay lines.
local function with_runner(files, paths)
    local all, parts = {}, {}
    for _, some in ipairs { files, own.of_specs } do
        for path, text in pairs(some) do
            all[path] = text
        end
    end
    all["tael/effect_names.lua"] = names_module()
    for i, path in ipairs(paths) do
        all[path] = WORDS .. files[path]
        parts[i] = ("require %q "):format(path:sub(1, -5):gsub("/", "."))
    end
    all[ENTRY] = table.concat(parts) .. 'return require("tael.test").runner'
    return all
end

---@class tael.scripts.Specs
---@field passed integer
---@field failed integer
---@field pending integer
---@field used integer steps
---@field failures { name: string, error: string }[] the first 20; error with file and line where there is one

--- What the isolate says there is: it may say anything.
local function read_list(given)
    if type(given) ~= "table" then
        return nil
    end
    local list = {}
    for i, one in ipairs(given) do
        if i > TESTS_MAX or type(one) ~= "table" or type(one.name) ~= "string" then
            return nil
        end
        list[i] = { name = shown(one.name, 200), pending = one.pending == true }
    end
    return list
end

local function fail(result, name, why)
    result.failed = result.failed + 1
    if #result.failures < FAILURES_MAX then
        result.failures[#result.failures + 1] = { name = name, error = why }
    end
end

---@class tael.scripts.SpecRun
---@field unit tael.isolate.Generation
---@field left integer steps
---@field rehearsal tael.rehearsal.World? where there are sandboxes
---@field real boolean? this test has asked for them

local function steps_of(run)
    return math.max(math.min(STEPS, run.left), 1)
end

--- What the spec's world says to an effect, packed; nil and what is wrong.
local function ask_spec(run, name, given)
    local answers, used = run.unit:ask(ENTRY, { { "effect", 1, 2 } }, { name, given }, steps_of(run))
    local answer = answers[1]
    run.left = run.left - used
    if not answer[1] then
        return nil, answer[3]
    end
    local results = answer[2]
    if type(results) ~= "table" or math.type(results.n) ~= "integer" or results.n < 0 or results.n > 16 then
        return nil, "tael.test was changed"
    end
    return results
end

--- On the spec's clock, where no moment is named.
local function date_of(run, format, ms, zone)
    if ms == nil then
        local now, why = ask_spec(run, "now", { n = 0 })
        if not now or math.type(now[1]) ~= "integer" then
            return nil, why or "tael.test was changed"
        end
        ms = now[1]
    end
    local text, wrong = world.date(nil, format, ms, zone)
    if not text then
        return nil, "tael.date: " .. wrong
    end
    return { text, n = 1 }
end

-- ---- the channels' sandboxes ----

local PENDING = "needs the channels' sandboxes" -- which there are in `tael test`

--- What specs alone may call, besides effects: test.sandbox, test.pay, test.advance.
local sandbox = {}

function sandbox.begin(run)
    if not run.rehearsal then
        return nil, PENDING
    end
    run.rehearsal:begin()
    run.real = true
    return true
end

function sandbox.pay(run, payment)
    return run.rehearsal:pay(payment)
end

function sandbox.advance(run, ms)
    return run.rehearsal:advance(ms)
end

local function ask_sandbox(run, name, given)
    if name ~= "begin" and not run.real or name == "advance" and math.type(given[1]) ~= "integer" then
        return nil, "tael.test was changed"
    end
    local done, wrong = sandbox[name](run, given[1])
    if wrong == PENDING then
        return nil, PENDING
    end
    return { done, wrong, n = 2 }
end

local NAMES = {}
for name in pairs(sandbox) do
    NAMES[#NAMES + 1] = "sandbox." .. name
end
table.sort(NAMES)
local EFFECTS = effects.names .. " " .. table.concat(NAMES, " ")

--- What stays with the spec even then: what nobody simulates, and what is said for it to hear.
local SPEC_SAYS = { http = true, log = true, metric = true, crypto = true }

--- What an effect comes to; nil and what is wrong with it.
local function perform(run, name, given)
    local asked = name:match("^sandbox%.(.*)$")
    if asked then
        return ask_sandbox(run, asked, given)
    end
    local effect = effects.by_name[name]
    local wrong = not effect and "there is no such effect" or arguments.wrong(effect, given)
    if wrong then
        return nil, ("tael.%s: %s"):format(name, wrong)
    elseif run.real and not SPEC_SAYS[name:match("^%l+")] then
        return run.rehearsal:perform(name, given)
    elseif name == "date" then
        return date_of(run, given[1], given[2], given[3])
    end
    return ask_spec(run, name, given)
end

--- What stands behind a test that raised, or is left where it waits. After anything worse the isolate is a
--- new one.
local function clean_up(run, told, number)
    if told[1] == "effect" or told[1] == "failed" and told[2] == "raised" then
        local _, used = run.unit:ask(ENTRY, { { "after", 1 } }, { number }, steps_of(run))
        run.left = run.left - used
    end
end

local function run_one(run, result, number, name)
    local opened <close> = run.unit:open(ENTRY, { "run", 1 }, { number }, steps_of(run))
    local _ <close> = setmetatable({}, { __close = function() run.left = run.left - opened:used() end })
    local told = table.pack(opened:go())
    run.real = nil
    for _ = 1, EFFECTS_MAX do
        if told[1] ~= "effect" then
            break
        end
        local results, why = perform(run, told[2], table.pack(table.unpack(told, 3, told.n)))
        if why == PENDING then
            clean_up(run, told, number)
            result.pending = result.pending + 1
            return
        end
        told = results and table.pack(opened:go(table.unpack(results, 1, results.n))) or { nil, why }
        if not told[1] then
            told = table.pack(opened:raise(told[2]))
        end
    end
    if told[1] == "done" then
        result.passed = result.passed + 1
    else
        clean_up(run, told, number)
        fail(result, name, told[1] == "failed" and tostring(told[3]):match("^[^\n]*")
            or ("more than %d effects in one test"):format(EFFECTS_MAX))
    end
end

--- In a task others go on in between.
---@param name string owner of the files: "merchants/acme"
---@param files table<string, string>
---@param isolation "state"|"process"
---@param group string? whose process they run in, which ends with them
---@param rehearsal tael.rehearsal.World? nil: tests that ask for sandboxes are pending
---@return tael.scripts.Specs
function specs.run(name, files, isolation, group, rehearsal)
    local result, paths = { passed = 0, failed = 0, pending = 0, used = 0, failures = {} }, specs.of(files)
    if #paths == 0 then
        return result
    end
    for _, path in ipairs(paths) do
        if #files[path] > SPEC_MAX then
            fail(result, "loading", ("%s/%s: a spec has at most 255 KiB"):format(name, path))
            return result
        end
    end
    local all = with_runner(files, paths)
    local key = name .. (rehearsal and "!!" or "!") .. files_of.digest(all) -- an isolate of its own
    local unit <close> = isolate.generation { name = name, key = key,
        group = group, files = own.beside(all), effects = EFFECTS, isolation = isolation }
    local answers, used = unit:ask(ENTRY, { { "list" } }, {}, STEPS)
    local listed = answers[1]
    result.used = used
    local list = listed[1] and read_list(listed[2])
    if not list then
        fail(result, "loading", listed[1] and name .. ": tael.test was changed" or listed[3])
        return result
    end
    local run = { unit = unit, left = STEPS_ALL, rehearsal = rehearsal }
    for number, one in ipairs(list) do
        if one.pending then
            result.pending = result.pending + 1
        elseif run.left <= 0 then
            fail(result, one.name, "not run: all tests together have used up their budget")
        else
            run_one(run, result, number, one.name)
        end
    end
    result.used = used + STEPS_ALL - run.left
    return result
end

--- Why scripts do not run whose specs ended like this; nil: all passed.
---@param result tael.scripts.Specs
---@return string?
function specs.why(result)
    local first = result.failures[1]
    return first and ("%s (spec '%s'; %d of %d failed)"):format(first.error, first.name, result.failed,
        result.failed + result.passed) or nil
end

return specs
