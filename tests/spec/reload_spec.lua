--- What a reload finds changed.
dofile "tests/spec/cli_support.lua"

local config = require "tael.config"
local json = require "tael.json"
local reload = require "tael.reload"

local function loaded(text)
    return assert(config.load { text = text, path = "tael.lua", root = "/srv/tael", env = {} })
end

--- As it lies in a running engine: it has been plain JSON on the way.
local function running(text)
    return json.decode(json.encode(loaded(text)))
end

local shop = [[return { http = { listen = { "127.0.0.1:%d" } }, merchants = { acme = { mode = "test",
    accounts = { ["acme-main"] = { channel = "alipay", environment = "sandbox", app_id = "%s", key = "k",
    gateway = "http://127.0.0.1:8090" } } } } }]]

describe("a reload", function()
    it("finds nothing where nothing has changed", function()
        for _, text in ipairs { "return {}", shop:format(80, "1"),
            [[return { keys = { master = secret.env "MASTER" }, limits = { key = false } }]] } do
            assert.are.same({}, reload.changed(running(text), loaded(text)))
        end
    end)

    it("names keys in the order of the schema, and what follows from them", function()
        assert.are.same({ "drain", "http.listen", "http.public_url" },
            reload.changed(running "return {}",
                loaded [[return { http = { listen = { "127.0.0.1:9" } }, drain = "3s" }]]))
        assert.are.same({ "keys.master" }, reload.changed(running "return {}",
            loaded [[return { keys = { master = secret.env "MASTER" } }]]))
    end)

    it("names what differs in merchants and accounts, never a value", function()
        assert.are.same({ "merchants.acme.accounts.acme-main.app_id" },
            reload.changed(running(shop:format(80, "1")), loaded(shop:format(80, "2"))))
        local with, without = shop:format(8080, "1"), "return {}"
        assert.are.same({ "merchants.acme" }, reload.changed(running(with), loaded(without)))
        assert.are.same({ "merchants.acme" }, reload.changed(running(without), loaded(with)))
        local more = shop:gsub("accounts = {", 'name = "Acme", accounts = { b2 = { channel = "alipay", '
            .. 'environment = "sandbox" },')
        assert.are.same({ "merchants.acme.accounts.b2", "merchants.acme.name" },
            reload.changed(running(shop:format(80, "1")), loaded(more:format(80, "1"))))
    end)
end)
