-- Due work against a table of timers in memory: who is started, who has to wait, what a raise does.
local support = require "tests.spec.kernel_support"

local world -- of one example

-- ---- stand-ins: a store of timers and attempts, tasks that run until they wait ----

local function rows_due(params)
    local out = {}
    for _, timer in pairs(world.timers) do
        if timer.id > params.after and timer.id < params.due_id then
            local object = world.objects[timer.object] or {}
            out[#out + 1] = { id = timer.id, merchant = 3, kind = timer.kind, object = timer.object,
                state = timer.kind == "attempt" and object.state or nil, due = object.due,
                account = object.account }
        end
    end
    table.sort(out, function(a, b) return a.id < b.id end)
    for i = #out, params.n + 1, -1 do
        out[i] = nil
    end
    return out
end

local apply = {
    ["timer.drop"] = function(params)
        world.timers[params.fired_id] = nil
        return true
    end,
    ["timer.insert"] = function(params)
        world.timers[params.due_id] = { id = params.due_id, kind = params.kind, object = params.object }
        return true
    end,
}
local function lease(params)
    local object = world.objects[params.attempt or params.refund]
    if (object.due or 0) ~= params.due_was then
        return false
    end
    object.due = params.due
    return true
end
apply["attempt.due"], apply["refund.due"] = lease, lease

local function commit(list)
    if world.store_fails then
        return nil, { code = "unavailable" }
    end
    for _, statement in ipairs(list) do
        if not apply[statement[1]](statement[2]) then
            return nil, { code = "guard", otherwise = "reread" }
        end
    end
    return {}
end

local function spawn(fn)
    local thread = coroutine.create(fn)
    world.tasks[#world.tasks + 1] = thread
    return { alive = function() return coroutine.status(thread) ~= "dead" end }
end

--- Runs what was spawned until everything waits.
local function turn()
    local tasks = world.tasks
    world.tasks = {}
    for _, thread in ipairs(tasks) do
        local ran, message = coroutine.resume(thread)
        assert(ran, message)
        if coroutine.status(thread) ~= "dead" then
            world.tasks[#world.tasks + 1] = thread
        end
    end
end

--- A fire that goes on until the example lets it end.
local function hang()
    while not world.released do
        coroutine.yield()
    end
end

package.loaded["tael.store"] = { query = function(name, params)
    assert(name == "timer.due", name)
    if world.store_is_gone then
        return nil, { code = "unavailable" }
    end
    return rows_due(params)
end, commit = commit, id_ms = function(id) return (id >> 22) + support.EPOCH_MS end,
    next_id = function() return 1 end }
local function wake(key, payload)
    world.woken[key] = payload or ""
end

local function wait(key)
    for _ = 1, 100 do
        local payload = world.woken[key]
        if payload then
            world.woken[key] = nil
            return payload
        elseif coroutine.isyieldable() then
            coroutine.yield()
        else
            turn()
        end
    end
end

package.loaded["tael.task"] = {
    last = function() end,
    spawn = spawn, set_scope = function() end, wake = wake, worker = function() return 1 end, wait = wait,
    scope = function() return 0 end, pure = pcall, keep = function(_, _, fn) spawn(fn) end,
}
package.loaded["tael.time"] = { now = function() return world.now end,
    monotonic = function() return world.now end }
package.loaded["tael.log"] = { error = function(_, fields) world.logged[#world.logged + 1] = fields end,
    info = function() end, warn = function() end }
package.loaded["tael.kernel.settle"] = {
    commit = commit, alarm = function(kind) world.alarms[#world.alarms + 1] = kind end,
    read = function(id)
        local object = world.objects[id]
        if not object then
            return nil, { code = "not_found" }
        end
        local attempt = support.attempt { id = id, state = object.state, due = object.due,
            account = object.account }
        return attempt, support.payment()
    end,
}
package.loaded["tael.kernel.calls"] = { recent = function() return false end }
package.loaded["tael.kernel.ending"] = {
    tend = function(attempt) world.tend(attempt) end,
    confirm = function() return world.confirmed end,
}
package.loaded["tael.kernel.refunds"] = { fire = function(fired) world.refund(fired) end }

local registry = require "tael.kernel.registry"
registry.config = { payments = { grace = 120000, poll = { 2000, 5000, 15000 }, alarm_unknown = 1800000 } }
registry.account = function(id) return { id = id } end
registry.prepared = function() return {} end

local due, timers

--- A timer that is due now, and an attempt of that account which names it.
local function plan(count, account, more)
    more = more or {}
    for _ = 1, count do
        world.last = world.last + 1
        local id = due.before(world.now - 1000) + world.last
        world.timers[id] = { id = id, kind = more.kind or "attempt", object = world.last }
        world.objects[world.last] = { state = more.state or "issued", account = account,
            due = more.due or more.due == nil and id or nil }
    end
    return world.last
end

local function count_timers()
    local count = 0
    for _ in pairs(world.timers) do
        count = count + 1
    end
    return count
end

before_each(function()
    world = { now = support.now, timers = {}, objects = {}, tasks = {}, logged = {}, alarms = {}, last = 0,
        begun = {}, woken = {}, refund = function() end }
    world.tend = function(attempt)
        world.begun[attempt.account] = (world.begun[attempt.account] or 0) + 1
        hang()
    end
    package.loaded["tael.kernel.timers"], package.loaded["tael.kernel.due"] = nil, nil
    due = require "tael.kernel.due"
    timers = require "tael.kernel.timers"
end)

describe("due timers", function()
    it("start 64 at once, 16 of one account", function()
        for account = 1, 6 do
            plan(30, account)
        end
        assert.is_true(timers.pass())
        turn()
        local all = 0
        for account = 1, 6 do
            local begun = world.begun[account] or 0
            assert.is_true(begun <= 16, account)
            all = all + begun
        end
        assert.are.equal(64, all)
    end)

    it("of a slow channel hold up nobody else, however many there are", function()
        plan(3000, 1)
        plan(5, 2)
        for _ = 1, 4 do
            timers.pass()
            turn()
        end
        assert.are.equal(16, world.begun[1])
        assert.are.equal(5, world.begun[2])
    end)

    it("set while the clock had not been put right yet (1970) are done, then and later", function()
        world.released = true
        for _, later in ipairs { 0, support.now } do
            world.now = 60000
            plan(3, 1)
            world.now = world.now + later
            timers.pass()
            turn()
            assert.are.equal(3, world.begun[1])
            world.timers, world.begun = {}, {}
        end
    end)

    it("are all done once the channel answers again", function()
        plan(100, 1)
        local rounds = 0
        world.released = true
        while count_timers() > 100 or rounds < 1 or world.begun[1] < 100 do
            timers.pass()
            turn()
            rounds = rounds + 1
            assert.is_true(rounds < 50)
        end
        assert.are.equal(100, world.begun[1])
        for id in pairs(world.timers) do
            assert.is_true(due.ms(id) > world.now, "each has its next timer")
        end
        assert.are.equal(100, count_timers())
    end)

    it("that no longer count are dropped without a look at the channel", function()
        plan(3, 1, { due = 5 })
        plan(3, 1, { state = "succeeded", due = false })
        world.objects[1] = nil
        assert.is_false(timers.pass())
        turn()
        assert.are.equal(0, count_timers())
        assert.is_nil(world.begun[1])
    end)

    it("of attempts from before one was named count while they are open", function()
        plan(1, 1, { due = false })
        world.released = true
        timers.pass()
        turn()
        assert.are.equal(1, world.begun[1])
        assert.is_true(due.ms(world.objects[1].due) > world.now)
        assert.is_not_nil(world.timers[world.objects[1].due])
    end)

    it("are not started twice", function()
        plan(1, 1)
        timers.pass()
        turn()
        timers.pass()
        turn()
        assert.are.equal(1, world.begun[1])
    end)

    it("leave alone what the look itself has planned", function()
        plan(1, 1)
        world.tend = function()
            local id = due.id(world.now + 777)
            world.objects[1].due, world.timers[id] = id, { id = id, kind = "attempt", object = 1 }
        end
        timers.pass()
        turn()
        assert.are.equal(1, count_timers())
        assert.are.equal(world.now + 777, due.ms(world.objects[1].due))
    end)

    it("that come long too late raise an alarm for what the look leaves open, and only for that", function()
        for _, left in ipairs { "waiting_payer", "expired" } do
            world.alarms = {}
            world.now = world.now + 2 * 3600000
            local object = plan(1, 1, { state = "waiting_payer" })
            world.tend = function() world.objects[object].state = left end
            timers.pass()
            turn()
            assert.are.same(left == "expired" and {} or { "unknown_too_long" }, world.alarms)
            world.timers = {}
        end
    end)

    it("of an attempt that has ended ask until somebody answers", function()
        plan(1, 1, { state = "cancelled" })
        world.confirmed = false
        timers.pass()
        turn()
        assert.are.equal(1, count_timers())
        assert.is_true(due.ms(world.objects[1].due) > world.now)
        assert.are.same({}, world.alarms)
        world.now = world.now + 3600000
        timers.pass()
        turn()
        assert.are.equal(1, count_timers())
        assert.are.same({ "unknown_too_long" }, world.alarms)
        world.now, world.confirmed = world.now + 3600000, true
        timers.pass()
        turn()
        assert.are.equal(0, count_timers())
    end)
end)

describe("a timer that raises", function()
    local fires

    before_each(function()
        fires = 0
        world.refund = function()
            fires = fires + 1
            error("broken", 0)
        end
    end)

    it("comes again after ever longer pauses, and others go on", function()
        plan(1, 1, { kind = "refund" })
        plan(1, 2)
        local pauses = {}
        for i = 1, 5 do
            timers.pass()
            turn()
            assert.are.equal(i, fires)
            local at = due.ms(world.objects[1].due)
            pauses[i] = at - world.now
            timers.pass()
            turn()
            assert.are.equal(i, fires, "not before its time")
            world.now = at + 1
        end
        assert.are.same({ 1000, 2000, 4000, 8000, 16000 }, pauses)
        assert.are.equal(1, world.begun[2])
        assert.are.equal("broken", world.logged[1].message)
    end)

    it("never waits for more than ten minutes, and a person is told", function()
        plan(1, 1, { kind = "refund" })
        for times = 1, 30 do
            timers.pass()
            turn()
            assert.are.equal(times < 8 and 0 or times - 7, #world.alarms)
            world.now = due.ms(world.objects[1].due) + 1
        end
        assert.are.equal(30, fires)
        timers.pass()
        turn()
        assert.are.equal(600000, due.ms(world.objects[1].due) - world.now)
    end)

    it("begins with short pauses again once it went well", function()
        plan(1, 1, { kind = "refund" })
        for _ = 1, 5 do
            timers.pass()
            turn()
            world.now = due.ms(world.objects[1].due) + 1
        end
        local raises = world.refund
        world.refund = function(fired)
            commit { { "timer.drop", { fired_id = fired.id } } }
        end
        timers.pass()
        turn()
        world.refund = raises
        local id = due.before(world.now - 1)
        world.timers[id], world.objects[1].due = { id = id, kind = "refund", object = 1 }, id
        timers.pass()
        turn()
        assert.are.equal(1000, due.ms(world.objects[1].due) - world.now)
    end)

    it("keeps what it has planned in its place", function()
        plan(1, 1, { kind = "refund" })
        world.refund = function()
            local id = due.id(world.now + 10000)
            world.objects[1].due, world.timers[id] = id, { id = id, kind = "refund", object = 1 }
            error("after the lease", 0)
        end
        timers.pass()
        turn()
        assert.are.equal(1, count_timers())
        assert.are.equal(world.now + 10000, due.ms(world.objects[1].due))
    end)

    it("waits in memory while the store takes nothing", function()
        plan(1, 1, { kind = "refund" })
        world.store_fails = true
        timers.pass()
        turn()
        timers.pass()
        turn()
        assert.are.equal(1, fires)
        world.now, world.store_fails = world.now + 1001, false
        timers.pass()
        turn()
        assert.are.equal(2, fires)
    end)

    it("because the store does says nothing, for the store does, and comes again", function()
        plan(1, 1)
        world.released, world.store_fails = true, true
        timers.pass()
        turn()
        timers.pass()
        turn()
        assert.are.equal(1, world.begun[1])
        world.now, world.store_fails, world.store_is_gone = world.now + 1001, false, true
        assert.is_false(timers.pass())
        world.store_is_gone = false
        timers.pass()
        turn()
        assert.are.equal(2, world.begun[1])
        assert.are.same({}, world.logged)
    end)

    it("of a kind that nobody knows stays, and holds up nothing", function()
        plan(1, 1, { kind = "dream" })
        plan(1, 2)
        timers.pass()
        turn()
        timers.pass()
        turn()
        assert.are.equal(1, world.begun[2])
        assert.are.equal(1, #world.logged)
        assert.are.equal(2, count_timers())
    end)
end)

describe("everything that is due at once", function()
    it("is done, whoever asks, until nothing is due any more", function()
        plan(40, 1)
        plan(40, 2)
        world.released = true
        timers.serve()
        turn()
        assert.are.equal(80, timers.drain(1000))
        assert.are.equal(40, world.begun[1])
        assert.are.equal(0, timers.drain(1000))
    end)
end)
