--- Every snippet of routes in scripts/README.md is a routes.lua that passes the checks and answers as the
--- guide says: `--> "KEY" {request} => effect results => … => status, what is sent`.
require "tests.spec.kernel_support"
local arguments = require "tael.scripts.arguments"
local effects = require "tael.effects"
local json = require "tael.json"
local loading = require "tael.scripts.loading"
local route_contract = require "tael.scripts.route_contract"

loading.open "lua"

local function value_of(text)
    return table.pack(assert(load("return " .. text, text, "t", {}))())
end

local function steps_of(line)
    local steps = {}
    for step in (line .. " => "):gmatch "(.-) => " do
        steps[#steps + 1] = step
    end
    return steps
end

local function snippets()
    local file <close> = assert(io.open "scripts/README.md")
    local list = {}
    for block in file:read("a"):gmatch "```lua\n(.-)```" do
        if block:find "local routes =" then
            local lines = {}
            for line in block:gmatch "%-%-> ([^\n]+)" do
                lines[#lines + 1] = line
            end
            list[#list + 1] = { text = block, lines = lines }
        end
    end
    return list
end

local function request_of(given, key)
    local request = { method = key:match "^%u+", path = "/", params = {}, query = {}, headers = {}, body = "",
        ip = "127.0.0.1" }
    for name, value in pairs(given) do
        request[name] = value
    end
    return request
end

local function route_of(tree, key)
    local stack = { tree }
    while #stack > 0 do
        local node = table.remove(stack)
        for _, route in pairs(node.methods or {}) do
            if route.key == key then
                return route
            end
        end
        for _, child in pairs(node.next) do
            stack[#stack + 1] = child
        end
        stack[#stack + 1] = node.any
    end
end

local function answer(generation, line)
    local steps = steps_of(line)
    local key, given = steps[1]:match '^"([^"]+)" (.*)$'
    local route = assert(route_of(generation.routes, key), key)
    local call <close> = generation.unit:open("tael/route.lua", { "call", 1, 2, 3 },
        { key, request_of(value_of(given)[1], key), route.body }, 1000000)
    local told = table.pack(call:go())
    for i = 2, #steps - 1 do
        local name, results = steps[i]:match "^(%S+) (.*)$"
        assert.are.same({ "effect", name }, { told[1], told[2] }, told[3])
        assert.is_nil(arguments.wrong(effects.by_name[name], table.pack(table.unpack(told, 3, told.n))))
        results = value_of(results)
        told = table.pack(call:go(table.unpack(results, 1, results.n)))
    end
    assert.are.equal("done", told[1], told[3])
    return assert(route_contract.response(told[2])), value_of(steps[#steps])
end

describe("the guide to routes", function()
    local all = snippets()

    it("has snippets", function()
        assert.is_true(#all >= 3)
    end)

    for i, snippet in ipairs(all) do
        it(("is right in snippet %d"):format(i), function()
            local generation, why = loading.load("guide" .. i, { ["routes.lua"] = snippet.text })
            assert.is_nil(why)
            assert.is_true(#snippet.lines > 0)
            for _, line in ipairs(snippet.lines) do
                local response, expected = answer(generation, line)
                assert.are.equal(expected[1], response.status, line)
                if type(expected[2]) == "table" then
                    assert.are.same(expected[2], (json.decode(response.body)))
                elseif expected[2] then
                    assert.are.equal(expected[2], response.body)
                end
            end
        end)
    end
end)

describe("the demo merchant's routes", function()
    it("pass the checks", function()
        local folder = require "tael.folder"
        local generation, why = loading.load("demo.test", folder.read("scripts/merchants/demo.test").files)
        assert.is_nil(why)
        assert.are.same({ "GET /orders/:id", "POST /orders" }, generation.route_keys)
    end)
end)
