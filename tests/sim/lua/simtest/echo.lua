--- A small application for the engine's own tests: echoes, waits, raises, wakes, refuses to start.
local json = require "tael.json"
local limit = require "tael.limit"
local task = require "tael.task"
local time = require "tael.time"

local app = {}

function app.plan(options)
    local args = options.args
    if args.refuse == "plan" then
        return nil, { code = "test_refused", message = "tael.lua:3: no" }
    end
    local companion = { app = "simtest.echo", options = { refuse = args.companion } }
    return {
        workers = args.workers or 1, drain_ms = 2000,
        listeners = args.address and { { name = "api", address = args.address } } or nil,
        body_limits = { { prefix = "/small/", max = 10 } },
        companions = args.companion and { companion } or nil,
        pass = args,
    }
end

function app.open(context)
    app.context = context
    if context.pass.refuse == "open" and context.worker == context.workers then
        return nil, { code = "test_refused", message = "not today" }
    elseif context.pass.refuse == "raise" then
        error("opening went wrong")
    end
    time.sleep(1)
end

local paths = {}

paths["/echo"] = function(request)
    return { status = 200, headers = { ["x-worker"] = tostring(app.context.worker) }, body = json.encode {
        method = request.method, path = request.path, query = request.query, body = request.body,
        listener = request.listener, merchant = request.merchant, worker = app.context.worker,
        host = request.headers.host, seen = request.headers["x-seen"],
    } }
end

paths["/sleep"] = function(request)
    time.sleep(math.tointeger(tonumber(request.query)))
    return { status = 200, body = "slept" }
end

paths["/raise"] = function()
    error("secret detail")
end

paths["/nonsense"] = function()
    return { body = 7 }
end

paths["/spite"] = function()
    return setmetatable({}, { __index = function() error("not to be read") end })
end

paths["/await"] = function()
    return { status = 200, body = task.wait("echo.test", 5000) or "nothing came" }
end

paths["/news"] = function()
    return { status = 200, body = task.wait("engine.drain", 60000) and "stopping" or "nothing came" }
end

paths["/wake"] = function(request)
    task.wake("echo.test", request.body)
    return { status = 204 }
end

paths["/limit"] = function()
    local allowed, remaining, reset_ms = limit.take("echo", 3, 3600000)
    return { status = allowed and 200 or 429, body = ("%d %d"):format(remaining, reset_ms // 60000) }
end

function app.handle(request)
    local handler = paths[request.path]
    return handler and handler(request) or { status = 404, headers = {}, body = "not found" }
end

function app.name()
    return "req_" .. app.context.worker
end

return app
