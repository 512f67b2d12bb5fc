--- What answers carry: what is left of a limit, members of problems; and what a merchant decides otherwise.
require "tests.spec.kernel_support"
local json = require "tael.json"
local problem = require "tael.api.problem"
local validate = require "tael.api.validate"

--- A module made anew from stand-ins of those that it asks for.
local function made_with(name, stand_ins)
    local kept = {}
    stand_ins[name] = false
    for module, stand_in in pairs(stand_ins) do
        kept[module] = package.loaded[module]
        package.loaded[module] = stand_in or nil
    end
    local made = require(name)
    for module in pairs(stand_ins) do
        package.loaded[module] = kept[module]
    end
    return made
end

describe("a limit", function()
    local taken, asked
    local limits = { take = function(name, who)
        asked = name .. " " .. who
        return taken
    end, seconds = function(ms) return math.max(1, (ms + 999) // 1000) end }
    local rate = made_with("tael.api.rate", { ["tael.kernel.limits"] = limits })
    local policy = { count = 500, window_ms = 1000 }

    it("is told in the draft's own form", function()
        assert.are.same({ ["ratelimit-policy"] = '"key";q=500;w=1', ["ratelimit"] = '"key";r=499;t=1' },
            rate.headers { allowed = true, remaining = 499, reset_ms = 2, rate = policy })
        assert.are.equal('"key";r=0;t=3',
            rate.headers({ remaining = 0, reset_ms = 2001, rate = policy }).ratelimit)
        assert.are.equal('"key";q=5;w=60',
            rate.headers({ remaining = 0, reset_ms = 1, rate = { count = 5, window_ms = 60000 } })
                ["ratelimit-policy"])
    end)

    it("lets pass, with headers for whatever the answer is", function()
        taken = { allowed = true, remaining = 7, reset_ms = 10, rate = policy }
        local call = { caller = { key_id = 12 } }
        assert.is_true(rate.check(call))
        assert.are.equal("key 12", asked)
        assert.are.equal('"key";r=7;t=1', call.headers.ratelimit)
    end)

    it("refuses with the time to wait", function()
        taken = { allowed = false, remaining = 0, reset_ms = 4200, rate = policy }
        local call = { caller = { key_id = 12 } }
        local passed, refused = rate.check(call)
        assert.is_nil(passed)
        local response = problem.response(refused, { instance = "/", request_id = "req_1" })
        assert.are.equal(429, response.status)
        assert.are.equal("5", response.headers["retry-after"])
        assert.is_true(json.decode(response.body).retriable)
        assert.are.equal('"key";r=0;t=5', call.headers.ratelimit)
    end)

    it("is none for an operator, or when it is switched off", function()
        taken = nil
        local call = { caller = {} }
        assert.is_true(rate.check(call))
        call = { caller = { key_id = 1 } }
        assert.is_true(rate.check(call))
        assert.is_nil(call.headers)
    end)
end)

describe("limits", function()
    local config = { limits = { key = { count = 2, window_ms = 1000 }, notify_address = false } }
    local keys = {}
    local limits = made_with("tael.kernel.limits", {
        ["tael.kernel.registry"] = { config = config },
        ["tael.limit"] = { take = function(key, n, window_ms)
            keys[#keys + 1] = key
            return false, n, window_ms
        end },
    })

    it("count each thing under a name of its own", function()
        assert.are.same({ allowed = false, remaining = 2, reset_ms = 1000, rate = config.limits.key },
            limits.take("key", "7"))
        assert.are.equal("key:7", keys[1])
    end)

    it("are none when they are switched off", function()
        assert.is_nil(limits.take("notify_address", "203.0.113.7"))
        assert.is_true(limits.notify "203.0.113.7")
    end)

    it("never hold up this machine", function()
        config.limits.notify_address = { count = 1, window_ms = 5000 }
        for _, address in ipairs { "127.0.0.1", "::1", "unix", "call" } do
            assert.is_true(limits.notify(address))
        end
        local allowed, retry_s = limits.notify "203.0.113.7"
        assert.is_false(allowed)
        assert.are.equal(5, retry_s)
    end)
end)

describe("a problem of the kernel", function()
    local function body_of(err)
        local response = problem.response(problem.of(err), { instance = "/", request_id = "req_1" })
        return json.decode(response.body), response
    end

    it("says what is left, what state it is in and what would be allowed", function()
        local body = body_of { code = "refund_exceeds_captured", refundable = 5 }
        assert.are.equal(5, body.refundable)
        body = body_of { code = "state_conflict", members = { state = "paid", allowed = { "pending" } } }
        assert.are.equal("paid", body.state)
        assert.are.same(json.array { "pending" }, body.allowed)
        local _, response = body_of { code = "state_conflict", state = "paid", allowed = {} }
        assert.is_truthy(response.body:find('"allowed":[]', 1, true))
    end)

    it("cannot take the place of what every problem says", function()
        local body = body_of { code = "not_found", members = { status = 200, code = "x", title = "x" } }
        assert.are.same({ 404, "not_found", "There is no such thing" },
            { body.status, body.code, body.title })
    end)

    it("that may be repeated says when", function()
        for _, code in ipairs { "rate_limited", "store_unavailable", "overloaded", "draining",
            "no_channel_available" } do
            local _, response = body_of { code = code }
            assert.are.equal("1", response.headers["retry-after"])
        end
    end)
end)

describe("a patch", function()
    local schema = require "tael.api.schema"
    local patch = { fields = { metadata = schema.metadata_patch } }
    local function accepted(text)
        return validate.body(patch, json.decode(text))
    end

    it("keeps null where it removes something", function()
        assert.are.same({ metadata = { a = json.null, b = "1" } },
            accepted '{"metadata":{"a":null,"b":"1"}}')
    end)

    it("is checked like metadata otherwise", function()
        for _, text in ipairs { '{"metadata":{"a b":null}}', '{"metadata":{"a":1}}', '{"metadata":null}',
            "{}", '{"metadata":{"' .. ("k"):rep(41) .. '":null}}', '{"metadata":[]}' } do
            assert.is_nil((accepted(text)), text)
        end
    end)

    it("is no create: there null is no text", function()
        local _, refused = validate.body({ fields = { metadata = schema.metadata } },
            json.decode '{"metadata":{"a":null}}')
        assert.are.equal("/metadata/a", refused.errors[1].pointer)
    end)
end)

describe("a policy", function()
    local config = {
        payments = { on_late_paid = "review", on_duplicate_paid = "refund", review_approval_above = 5 },
        http = {}, scripts = {},
        merchants = { acme = { policies = { on_late_paid = "accept" } }, ["acme.test"] = { policies = {} } },
    }
    local rows = { { id = 1, slug = "acme", name = "A", mode = "live" },
        { id = 2, slug = "acme.test", name = "T", mode = "test" },
        { id = 3, slug = "gone", name = "G", mode = "live" } }
    local registry = made_with("tael.kernel.registry", {
        ["tael.store"] = { query = function(name) return name == "merchant.all" and rows or {} end },
        ["tael.kernel.ids"] = { open = function() end },
        ["tael.kernel.workers"] = { serve = function() end },
        ["tael.channel.loader"] = { load = function() return {} end },
        ["tael.scripts.versions"] = { running = function() return nil, nil, 7 end },
    })
    local activation = registry.load(config)

    it("comes with the activation that says which channels these are", function()
        assert.are.equal(7, activation)
    end)

    it("is the merchant's own, or else the engine's", function()
        assert.are.equal("accept", registry.policy(1, "on_late_paid"))
        assert.are.equal("accept", registry.policy("acme", "on_late_paid"))
        assert.are.equal("refund", registry.policy(1, "on_duplicate_paid"))
        assert.are.equal("review", registry.policy(2, "on_late_paid"))
    end)

    it("is the engine's for a merchant that is no longer configured", function()
        assert.are.equal("review", registry.policy(3, "on_late_paid"))
        assert.are.equal(5, registry.policy(3, "review_approval_above"))
    end)
end)
