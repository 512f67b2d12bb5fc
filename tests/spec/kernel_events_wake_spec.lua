-- Readers of a merchant's events: many are woken at once, and each lets everybody else go first.
require "tests.spec.kernel_support"

local READERS = 200
local spawned, lasts = {}, 0

package.loaded["tael.task"] = {
    scope = function() return 3 end, worker = function() return 1, 1 end,
    wake = function() end, wait = coroutine.yield, last = function() lasts = lasts + 1 end,
    spawn = function(fn, ...)
        local task = coroutine.create(fn)
        spawned[#spawned + 1] = task
        assert(coroutine.resume(task, ...))
        return { cancel = function() end }
    end,
}
local events_wake = require "tael.kernel.events_wake"

it("many readers of one event go on one after the other, behind all others", function()
    local readers = {}
    for i = 1, READERS do
        local reader = assert(events_wake.reader())
        reader:mark()
        readers[i] = coroutine.wrap(function() return reader:wait(1000) end)
        readers[i]()
    end
    assert.are.equal(0, lasts)
    assert(coroutine.resume(spawned[1], "")) -- the merchant's watch hears of an event
    for i = 1, READERS do
        assert.is_true(readers[i]())
        assert.are.equal(i, lasts)
    end
end)
