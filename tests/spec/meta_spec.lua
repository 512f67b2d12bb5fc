--- What is written down about the C modules is what they have, no more and no less.
describe("the annotations of", function()
    local function functions(module)
        local names = {}
        for name, value in pairs(module) do
            if type(value) == "function" then names[#names + 1] = name end
        end
        table.sort(names)
        return names
    end

    for _, name in ipairs { "crypto", "decimal", "engine", "form", "id", "json", "limit", "log", "machine",
        "message", "problems", "qr", "routes", "script", "terminal", "text", "time" } do
        it("tael." .. name, function()
            local written = dofile("lua/tael/meta/" .. name .. ".lua")
            assert.are.same(functions(require("tael." .. name)), functions(written))
        end)
    end
end)

describe("what is written down about jobs", function()
    local function fields_of(class)
        local text = assert(io.open("lua/tael/meta/jobs.lua")):read "a"
        local block = text:match("%-%-%-@class " .. class:gsub("%.", "%%.") .. "\n(.-)\n[^-]") or
            text:match("%-%-%-@class " .. class:gsub("%.", "%%.") .. "\n(.*)$")
        local names = {}
        for name in block:gmatch("%-%-%-@field ([%w_]+)") do
            names[name] = true
        end
        return names
    end

    it("is what a job may have", function()
        assert.are.same(require("tael.scripts.job_files").FIELDS, fields_of "tael.Job")
    end)

    it("is what a job is given", function()
        local names = {}
        for name in pairs(require("tael.scripts.job_files").given({ name = "daily" }, 0, "acme")) do
            names[name] = true
        end
        assert.are.same(names, fields_of "tael.JobRun")
    end)

    it("is found by an editor", function()
        for _, place in ipairs { "scripts", "scripts/merchants/demo.test" } do
            local text = assert(io.open(place .. "/.luarc.json")):read "a"
            local library = require("tael.json").decode(text)["workspace.library"][1]
            assert(io.open(place .. "/" .. library .. "/jobs.lua"), place):close()
        end
    end)
end)
