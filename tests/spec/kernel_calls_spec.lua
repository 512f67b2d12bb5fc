-- One call to a channel: what is durable before its bytes leave, and what is kept of it.
local support = require "tests.spec.kernel_support"

local world

local function note(word)
    world.steps[#world.steps + 1] = word
end

package.loaded["tael.channel.call"] = {
    context = function(parts) return parts end,
    build = function(_, op, _, ctx)
        note("build " .. op)
        world.ctx = ctx
        if world.refused then
            return nil, world.refused
        end
        return world.request or { method = "POST", url = "https://channel" }
    end,
    send = function(request)
        note "send"
        world.left = request
        return world.answer, world.failure
    end,
    interpret = function() return world.outcome end,
}
package.loaded["tael.kernel.settle"] = {
    commit = function(list)
        note "commit"
        world.committed = list
        if world.guard then
            return nil, world.guard
        end
        return {}
    end,
    alarm = function(kind, fields) world.alarm = { kind, fields } end,
}
package.loaded["tael.kernel.secrets"] = { seal = function(text, place) return place .. "|" .. text end,
    open = function() end }
package.loaded["tael.kernel.details"] = { read = function() return { subject = "coffee" } end,
    payer = function() end }
package.loaded["tael.log"] = { info = function(event, fields) world.line = { event, fields } end,
    error = function() end, warn = function() end }
package.loaded["tael.store"] = {
    next_id = function() return support.id(support.now, 9) end,
    id_ms = function(id) return (id >> 22) + support.EPOCH_MS end,
    query = function(_, params)
        world.asked_for = params
        return { world.last }
    end,
    commit = function(list)
        world.committed = list
        return {}
    end,
}
package.loaded["tael.time"] = { now = function() return world.now end, micros = function() return 0 end }

local registry = require "tael.kernel.registry"
registry.config = { http = { public_url = "https://pay.example" }, client = { total = 10000 } }
registry.account = function() return { id = 7, slug = "spec", channel = "alipay", merchant = 3 } end
registry.prepared = function() return world.prepared end
registry.package = function() return { timeouts_ms = { refund = 15000 } } end

local calls = require "tael.kernel.calls"

local CALL = support.id(support.now, 9)

before_each(function()
    world = { steps = {}, now = support.now, prepared = {}, answer = { status = 200, raw = "{}", ms = 3 },
        outcome = { class = "ok", result = { code = "10000", trace_no = "tr" } } }
end)

local function send(more)
    local asking = { op = "query", object = 5, payment = support.payment(), attempt = support.attempt(),
        actor = "key_1" }
    for name, value in pairs(more or {}) do
        asking[name] = value
    end
    return calls.send(asking)
end

describe("a call", function()
    it("leaves after its row is durable, with what belongs to it before it in the unit", function()
        local told
        local asked = send { with = { { "first", {} }, { "second", {} } }, committed = function()
            told = #world.steps
        end }
        assert.are.same({ "build query", "commit", "send" }, world.steps)
        assert.are.equal(2, told, "between the commit and the bytes")
        assert.are.same({ "first", "second", "call.insert" }, { world.committed[1][1], world.committed[2][1],
            world.committed[3][1] })
        local row = world.committed[3][2]
        assert.are.equal(5, row.object)
        assert.are.equal("query", row.op)
        assert.are.equal(7, row.account)
        assert.matches("^cal:" .. CALL .. ":request|", row.request)
        assert.are.equal(CALL, asked.call)
        assert.are.equal("query", asked.op)
    end)

    it("never lasts longer than what leases and patience count with", function()
        for _, case in ipairs {
            { "query", nil, 10000 }, { "query", 60000, 10000 }, { "query", 500, 500 },
            { "refund", nil, 15000 }, { "refund", 60000, 15000 },
        } do
            world.request = { method = "POST", url = "https://channel", timeout_ms = case[2] }
            send { op = case[1], refund = { id = 5, amount = 1, currency = "CNY" } }
            assert.are.equal(case[3], world.left.timeout_ms)
        end
        world.request = { ["local"] = { next_action = {} } }
        send { op = "create" }
        assert.are.same({ ["local"] = { next_action = {} } }, world.request)
    end)

    it("does not leave when its unit was refused", function()
        world.guard = { code = "guard", statement = "first", otherwise = "reread" }
        local asked, err = send { with = { { "first", {} } } }
        assert.is_nil(asked)
        assert.are.equal("reread", err.otherwise)
        assert.is_nil(world.left)
    end)

    it("writes nothing when nothing can be built", function()
        for _, refused in ipairs { { code = "invalid_field", field = "expires_in" } } do
            world.refused = refused
            local asked, err = send()
            assert.is_nil(asked)
            assert.are.equal(refused, err)
            assert.is_nil(world.committed)
        end
        world.refused, world.request = nil, { ["local"] = {} }
        assert.is_nil(send())
        assert.is_nil(world.committed)
        world.request, world.prepared = nil, nil
        local _, err = send()
        assert.are.equal("no_channel_available", err.code)
    end)

    it("sends what was built before as it is", function()
        local built = { request = { url = "https://built" }, ctx = {}, prepared = {} }
        send { built = built }
        assert.are.same({ "commit", "send" }, world.steps)
        assert.are.equal(built.request, world.left)
    end)

    it("tells a package about the refund that it is for", function()
        send { op = "refund", refund = { id = 6, amount = 5, currency = "CNY", reason = "size" } }
        assert.are.equal(5, world.ctx.refund.amount)
        assert.are.equal(26, #world.ctx.refund.refund_no)
    end)

    it("is told with payment and attempt, and alarms when a person should know", function()
        world.outcome = { class = "config", reason = "keys", alarm = "alipay: keys" }
        send()
        assert.are.equal("channel.call", world.line[1])
        assert.matches("^pay_", world.line[2].payment)
        assert.matches("^att_", world.line[2].attempt)
        assert.are.equal("config", world.line[2].class)
        assert.are.equal("channel_config", world.alarm[1])
        assert.are.equal("alipay: keys", world.alarm[2].detail)
    end)
end)

describe("the end of a call", function()
    it("keeps the answer sealed, with its digest", function()
        world.outcome.message = { digest = "d" }
        local finish = calls.finish(send())
        assert.are.equal("call.finish", finish[1])
        assert.are.same({ call = CALL, class = "ok", http_status = 200, code = "10000", trace_no = "tr",
            ms = 3, answer_digest = "d", answer = "cal:" .. CALL .. ":answer|{}" }, finish[2])
    end)

    it("says when none came, and the call is still what an event names", function()
        world.answer, world.failure = nil, { code = "timeout", sent = true }
        world.outcome = { class = "unknown", reason = "timeout" }
        local asked = send()
        assert.are.same({ call = CALL, class = "unknown" }, calls.finish(asked)[2])
        assert.are.same({ kind = "cal", id = CALL }, calls.proof(asked))
        local decision = calls.close(asked)
        assert.are.equal("none", decision.effect)
        assert.are.equal("timeout", decision.detail)
        assert.are.equal("call.finish", world.committed[1][1])
    end)
end)

describe("somebody talks to the channel", function()
    local attempt = support.attempt()

    it("until the call has ended, or could have", function()
        world.last = { id = support.id(support.now, 1), op = "query" }
        assert.is_true(calls.under_way(attempt))
        world.now = support.now + 11999
        assert.is_true(calls.under_way(attempt))
        world.now = support.now + 12001
        assert.is_false(calls.under_way(attempt), "cut off by a crash")
        world.last.op = "refund"
        assert.is_true(calls.under_way(attempt), "by the manifest's own time")
        world.now, world.last.class = support.now, "ok"
        assert.is_false(calls.under_way(attempt))
        world.last = nil
        assert.is_false(calls.under_way(attempt))
    end)

    it("for as long as a channel is waited for", function()
        registry.config.client.total = 60000
        assert.are.equal(62000, calls.patience({ channel = "alipay" }, "query"))
        assert.are.equal(15000, calls.limit({ channel = "alipay" }, "refund"))
        registry.config.client.total = 10000
    end)

    it("not in what a clock that was set back makes the future", function()
        world.last, world.now = { id = support.id(support.now, 1), op = "query" }, support.now - 3600000
        assert.is_false(calls.under_way(attempt))
        assert.is_false(calls.recent(5, nil, 1000))
        world.now = support.now - 3
        assert.is_true(calls.under_way(attempt))
        assert.is_true(calls.recent(5, nil, 1000))
    end)

    it("did within a while, about anything or one thing", function()
        world.last = { id = support.id(support.now, 1), op = "query", class = "ok" }
        assert.is_true(calls.recent(5, nil, 1000))
        assert.are.same({ object = 5 }, world.asked_for)
        world.now = support.now + 1000
        assert.is_false(calls.recent(5, "query", 1000))
        assert.are.same({ object = 5, op = "query" }, world.asked_for)
    end)
end)
