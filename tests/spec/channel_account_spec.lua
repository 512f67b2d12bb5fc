-- An account's fields against the manifest's schema, and what the package's functions get.
local support = dofile "tests/spec/channel_support.lua"

local account = require "tael.channel.account"
local loader = require "tael.channel.loader"

local package = loader.load(support.scripts).alipay

local function fields_with(changed)
    local fields = {}
    for name, value in pairs(support.fields) do
        fields[name] = value
    end
    for name, value in pairs(changed) do
        fields[name] = value ~= "absent" and value or nil
    end
    return fields
end

describe("channel.account.check", function()
    for what, case in pairs {
        ["a non-numeric app id"] = { { app_id = "x" }, "app_id", "app_id: has a wrong form" },
        ["a number as app id"] = { { app_id = 5 }, "app_id", "app_id: must be a string" },
        ["an app id that is too long"] = { { app_id = ("1"):rep(33) }, "app_id",
            "app_id: is longer than 32 bytes" },
        ["a misspelt field"] = { { app_ids = "1" }, "app_ids",
            "app_ids: unknown field; did you mean 'app_id'?" },
        ["a field of nobody"] = { { zzzzzzzzzzzzz = 1 }, "zzzzzzzzzzzzz", "zzzzzzzzzzzzz: unknown field" },
        ["a missing field"] = { { app_id = "absent" }, "app_id",
            "app_id: is missing: application id from the open platform's console" },
        ["an empty field"] = { { seller_id = "" }, "seller_id", "seller_id: must not be empty" },
        ["a seller that is no Alipay user"] = { { seller_id = "1234" }, "seller_id",
            "seller_id: has a wrong form" },
        ["a gateway without TLS"] = { { gateway = "http://openapi.alipay.com/gateway.do" }, "gateway",
            "gateway: must be https in production" },
        ["a gateway with a user"] = { { gateway = "https://u:p@host/x" }, "gateway",
            "gateway: must be an http or https URL without user, query or fragment" },
        ["a gateway with a query"] = { { gateway = "https://host/x?a=1" }, "gateway",
            "gateway: must be an http or https URL without user, query or fragment" },
        ["a weaker algorithm"] = { { sign_type = "RSA" }, "sign_type", "sign_type: must be one of: RSA2" },
        ["a path as key name"] = { { key = "../../etc/passwd" }, "key",
            "key: must be the name of a key in keys.folder" },
    } do
        it("refuses " .. what, function()
            local checked, err = account.check(package, fields_with(case[1]), "production")
            assert.is_nil(checked)
            assert.are.same({ code = "configuration_invalid", field = case[2], message = case[3] }, err)
        end)
    end

    it("refuses text in another encoding: it is kept and shown as JSON", function()
        local free = { fields = { shop = { type = "string" } } }
        local fields, err = account.check(free, { shop = "\xd6\xd0" }, "sandbox")
        assert.is_nil(fields)
        assert.are.equal("shop: must be text in UTF-8", err.message)
        assert.are.same({ shop = "中" }, account.check(free, { shop = "中" }, "sandbox"))
    end)

    it("fills in the gateway of the environment", function()
        local fields = fields_with { gateway = "absent" }
        assert.are.equal("https://openapi.alipay.com/gateway.do",
            account.check(package, fields, "production").gateway)
        assert.are.equal("https://openapi-sandbox.dl.alipaydev.com/gateway.do",
            account.check(package, fields, "sandbox").gateway)
    end)

    it("lets a sandbox be reached without TLS", function()
        local checked = account.check(package, fields_with { gateway = "http://127.0.0.1:8090/gateway.do" },
            "sandbox")
        assert.are.equal("http://127.0.0.1:8090/gateway.do", checked.gateway)
    end)

    it("does not guess the environment", function()
        assert.has_error(function() account.check(package, support.fields, nil) end)
    end)
end)

describe("channel.account.options", function()
    it("checks a payment's channel_options", function()
        assert.are.same({ form = true }, account.options(package, { form = true }))
        local _, err = account.options(package, { form = "yes" })
        assert.are.equal("form: must be true or false", err.message)
        _, err = account.options(package, { from = true })
        assert.are.equal("from: unknown field; did you mean 'form'?", err.message)
    end)
end)

describe("channel.account.prepare", function()
    local function prepare(changed)
        return support.with_keys(function()
            return account.prepare(package, {
                id = support.account_id, slug = "spec", environment = "production",
                fields = fields_with(changed),
            })
        end)
    end

    it("puts handles in place of key names, bound to the account", function()
        local prepared = assert(prepare {})
        assert.are.equal(support.account_id, prepared.id)
        assert.are.equal(support.sign_key("merchant"):id(), prepared.key:id())
        assert.has_error(function() prepared.alipay_key:sign("sha256", "x") end)
        assert.is_nil(tostring(prepared.key):find("MII", 1, true))
    end)

    it("cannot be changed by a package", function()
        local prepared = assert(prepare {})
        assert.has_error(function() prepared.app_id = "1" end)
        assert.is_false(getmetatable(prepared))
    end)

    it("refuses a merchant's own public key in Alipay's place", function()
        local prepared, err = prepare { alipay_key = "merchant" }
        assert.is_nil(prepared)
        assert.are.equal("alipay_key", err.field)
        assert.is_truthy(err.message:find("is the public half of 'key'", 1, true))
    end)

    it("names the field of a key that is not there", function()
        local prepared, err = prepare { key = "nobody" }
        assert.is_nil(prepared)
        assert.are.equal("key: key 'nobody': no key 'nobody'", err.message)
    end)
end)
