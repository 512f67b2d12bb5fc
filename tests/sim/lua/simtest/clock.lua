--- A small application with a store and a clock that may be put ahead, for the engine's own tests.
local json = require "tael.json"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"

local app = {}

local SQL = "tests/unit/store_sql/"

function app.plan(options)
    local args = options.args
    return {
        workers = args.workers or 1, drain_ms = 2000, clock = args.clock,
        store = args.path and {
            path = args.path, scope = "merchant", migrate = true, sql = { SQL .. "items.sql" },
            migrations = { SQL .. "migrations/0001_items.sql", SQL .. "migrations/0002_counters.sql" },
        },
        companions = args.companion and { { app = "simtest.clock", options = args.companion } } or nil,
        pass = args,
    }
end

function app.open(context)
    if context.pass.advance then -- a companion that is put ahead moves its owner's clock
        time.advance(context.pass.advance)
    end
end

local paths = {}

paths["/now"] = function()
    return { now = time.now(), ahead = time.advanced(), monotonic = time.monotonic() }
end

paths["/advance"] = function(request)
    local done, message = pcall(time.advance, math.tointeger(tonumber(request.query)))
    return { done = done, ahead = time.advanced(), message = not done and message or json.null }
end

paths["/item"] = function()
    task.set_scope(7)
    local id = store.next_id()
    local done, err = store.commit { { "item.insert", { item = id, name = "item " .. id, amount = 1 } } }
    return { id = id, ms = store.id_ms(id), failed = not done and err.code or json.null }
end

--- Worker 1 and worker 2 put the clock ahead in turn: the fact that each looks at, then waits for. The answer
--- is how often one waited in vain.
paths["/turns"] = function(request)
    local rounds, missed = math.tointeger(tonumber(request.query)), 0
    local me = task.worker()
    for turn = me - 1, 2 * rounds - 1, 2 do
        while time.advanced() < turn do
            missed = missed + (task.wait("turn", 10000) and 0 or 1)
        end
        time.advance(1)
        task.wake("turn", "x")
    end
    return { missed = missed }
end

function app.handle(request)
    local handler = paths[request.path]
    return { status = handler and 200 or 404, body = handler and json.encode(handler(request)) or "" }
end

return app
