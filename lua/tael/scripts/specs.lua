--- A merchant's spec/*_spec.lua: run in an isolate of their own, under budgets, before the scripts that they
--- speak of are. What they may say is scripts/inside/test.lua.
local effects = require "tael.effects"
local files_of = require "tael.scripts.files"
local folder = require "tael.folder"
local isolate = require "tael.isolate"
local own = require "tael.scripts.own"

local specs = {}

local STEPS = 2000000 -- of each test
local STEPS_ALL = 200000000
local FAILURES_MAX, TESTS_MAX = 20, 200
local ENTRY = "tael/specs.lua"
local WORDS = 'local describe,it,pending,before_each,after_each,assert=require("tael.test").words() '

local library -- text of tael.test

--- Where the engine's own Lua lies. Before anything is run.
---@param lua_root string
function specs.open(lua_root)
    library = library or assert(folder.read(lua_root .. "/tael/scripts/inside")).files["test.lua"]
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
    local all, parts = { ["tael/test.lua"] = library }, {}
    for path, text in pairs(files) do
        all[path] = text
    end
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
        list[i] = { name = one.name:sub(1, 200), pending = one.pending == true }
    end
    return list
end

local function fail(result, name, why)
    result.failed = result.failed + 1
    if #result.failures < FAILURES_MAX then
        result.failures[#result.failures + 1] = { name = name, error = why }
    end
end

local function run_one(unit, result, number, name, steps)
    local answer = unit:ask(ENTRY, { { "run", 1 } }, { number }, steps)[1]
    if answer[1] then
        result.passed = result.passed + 1
    else
        fail(result, name, answer[3])
    end
end

--- In a task others go on in between.
---@param name string owner of the files: "merchants/acme"
---@param files table<string, string>
---@param isolation "state"|"process"
---@return tael.scripts.Specs
function specs.run(name, files, isolation)
    local result, paths = { passed = 0, failed = 0, pending = 0, failures = {} }, specs.of(files)
    if #paths == 0 then
        return result
    end
    local all = with_runner(files, paths)
    local unit = isolate.generation { name = name, key = name .. "!" .. files_of.digest(all),
        files = own.beside(all), effects = effects.names, isolation = isolation }
    local listed = unit:ask(ENTRY, { { "list" } }, {}, STEPS)[1]
    local list = listed[1] and read_list(listed[2])
    if not list then
        fail(result, "loading", listed[1] and name .. ": tael.test was changed" or listed[3])
        return result
    end
    for number, one in ipairs(list) do
        if one.pending then
            result.pending = result.pending + 1
        elseif number * STEPS > STEPS_ALL then
            fail(result, one.name, "not run: all tests together have used up their budget")
        else
            run_one(unit, result, number, one.name, STEPS)
        end
    end
    return result
end

return specs
