--- The document of the API: every route is in it, every reference leads somewhere, and it says of a request
--- what the checks say.
require "tests.spec.kernel_support"
local json = require "tael.json"
local json_schema = require "tael.api.json_schema"
local objects = require "tael.api.objects"
local openapi = require "tael.api.openapi"
local problem = require "tael.api.problem"
local routes = require "tael.api.routes"

local document = openapi.document(routes, { version = "1.2.3", url = "https://pay.example" })

local function each(value, visit)
    if type(value) == "table" then
        visit(value)
        for _, member in pairs(value) do
            each(member, visit)
        end
    end
end

describe("the document", function()
    it("is the JSON of one object", function()
        local text = json.encode(document)
        local again = json.decode(text, { max_tokens = 200000, max_depth = 64 })
        assert.are.equal("3.1.0", again.openapi)
        assert.are.equal("https://pay.example", again.servers[1].url)
    end)

    it("holds every route, and nothing else", function()
        local count, described = 0, 0
        for _, route in ipairs(routes) do
            local operation = document.paths[route.path][route.method:lower()]
            assert.are.equal(route.id, operation.operationId)
            assert.is_truthy(#operation.summary > 0)
            count = count + 1
        end
        for _, operations in pairs(document.paths) do
            for _ in pairs(operations) do
                described = described + 1
            end
        end
        assert.are.equal(count, described)
    end)

    it("names every operation once", function()
        local seen = {}
        for _, route in ipairs(routes) do
            assert.is_nil(seen[route.id], route.id)
            seen[route.id] = true
        end
    end)

    it("has every reference that it makes", function()
        local count = 0
        each(document, function(part)
            local reference = part["$ref"]
            if reference then
                count = count + 1
                local kind, name = reference:match("^#/components/(%w+)/([%w_-]+)$")
                assert.is_table(document.components[kind] and document.components[kind][name], reference)
            end
        end)
        assert.is_truthy(count > 100)
    end)

    it("names the words of every list of words", function()
        each(document, function(part)
            assert.is_true(part.enum == nil or #part.enum > 0)
        end)
    end)

    it("names every parameter of a path", function()
        for _, route in ipairs(routes) do
            local given = {}
            for _, parameter in ipairs(document.paths[route.path][route.method:lower()].parameters or {}) do
                given[parameter.name or 0] = parameter["in"] == "path"
            end
            for name in route.path:gmatch("{([%w_]+)}") do
                assert.is_true(given[name], route.path)
            end
        end
    end)

    it("says of every field of an object what it is", function()
        for name, schema in pairs(objects.schemas) do
            assert.is_string(schema.description, name)
            for field, property in pairs(schema.properties or {}) do
                assert.is_truthy(property.description or property.const or property["$ref"]
                    or property.anyOf, name .. "." .. field)
            end
        end
    end)

    it("knows only codes that there are, each under its status", function()
        for _, route in ipairs(routes) do
            local responses = document.paths[route.path][route.method:lower()].responses
            for _, code in ipairs(openapi.problems(route)) do
                local status = tostring(problem.codes[code].status)
                local schema = responses[status].content["application/problem+json"].schema
                local listed = {}
                for _, word in ipairs(schema.allOf[2].properties.code.enum) do
                    listed[word] = true
                end
                assert.is_true(listed[code], route.id .. " " .. code)
            end
        end
    end)

    it("asks for no credential where none is looked at, and says the scope elsewhere", function()
        for _, route in ipairs(routes) do
            local operation = document.paths[route.path][route.method:lower()]
            if route.raw then
                assert.are.same({}, operation.security)
            else
                assert.is_nil(operation.security)
                assert.is_truthy(operation.description:find(route.scope, 1, true), route.id)
            end
        end
    end)

    it("says where a route is that the API's address does not have", function()
        local clock = document.paths["/v1/system/clock"].post
        assert.is_truthy(clock.description:find("tael.sock", 1, true))
        assert.is_nil(document.paths["/v1/payments"].post.description:find("tael.sock", 1, true))
    end)

    it("describes the body by the table that checks it", function()
        local post = document.paths["/v1/payments"].post
        local schema = post.requestBody.content["application/json"].schema
        assert.are.same({ "amount", "currency", "merchant_order_id", "subject" }, schema.required)
        assert.is_false(schema.additionalProperties)
        assert.are.equal(1, schema.properties.amount.minimum)
        assert.are.equal(100000000000000, schema.properties.amount.maximum)
        assert.is_true(post.requestBody.required)
        assert.is_false(document.paths["/v1/payments/{id}/close"].post.requestBody.required)
    end)
end)

describe("a schema", function()
    for pattern, regex in pairs {
        ["^[%w_.%-]+$"] = "^[A-Za-z0-9_.\\-]+$", ["^%u%u%u$"] = "^[A-Z][A-Z][A-Z]$",
        ["^[a-z][a-z0-9]+$"] = "^[a-z][a-z0-9]+$", ["^[a-z_]+%.[a-z_]+$"] = "^[a-z_]+\\.[a-z_]+$",
        ["^%d%d?$"] = "^[0-9][0-9]?$",
    } do
        it("has Lua's pattern " .. pattern .. " as a regular expression", function()
            assert.are.equal(regex, json_schema.regex(pattern))
        end)
    end

    it("has no equal for what only Lua can say", function()
        assert.has_error(function() json_schema.regex "^a-b$" end)
    end)

    it("is of the field's type, with its limits", function()
        assert.are.same({ type = "integer", format = "int64", minimum = 1, maximum = 9 },
            json_schema.field { type = "integer", min = 1, max = 9 })
        assert.are.same({ type = "string", enum = json.array { "a", "b" } },
            json_schema.field { type = "enum", values = { "a", "b" } })
        assert.are.same({ type = "string", format = "date-time" }, json_schema.field { type = "time" })
        local words = { type = "string", enum = json.array { "a" } }
        assert.are.same({ type = "array", maxItems = 2, items = words },
            json_schema.field { type = "list", count = 2, values = { "a" } })
        assert.are.same({ type = "string", maxLength = 3, description = "x: y", pattern = "^[A-Z]+$" },
            json_schema.field { type = "string", max = 3, match = "^%u+$", form = "y", doc = "x" })
    end)

    it("lets null remove a member of metadata, and only there", function()
        local patch = document.paths["/v1/payments/{id}"].patch.requestBody.content["application/json"].schema
        assert.are.same(json.array { "string", "null" },
            patch.properties.metadata.additionalProperties.type)
        local create = document.paths["/v1/payments"].post.requestBody.content["application/json"].schema
        assert.are.equal("string", create.properties.metadata.additionalProperties.type)
    end)
end)
