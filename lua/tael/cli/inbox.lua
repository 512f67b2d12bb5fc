--- What several tasks have to say to the one that waits for the first of them: a person at the keyboard, news
--- of the engine, Ctrl-C, the time.
local crypto = require "tael.crypto"
local task = require "tael.task"
local terminal = require "tael.terminal"
local time = require "tael.time"

---@class tael.cli.Inbox
local inbox = {}
inbox.__index = inbox

---@return tael.cli.Inbox
function inbox.new()
    return setmetatable({
        key = "cli.inbox." .. crypto.hex.encode(crypto.random(8)), letters = {}, tasks = {},
    }, inbox)
end

---@param name string
---@param value any
function inbox:put(name, value)
    self.letters[#self.letters + 1] = { name, value }
    task.wake(self.key)
end

--- Runs fn(inbox) beside; it ends with the inbox.
---@param fn fun(box: tael.cli.Inbox)
function inbox:spawn(fn)
    self.tasks[#self.tasks + 1] = task.spawn(fn, self)
end

local function watch_interrupt(box)
    box:put "watching"
    terminal.interrupt()
    box:put "interrupt"
end

--- Ctrl-C becomes the letter "interrupt", from the return on: called first, before a person is asked
--- for anything.
function inbox:watch_interrupt()
    self:spawn(watch_interrupt)
    local name = self:take(math.huge)
    assert(name == "watching", name)
end

--- The next letter; "timeout" when none came in time.
---@param timeout_ms integer
---@return string name
---@return any value
function inbox:take(timeout_ms)
    local deadline = time.monotonic() + timeout_ms
    while #self.letters == 0 do
        local left = deadline - time.monotonic()
        if left <= 0 then
            return "timeout"
        end
        task.wait(self.key, math.min(left, 86400000))
    end
    local letter = table.remove(self.letters, 1)
    return letter[1], letter[2]
end

function inbox:__close()
    for _, handle in ipairs(self.tasks) do
        handle:cancel()
    end
end

return inbox
