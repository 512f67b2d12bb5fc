-- When jobs begin, on a clock that jumps: their slots in a real SQLite, and no engine.
require "tests.spec.kernel_support"
local kernel_store = require "tests.spec.kernel_store"

local HOUR, DAY = 3600000, 86400000
local START = 1764374400000 -- 2025-11-29T00:00:00Z

local now, db, generation, begun, pass, answers, raises, alone
local function is_nothing() end

local stand_ins = {
    ["tael.scripts.generations"] = { of = function() return generation end },
    ["tael.scripts.running"] = { new = is_nothing, call = function(_, _, _, told)
        assert(not raises, raises)
        assert.is_true(alone, "begins in a turn of its own")
        alone = false
        begun[#begun + 1] = told[2]
        return { "done" }
    end },
    ["tael.scripts.job_files"] = { ENTRY = "entry", given = function(_, slot) return slot end },
    ["tael.kernel.registry"] = {},
    ["tael.kernel.workers"] = { answer = function(topic, fn) answers[topic] = fn end },
    ["tael.kernel.alarms"] = { raise = is_nothing },
    ["tael.kernel.metrics"] = { by_two = function() return is_nothing end },
    ["tael.log"] = { info = is_nothing, warn = is_nothing, error = is_nothing },
    ["tael.task"] = {
        spawn = function(fn) fn() end, set_scope = is_nothing, last = function() alone = true end,
        keep = function(_, _, fn) pass = fn end,
        hold = function() return setmetatable({}, { __close = is_nothing }) end,
    },
}

setup(function()
    for name, module in pairs(stand_ins) do
        stand_ins[name], package.loaded[name] = package.loaded[name] or false, module
    end
    answers, package.loaded["tael.scripts.jobs"] = {}, nil
    require("tael.scripts.jobs").start()
end)
teardown(function()
    for name, module in pairs(stand_ins) do
        package.loaded[name] = module or nil
    end
    package.loaded["tael.scripts.jobs"] = nil
end)

local store, time = require "tael.store", require "tael.time"

before_each(function()
    now, begun, alone, raises = START, {}, false, nil
    db = kernel_store.new(0, function() return now end)
    store.query = function(name, params) return db:query(name, params) end
    store.commit = function(list) return db:commit(list) end
    time.now, time.monotonic = function() return now end, function() return 0 end
    generation = { id = "g", jobs = { { name = "nightly", timeout = 60000,
        schedule = assert(require("tael.scripts.cron").read "0 3 * * *") } } }
end)
after_each(function() db:remove() end)

--- What begins until then, looked for each half hour.
local function upto(moment)
    begun = {}
    while now < moment do
        now = now + HOUR // 2
        pass()
    end
    return begun
end

local number = 0
local function wish()
    number = number + 1
    return answers["jobs.run"] { name = "nightly", number = number }
end

describe("a job", function()
    it("runs at each of its times", function()
        pass()
        assert.are.same({ START + 3 * HOUR, START + DAY + 3 * HOUR }, upto(START + 2 * DAY))
    end)

    it("is looked for by its next time, not day by day with every look", function()
        local schedule, days = assert(require("tael.scripts.cron").read "0 3 1 1 *"), 0
        schedule.is_day = function(self, day)
            days = days + 1
            return getmetatable(self).is_day(self, day)
        end
        generation.jobs[1].schedule = schedule
        pass()
        upto(START + DAY)
        local known = days
        assert.are.same({}, upto(START + 2 * DAY))
        assert.equal(known, days)
        assert.are.same({ START + 33 * DAY + 3 * HOUR }, upto(START + 34 * DAY))
    end)

    it("begins in a turn of its own, when many are due at once", function()
        generation.jobs = {}
        for i = 1, 5 do
            generation.jobs[i] = { name = "job" .. i, timeout = 60000,
                schedule = assert(require("tael.scripts.cron").read "0 3 * * *") }
        end
        pass()
        assert.equal(5, #upto(START + 3 * HOUR))
    end)

    it("does not stand before a signature together with all others that are due", function()
        generation.jobs = {}
        for i = 1, 50 do
            generation.jobs[i] = { name = "job" .. i, timeout = 60000,
                schedule = assert(require("tael.scripts.cron").read "0 3 * * *") }
        end
        pass()
        local task, queue, waiting, longest = require "tael.task", {}, {}, 0
        local spawn, last = task.spawn, task.last
        task.spawn = function(fn) coroutine.wrap(fn)() end
        task.last = function()
            queue[#queue + 1] = coroutine.running()
            coroutine.yield()
            alone = true
        end
        task.wait = function(key)
            waiting[key] = coroutine.running()
            coroutine.yield()
        end
        task.wake = function(key) waiting.woken, waiting[key] = waiting[key], nil end
        now, begun = START + 3 * HOUR, {}
        pass()
        while queue[1] do
            longest = math.max(longest, #queue)
            assert(coroutine.resume(table.remove(queue, 1)))
            if waiting.woken then
                local next_one = waiting.woken
                waiting.woken = nil
                assert(coroutine.resume(next_one))
            end
        end
        task.spawn, task.last, task.wait, task.wake = spawn, last, nil, nil
        assert.equal(50, #begun)
        assert.is_true(longest <= 4, longest .. " before a signature")
    end)

    it("runs once when the clock goes back by an hour, also by hand", function()
        pass()
        assert.equal(1, #upto(START + 3 * HOUR))
        now = START + 2 * HOUR
        assert.are.same({}, upto(START + 4 * HOUR))
        now = START + 2 * HOUR
        assert.is_not_nil(wish().slot)
        assert.equal(1, #begun)
    end)

    it("does not wait for a year that a clock had shown by mistake", function()
        pass()
        now = START + 365 * DAY + 4 * HOUR
        pass()
        assert.equal(1, #begun)
        now = START + HOUR
        pass()
        assert.are.same({ START + 3 * HOUR }, upto(START + DAY))
    end)

    it("that was first seen on such a clock does not wait for it either", function()
        now = START + 365 * DAY
        pass()
        now = START + HOUR
        pass()
        assert.are.same({ START + 3 * HOUR }, upto(START + DAY))
    end)

    it("that a crash cut off on such a clock is taken again", function()
        pass()
        local there = START + 365 * DAY
        for _, slot in ipairs { there, START + 3 * HOUR } do
            db:run(("UPDATE job_slots SET slot = %d, state = 'running', lease = %d;"):format(slot,
                there + 65000))
            now, begun = START + 4 * HOUR, {}
            pass()
            pass()
            assert.equal(1, #begun)
        end
    end)

    it("is run by hand although its last slot lies in such a year", function()
        pass()
        now = START + 365 * DAY + 4 * HOUR
        pass()
        now = START + HOUR
        assert.equal(now + 1, wish().slot)
    end)

    it("is not said to have had no slot when the store cannot be read", function()
        pass()
        local query = store.query
        store.query = function() return nil, { code = "unavailable" } end
        local told = wish()
        store.query = query
        assert.equal("store_unavailable", told.code)
        assert.is_nil(told.slot)
    end)

    it("is not said to be running when the store does not take its slot", function()
        for _, seen in ipairs { false, true } do
            if seen then
                pass()
            end
            local commit = store.commit
            store.commit = function() return nil, { code = "unavailable" } end
            local told = wish()
            store.commit = commit
            assert.equal("store_unavailable", told.code)
            assert.is_nil(told.slot)
        end
        assert.is_not_nil(wish().slot)
    end)

    it("that runs is said to be running", function()
        pass()
        db:run(("UPDATE job_slots SET state = 'running', lease = %d;"):format(now + HOUR))
        assert.equal("state_conflict", wish().code)
    end)
end)
