-- The operator's own endpoints as texts: all files of a folder are one set, or none is.
local route_files = require "tael.scripts.route_files"

local function route(body)
    return 'return { ["GET /"] = { auth = "none", handler = function() ' .. (body or "") .. " end } }\n"
end

describe("texts of routes", function()
    it("are one generation, called by what they hold", function()
        local one = route_files.load { ["b-2.lua"] = route(), ["a.lua"] = route() }
        local same = route_files.load { ["a.lua"] = route(), ["b-2.lua"] = route() }
        local other = route_files.load { ["a.lua"] = route(), ["b-3.lua"] = route() }
        assert.same({ "a", "b-2" }, one.names)
        assert.equal(one.id, same.id)
        assert.not_equal(one.id, other.id)
        assert.same({}, route_files.load({}).names)
    end)

    for told, files in pairs {
        ["routes/b.lua:2: "] = { ["a.lua"] = route(), ["b.lua"] = "return {\n" },
        ["routes/a.lua:1: GET: "] = { ["a.lua"] = 'return { ["GET"] = function() end }' },
        ["routes/lib/a.lua: a route's file lies in the folder itself"] = { ["lib/a.lua"] = route() },
        ["routes/-a.lua: a path is made of"] = { ["-a.lua"] = route() },
        ["routes/a.lua: a file has at most 256 KiB"] = { ["a.lua"] = ("-"):rep(262145) },
    } do
        it("are refused: " .. told, function()
            local generation, why = route_files.load(files)
            assert.is_nil(generation)
            assert.equal(told, why:sub(1, #told))
        end)
    end

    it("let others go on while many are loaded", function()
        local files, paused = {}, 0
        for number = 1, 64 do
            files["r" .. number .. ".lua"] = route() .. "--" .. ("x"):rep(4096)
        end
        assert.equal(64, #route_files.load(files, function() paused = paused + 1 end).names)
        assert.is_true(paused >= 16)
        assert.is_not_nil(route_files.check(files, function() paused = paused + 1 end))
        assert.is_true(paused >= 32)
    end)

    it("have no name that nothing has, before they run for the first time", function()
        local files = { ["a.lua"] = route "return { json = nmae }" }
        assert.is_not_nil(route_files.load(files))
        local generation, why = route_files.check(files)
        assert.is_nil(generation)
        assert.equal("routes/a.lua:1: unknown global 'nmae'", why:match "^[^:]+:%d+: [^:]+")
        assert.is_not_nil(route_files.check { ["a.lua"] = route "return { json = tostring(1) }" })
    end)
end)
