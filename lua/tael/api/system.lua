--- Health, readiness, metrics and what is running; the page that a problem's type names; the document of the
--- API; for the operator alone: certificates read again, the clock put ahead.
local engine = require "tael.engine"
local health = require "tael.kernel.health"
local json = require "tael.json"
local metrics = require "tael.kernel.metrics"
local problem = require "tael.api.problem"
local registry = require "tael.kernel.registry"
local reload = require "tael.reload"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"

local M = {}

local PLAIN = "text/plain; charset=utf-8"

local function plain(status, body)
    return { status = status, body = body,
        headers = { ["content-type"] = PLAIN, ["cache-control"] = "no-store" } }
end

--- The process is alive and this worker answers.
function M.healthz()
    return plain(200, "ok\n")
end

---@param call tael.api.Call
function M.readyz(call)
    local checks, ready = health.checks(call.request.listener == "api"), true
    for _, check in ipairs(checks) do
        ready = ready and check.ok
    end
    return {
        status = ready and 200 or 503,
        headers = { ["content-type"] = "application/json", ["cache-control"] = "no-store",
            ["retry-after"] = not ready and "1" or nil },
        body = json.encode { ready = ready, checks = json.array(checks) },
    }
end

local function gauge(lines, name, help, value)
    lines[#lines + 1] = ("# HELP %s %s\n# TYPE %s gauge\n%s %d\n"):format(name, help, name, name, value)
end

--- Counters of all workers, and what the store knows of itself, in Prometheus' text form.
function M.metrics()
    local counters = metrics.text()
    if not counters then
        return plain(503, "A worker did not answer in time, and its counters would be missing. Ask again.\n")
    end
    local lines, info = { counters }, store.info()
    local _, workers = task.worker()
    gauge(lines, "tael_workers", "worker threads", workers)
    gauge(lines, "tael_store_queued", "units waiting for the writer", info.queued)
    gauge(lines, "tael_store_units", "units answered since the start", info.units)
    gauge(lines, "tael_store_groups", "transactions committed since the start", info.groups)
    gauge(lines, "tael_store_failed", "units lost to the disk since the start", info.failed)
    gauge(lines, "tael_lua_bytes", "Lua memory of the worker that answers",
        collectgarbage("count") * 1024 // 1)
    local certificate = engine.certificates()[1] -- listeners with TLS have one and the same
    if certificate then
        gauge(lines, "tael_tls_not_after_seconds", "end of the certificate, seconds since 1970",
            certificate.not_after // 1000)
    end
    return {
        status = 200, headers = { ["content-type"] = "text/plain; version=0.0.4; charset=utf-8" },
        body = table.concat(lines),
    }
end

--- Where this engine listens, and in development mode its sandbox.
local function listeners(config)
    local list = json.array {}
    for _, address in ipairs(config.http.listen) do
        list[#list + 1] = { name = "api", address = address }
    end
    if config.operations.listen then
        list[#list + 1] = { name = "operations", address = config.operations.listen }
    end
    if config.dev then
        list[#list + 1] = { name = "sandbox", address = config.sandbox.listen }
    end
    return list
end

---@param call tael.api.Call
function M.system(call)
    local _, workers = task.worker()
    return {
        status = 200,
        headers = { ["content-type"] = "application/json", ["cache-control"] = "no-store" },
        body = json.encode {
            object = "system", version = registry.config.version, api_version = "2026-11-01",
            dev = registry.config.dev, generation = json.null, request_id = call.request_id,
            listeners = listeners(registry.config),
            nodes = json.array { { workers = workers, schema = store.info().schema } },
        },
    }
end

local document -- as text; configuration and routes stay what they are

--- The API as OpenAPI.
function M.openapi()
    document = document or json.encode(require("tael.api.openapi").document(require "tael.api.routes",
        { version = registry.config.version or "0", url = registry.config.http.public_url }))
    return { status = 200, headers = { ["content-type"] = "application/json" }, body = document }
end

function M.reload()
    local done, err = reload.run()
    if not done then
        return nil, problem.new(err.code == "script_refused" and err.code or "configuration_invalid",
            err.message)
    end
    for _, one in ipairs(done.scripts) do
        one.generation = one.generation or json.null
    end
    return 200, { object = "reload", certificates = done.certificates, channels = done.channels,
        scripts = done.scripts, refused = done.refused, needs_restart = done.needs_restart }
end

local DAY_S, DRAIN_MS = 86400, 10000
local CLOCK_END_MS = 3471292800000 -- 2080, where the store's ids end

M.clock_schema = {
    fields = { advance_in = { type = "integer", required = true, min = 1, max = 400 * DAY_S,
        doc = "seconds" } },
}

--- Puts the clock ahead and does what has come due. Where the clock is the world's own there is no such
--- thing.
---@param call tael.api.Call
function M.clock(call)
    if not registry.config.dev then
        return nil, problem.new("not_found", "Only the clock of development mode can be put ahead.")
    end
    local ms = call.body.advance_in * 1000
    if time.now() + ms >= CLOCK_END_MS then
        return nil, problem.field("invalid_field", "/advance_in", "The clock ends with the year 2079.")
    end
    time.advance(ms)
    local fired = require("tael.kernel.timers").drain(DRAIN_MS)
    return 200, { object = "clock", now = time.rfc3339(time.now()), advanced_in = call.body.advance_in,
        fired = fired }
end

---@param call tael.api.Call
function M.problem(call)
    local text = problem.page(call.params.code)
    return text and plain(200, text) or plain(404, "not found\n")
end

return M
