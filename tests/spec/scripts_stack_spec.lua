-- What an author sees of a failure: places in its own files, none in those that Tael puts beside them.
local effects = require "tael.effects"
local isolate = require "tael.isolate"
local loading = require "tael.scripts.loading"
local own = require "tael.scripts.own"

loading.open "lua"

local ROUTES = [[
local tael = require "tael"
local function deep(cart)
    return cart.total + 1
end
return {
    ["POST /sum"] = function(request) return { text = deep(request.json) } end,
    ["POST /add"] = function() return { text = tostring(tael.money.add("x", 1)) } end,
    ["POST /split"] = function() return { text = tael.money.split(5, nil) } end,
    ["POST /odd"] = function() return { txt = "x" } end,
    ["POST /text"] = function() error "tael/no.lua:1: mine" end,
}
]]

describe("a failure", function()
    local unit = isolate.generation { name = "merchants/tael", key = "stack",
        files = own.beside { ["routes.lua"] = ROUTES }, effects = effects.names }

    local function told(key)
        local opened <close> = unit:open("tael/route.lua", { "call", 1, 2, 3 },
            { key, { headers = {}, body = "{}" }, "json" }, 1000000)
        local state, _, text = opened:go()
        assert.are.equal("failed", state)
        return text
    end

    it("has the author's calls, and not those that led to the author", function()
        local text = told "POST /sum"
        assert.matches("^merchants/tael/routes.lua:3: attempt to perform arithmetic", text)
        assert.matches("\n  merchants/tael/routes.lua:3: in upvalue 'deep'\n", text, 1, true)
        assert.matches("\n  merchants/tael/routes.lua:6: in ", text, 1, true)
        assert.is_nil(text:find("tael/route.lua", 1, true), text)
    end)

    it("in what Tael offers is told where it was called", function()
        assert.matches("^merchants/tael/routes.lua:7: tael.money: amount must be an integer",
            told "POST /add")
        local text = told "POST /split"
        assert.matches("^merchants/tael/routes.lua:8: attempt to ", text)
        assert.is_nil(text:find("money.lua", 1, true), text)
    end)

    it("of an answer is told of its route alone", function()
        local text = told "POST /odd"
        assert.are.equal(1, text:find('routes.lua: ["POST /odd"]: the answer: unknown field', 1, true), text)
        assert.matches("^merchants/tael/routes.lua:10: tael/no.lua:1: mine\n", told "POST /text")
    end)
end)
