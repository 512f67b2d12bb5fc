---@meta tael.task

--- Tasks: coroutines that the worker's loop drives. Code in one reads top to bottom; functions marked
--- "waits" suspend it. They raise "cannot wait here" in a coroutine that Lua code made itself, and inside
--- callbacks of sort, gsub and require.
---@class tael.task
local task = {}

---@class tael.task.Handle: userdata
---@field cancel fun(self: tael.task.Handle) ends it where it waits, unless detached
---@field alive fun(self: tael.task.Handle): boolean

--- Starts a task in this worker, for the same tenant as the one that calls. It begins after the caller has
--- given up control; an error in it is logged as "task.failed".
---@param fn function
---@param ... any its arguments
---@return tael.task.Handle
function task.spawn(fn, ...) end

--- From now on the client's going away does not cancel this task. May be called again. A unit of work does
--- it by itself before it is submitted.
function task.detach() end

--- The tenant that the store binds as :merchant; 0 is none (the operator).
---@return integer
function task.scope() end

---@param merchant integer its number, or 0
function task.set_scope(merchant) end

--- Waits until somebody wakes the key. A wake that came before is not kept: look at the facts first, and do
--- not wait for anything else between looking and this. Then no wake is missed, from other workers neither.
--- "engine.drain" is woken on each worker when the engine begins to stop, "engine.resume" when the successor
--- that it was to hand over to did not come and it goes on.
---@param key string
---@param timeout_ms integer 0 to one day
---@return string? payload nil: the time is over
function task.wait(key, timeout_ms) end

--- Wakes all tasks that wait for the key, on this worker and, a little later, on the others; a worker on
--- which nobody waits does not notice. The facts that changed must be visible by now.
---@param key string
---@param payload? string default ""
function task.wake(key, payload) end

--- Waits until no other task is ready: for what is about to take long without waiting (a signature). A few
--- such tasks go on in a turn of the loop, after all others, in the order in which they came.
---@param alike boolean? it signs and commits next, as others that say so: a unit waits for theirs, 5 ms at most
function task.last(alike) end

--- Runs fn now and again and again, each time in a task of its own, pause_ms after the one before has ended,
--- until the engine ends. An error, or no memory for a round, ends that round alone; it is logged as
--- job.failed.
---@param name string for the log
---@param pause_ms integer from 1 ms to one day
---@param fn fun()
function task.keep(name, pause_ms, fn) end

--- Has a stop wait, until its deadline, for work that belongs to no request:
--- `local held <close> = task.hold()`. Nil when a stop has begun: nothing is to be begun any more.
---@return userdata? held
function task.hold() end

--- Like pcall, but running out of memory raises, and while fn runs, waiting, clocks, randomness and effects
--- are refused.
---@param fn function
---@param ... any
---@return boolean ok
---@return any ... results, or the error
function task.pure(fn, ...) end

---@return integer index from 1
---@return integer count
function task.worker() end

return task
