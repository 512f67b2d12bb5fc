--- What tael init writes: a name from the folder's, and a file that the configuration takes.
require "tests.spec.cli_support"
local config = require "tael.config"
local project = require "tael.cli.project"
local texts = require "tael.cli.texts"

describe("tael init", function()
    after_each(function() texts.use "en" end)

    for path, slug in pairs {
        ["shop"] = "shop", ["/srv/My Shop/"] = "my-shop", ["咖啡"] = "shop", ["咖啡-cafe"] = "cafe",
        ["2026_till"] = "till", ["x"] = "shop", ["a..b--"] = "a-b", [("long"):rep(20)] = ("long"):rep(5),
    } do
        it("calls the merchant of " .. path .. " " .. slug, function()
            assert.are.equal(slug, project.slug(path))
        end)
    end

    for given, folders in pairs {
        ["/"] = { "/", "/scripts" }, ["no/such//"] = { "no/such", "no/such/scripts" }, ["."] = { "scripts" },
    } do
        it("makes its folders in " .. given, function()
            local plan = {}
            project.plan(plan, nil, { rest = { given }, root = "/no/such" })
            assert.are.same(folders, { table.unpack(plan.folders, 1, #folders) })
        end)
    end

    for _, language in ipairs(texts.LANGUAGES) do
        it("writes a configuration that is right: " .. language, function()
            texts.use(language)
            local text = project.configuration("my-shop", "My \"Shop\" 咖啡 %d")
            local loaded = assert(config.load { text = text, root = "/srv", env = {} })
            assert.is_true(loaded.dev)
            assert.are.same({ "my-shop.test" }, { next(loaded.merchants) and (next(loaded.merchants)) })
            local merchant = loaded.merchants["my-shop.test"]
            assert.are.equal("My \"Shop\" 咖啡 %d", merchant.name)
            local account = merchant.accounts["alipay-my-shop"]
            assert.are.equal("http://127.0.0.1:8090/gateway.do", account.gateway)
        end)
    end
end)
