--- New events: told by whoever has committed one, awaited by readers of a merchant's events.
--- A wake finds only who waits at that moment, and a reader is busy reading half of the time. So one task a
--- merchant and worker, while there are readers, does nothing but wait and count: a reader compares the count
--- from before its reading with the one after, and waits only when nothing came in between. News wakes all
--- readers at once, hundreds perhaps: they read a few a turn, when nobody else has anything to do.
local task = require "tael.task"

local events_wake = {}

local READERS_MAX = 256 -- on one worker
local LONG_MS = 3600000

---@class tael.kernel.Watch a merchant's readers on this worker
---@field merchant integer
---@field count integer    news so far
---@field readers integer
---@field handle tael.task.Handle

local watches = {} ---@type table<integer, tael.kernel.Watch>
local readers = 0
local stopping, stop_watched = false, false

--- After the commit of a unit that holds an event of this merchant.
---@param merchant integer
function events_wake.announce(merchant)
    task.wake("events:" .. merchant)
end

local function key_of(watch)
    local worker = task.worker()
    return ("events.here:%d:%d"):format(worker, watch.merchant)
end

local function tell(watch)
    watch.count = watch.count + 1
    task.wake(key_of(watch))
end

--- Counts from its beginning: what came before it waited is news too.
local function run(watch)
    while true do
        tell(watch)
        while not task.wait("events:" .. watch.merchant, LONG_MS) do end
    end
end

--- A stop of the engine ends all waiting, until an engine that was to be replaced goes on after all.
local function watch_stop()
    if stop_watched then
        return
    end
    stop_watched = true
    task.spawn(function()
        while true do
            while not task.wait("engine.drain", LONG_MS) do end
            stopping = true
            for _, watch in pairs(watches) do
                tell(watch)
            end
            while not task.wait("engine.resume", LONG_MS) do end
            stopping = false
        end
    end)
end

local function enter(merchant)
    local watch = watches[merchant]
    if not watch then
        watch = { merchant = merchant, count = 0, readers = 0 }
        watches[merchant] = watch
        watch.handle = task.spawn(run, watch)
        watch_stop()
    end
    watch.readers, readers = watch.readers + 1, readers + 1
    return watch
end

local function leave(watch)
    watch.readers, readers = watch.readers - 1, readers - 1
    if watch.readers == 0 then
        watches[watch.merchant] = nil
        watch.handle:cancel()
    end
end

---@class tael.kernel.Reader
---@field watch tael.kernel.Watch
---@field seen integer
local reader_methods = {}

--- Before the facts are read: what comes from now on ends the next wait.
function reader_methods:mark()
    self.seen = self.watch.count
end

--- ⏸ Waits for news since the mark.
---@param ms integer
---@return boolean news false: the time is over, or the engine stops
function reader_methods:wait(ms)
    if stopping then
        return false
    elseif self.watch.count == self.seen then
        task.wait(key_of(self.watch), ms)
    end
    if not stopping and self.watch.count ~= self.seen then
        task.last()
        return true
    end
    return false
end

local reader_meta = { __index = reader_methods, __close = function(self) leave(self.watch) end }

--- A reader of the scope's merchant, to be held in a to-be-closed variable: a client that goes away frees
--- its place.
---@return tael.kernel.Reader? reader nil: too many wait already, or the engine stops
function events_wake.reader()
    if stopping or readers >= READERS_MAX then
        return nil
    end
    return setmetatable({ watch = enter(task.scope()), seen = 0 }, reader_meta)
end

return events_wake
