--- Remembered credentials: for whom, for how long, and until somebody says otherwise.
require "tests.spec.kernel_support"
local task = require "tael.task"
local time = require "tael.time"

local WALL_MS = 1768443630000

describe("a remembered credential", function()
    local memory, monotonic, wall, topics, asked, workers, waited, kept

    before_each(function()
        kept = { time.now, time.monotonic, package.loaded["tael.kernel.workers"], task.worker, task.wait }
        monotonic, wall, topics, asked, workers, waited = 5000, WALL_MS, {}, {}, 1, {}
        task.worker = function() return 1, workers end
        task.wait = function(_, ms) waited[#waited + 1] = ms end
        time.now = function() return wall end
        time.monotonic = function() return monotonic end
        package.loaded["tael.kernel.workers"] = {
            answer = function(topic, handler) topics[topic] = handler end,
            ask = function(topic, body)
                asked[#asked + 1] = { topic, body }
                return { topics[topic](body) }
            end,
        }
        package.loaded["tael.kernel.key_memory"] = nil
        memory = require "tael.kernel.key_memory"
    end)

    after_each(function()
        time.now, time.monotonic, package.loaded["tael.kernel.workers"] = kept[1], kept[2], kept[3]
        task.worker, task.wait = kept[4], kept[5]
        package.loaded["tael.kernel.key_memory"] = nil
    end)

    it("leads to its key, and no other does", function()
        local key, other = { key_id = 1 }, { key_id = 2 }
        memory.put("Bearer one", key)
        memory.put("Bearer two", other)
        assert.are.equal(key, memory.get "Bearer one")
        assert.are.equal(other, memory.get "Bearer two")
        assert.is_nil(memory.get "Bearer on")
        assert.is_nil(memory.get "bearer one")
    end)

    it("is forgotten after a second", function()
        memory.put("Bearer one", { key_id = 1 })
        monotonic = monotonic + 999
        assert.is_table(memory.get "Bearer one")
        monotonic = monotonic + 1
        assert.is_nil(memory.get "Bearer one")
    end)

    it("lives no longer than its key", function()
        memory.put("Bearer one", { key_id = 1, expires_at = wall + 300 })
        monotonic = monotonic + 299
        assert.is_table(memory.get "Bearer one")
        monotonic = monotonic + 1
        assert.is_nil(memory.get "Bearer one")
    end)

    it("is forgotten by every worker when its key is revoked", function()
        memory.put("Bearer one", { key_id = 1 })
        memory.put("Basic one", { key_id = 1 })
        memory.put("Bearer two", { key_id = 2 })
        memory.forget(1)
        assert.are.same({ { "keys.forget", 1 } }, asked)
        assert.is_nil(memory.get "Bearer one")
        assert.is_nil(memory.get "Basic one")
        assert.is_table(memory.get "Bearer two")
        assert.are.same({}, waited)
    end)

    it("is waited for while a worker that does not answer may have it", function()
        workers = 2 -- and one answers
        memory.forget(1)
        assert.are.same({ 1000 }, waited)
    end)

    it("is one of a bounded number", function()
        for i = 1, 5000 do
            memory.put("Bearer " .. i, { key_id = i })
        end
        local known = 0
        for i = 1, 5000 do
            known = known + (memory.get("Bearer " .. i) and 1 or 0)
        end
        assert.is_true(known > 0 and known <= 1024)
        assert.is_table(memory.get "Bearer 5000")
    end)
end)
