--- The way of a request: path, method, caller, version, parameters, body, handler, answer. Every step may end
--- it with a problem; nothing after a step runs when the step said no.
--- 1 A request is authorised for the matched route, never by the text of its path. 2 Every answer carries a
--- request id. 3 A handler that raises is answered 500 and logged with that id; nothing of it leaves. Where
--- there is no memory it is 503.
local auth = require "tael.api.auth"
local form = require "tael.form"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local log = require "tael.log"
local merchant_routes = require "tael.api.merchant_routes"
local metrics = require "tael.kernel.metrics"
local path = require "tael.api.path"
local problem = require "tael.api.problem"
local rate = require "tael.api.rate"
local routes = require "tael.api.routes"
local store = require "tael.store"
local task = require "tael.task"
local validate = require "tael.api.validate"

local api = {}

api.VERSION = "2026-11-01"

---@class tael.api.Call what a handler gets
---@field request table       of the application contract
---@field request_id string
---@field route table
---@field params table<string, string> named parts of the path
---@field query table<string, any>     accepted parameters
---@field body table?                  accepted body
---@field caller tael.api.Caller
---@field idempotency_key string?
---@field headers table<string, string>? of every answer to this caller

local NONE = {}
local NO_ROUTE = { path = "none", method = "other" }

local trees = {}
for _, listener in ipairs { "api", "operations", "local", "call" } do
    local served = {}
    for _, route in ipairs(routes) do
        if route.on[listener] then
            served[#served + 1] = route
        end
    end
    trees[listener] = path.compile(served)
end

local function header_problem(name, detail)
    return problem.new("invalid_header", detail, {
        errors = { { header = name, code = "invalid_header", detail = detail } } })
end

-- ---- steps: each gives true, or nil and a problem ----

local function allowed_methods(methods)
    local names = {}
    for method in pairs(methods) do
        names[#names + 1] = method
    end
    if methods.GET then
        names[#names + 1] = "HEAD"
    end
    table.sort(names)
    return table.concat(names, ", ")
end

local function find_route(call)
    local request = call.request
    local methods, params = path.find(trees[request.listener], request.path)
    if params == false then
        return nil, problem.new("invalid_parameter", "The path holds what no path of this API holds.")
    elseif not methods then
        return nil, problem.new("not_found")
    end
    call.route = methods[request.method] or request.method == "HEAD" and methods.GET or nil
    if not call.route then
        return nil, problem.new("method_not_allowed", nil,
            { headers = { allow = allowed_methods(methods) } })
    end
    call.params = params
    return true
end

local function find_caller(call)
    local caller, refused = auth.caller(call.request)
    if not caller then
        return nil, refused
    end
    call.caller = caller
    return true
end

local function check_scope(call)
    local caller = call.caller
    if not caller.scopes[call.route.scope] then
        return nil, problem.new("forbidden", "The key lacks the scope " .. call.route.scope .. ".")
    elseif caller.merchant == 0 and not call.route.any_merchant then
        return nil, header_problem("Tael-Merchant", "Name the merchant: there is not exactly one.")
    end
    task.set_scope(caller.merchant)
    return true
end

local function check_version(call)
    local version = call.request.headers["tael-version"]
    if version and version ~= api.VERSION then
        return nil, problem.new("unsupported_version")
    end
    return true
end

-- What takes JSON, by how exactly it names it: of several the most exact one holds (RFC 9110 §12.5.1). Who
-- takes problems takes the rest; who refuses them has said nothing of it.
local PROBLEM = 3
local ACCEPTABLE = {
    ["*/*"] = 1, ["application/*"] = 2, ["application/problem+json"] = PROBLEM, ["application/json"] = 4,
}

local function check_accept(call)
    local accept = call.request.headers["accept"]
    if not accept or accept == "" or ACCEPTABLE[accept] then
        return true
    end
    local exact, taken = 0, false
    for range in accept:lower():gmatch("[^,]+") do
        local how = ACCEPTABLE[range:match("^%s*([^;%s]+)")] or 0
        local refused = range:find(";%s*q%s*=%s*0%.?0*%s*%f[;\0]")
        if refused and how == PROBLEM then
            how = 0
        end
        if how > exact or how == exact and how > 0 then
            taken = not refused or how == exact and taken
            exact = how
        end
    end
    if taken then
        return true
    end
    return nil, problem.new("not_acceptable")
end

local function check_query(call)
    local text = call.request.query
    if not text or text == "" then
        call.query = {}
        return true
    end
    local given, err = form.decode(text)
    if not given then
        local found = err.field and utf8.len(err.field)
            and { { parameter = err.field, code = "invalid_parameter", detail = err.message } }
        return nil, problem.new("invalid_parameter",
            "The query is not well formed: " .. err.message .. ".", { errors = found })
    end
    local accepted, refused = validate.query(call.route.query or NONE, given)
    if not accepted then
        return nil, problem.new(refused.code, refused.detail, refused)
    end
    call.query = accepted
    return true
end

--- Bare or quoted, 1–255 visible ASCII characters.
local function check_idempotency(call)
    local header = call.request.headers["idempotency-key"]
    if not header or not call.route.idempotent then
        return true
    end
    local key = header:match('^"(.*)"$') or header
    if #key < 1 or #key > 255 or key:find("[^\33-\126]") then
        return nil, header_problem("Idempotency-Key",
            "Idempotency-Key must be 1 to 255 visible ASCII characters.")
    end
    call.idempotency_key = key
    return true
end

local function check_media(headers)
    if headers["content-type"] == "application/json" and not headers["content-encoding"] then
        return true
    end
    local header = (headers["content-type"] or ""):lower()
    local kind, parameters = header:match("^%s*([^;%s]+)%s*;?%s*(.-)%s*$")
    return kind == "application/json" and (parameters == "" or parameters:find('^charset="?utf%-8"?$'))
        and (headers["content-encoding"] or "identity") == "identity"
end

local function check_body(call)
    local route, request = call.route, call.request
    if not route.body then
        return true
    elseif route.body.optional and request.body == "" then
        call.body = {}
        return true
    elseif not check_media(request.headers) then
        return nil, problem.new("unsupported_media_type")
    end
    local value, err = json.decode(request.body, route.json_limits)
    if value == nil then
        local place = err.offset and (" at byte " .. err.offset) or ""
        return nil, problem.new("invalid_json",
            ("The body is not valid JSON: %s%s."):format(err.message, place))
    end
    local accepted, refused = validate.body(route.body, value)
    if not accepted then
        return nil, problem.new(refused.code, refused.detail, refused)
    end
    call.body = accepted
    return true
end

--- What a route asks before it reads a body.
local function check_admitted(call)
    if call.route.admit then
        return call.route.admit(call)
    end
    return true
end

local steps = {
    find_caller, rate.check, check_scope, check_version, check_accept, check_query, check_idempotency,
    check_admitted, check_body,
}

-- ---- answers ----

--- The headers are the handler's own table, made for this answer.
local function answer(status, body, headers)
    headers = headers or {}
    headers["content-type"] = headers["content-type"] or "application/json"
    return { status = status, headers = headers, body = body and json.encode(body) or "" }
end

local function refuse(call, refused)
    return problem.response(refused, { instance = call.request.path, request_id = call.request_id })
end

--- The handler's answer; a handler gives a status with a body and headers, or nil and what was wrong.
local function perform(call)
    local status, body, headers = call.route.handler(call)
    if status then
        return answer(status, body, headers)
    end
    return refuse(call, problem.of(body))
end

local SERVES_MERCHANTS = { api = true, call = true }

--- A merchant's own endpoint.
local function respond_by_merchant(call)
    call.route = merchant_routes.ROUTE
    local response, refused = merchant_routes.answer(call)
    if response then
        return response
    end
    response = refuse(call, refused)
    response.headers["cache-control"] = "no-store"
    return response
end

local function respond(call)
    if call.request.path:find("^/m/") and SERVES_MERCHANTS[call.request.listener] then
        return respond_by_merchant(call)
    end
    local found, refused = find_route(call)
    if not found then
        return refuse(call, refused)
    elseif call.route.raw then
        return call.route.handler(call)
    end
    for _, step in ipairs(steps) do
        local good
        good, refused = step(call)
        if not good then
            return refuse(call, refused)
        end
    end
    return perform(call)
end

--- A handler of a raw route may give a table that it keeps.
local function copied(map)
    local copy = { ["content-type"] = nil, ["tael-request-id"] = nil } -- room for two: most have no more
    for name, value in pairs(map or NONE) do
        copy[name] = value
    end
    return copy
end

local counters = {} ---@type table<table, table<integer, tael.kernel.Counter>> by route and status

local function count(route, status)
    local of_route = counters[route]
    if not of_route then
        of_route = {}
        counters[route] = of_route
    end
    local counter = of_route[status]
    if not counter then
        counter = metrics.counter("tael_http_requests_total", { route = route.path, method = route.method,
            status = tostring(status) })
        of_route[status] = counter
    end
    counter.count = counter.count + 1
end

local function finish(call, response)
    local route = call.route or NO_ROUTE
    local headers = route.raw and copied(response.headers) or response.headers
    for name, value in pairs(call.headers or NONE) do
        headers[name] = headers[name] or value
    end
    headers["tael-request-id"] = call.request_id
    if not route.raw then
        headers["tael-version"], headers["cache-control"] = api.VERSION, "no-store"
    end
    count(route, response.status)
    if log.wants "debug" then
        log.debug("http.request", {
            request = call.request_id, listener = call.request.listener, method = call.request.method,
            route = route.path, status = response.status,
        })
    end
    return { status = response.status, headers = headers, body = response.body }
end

--- Lua's own words, and those of what C makes for it.
local function lacks_memory(raised)
    local text = tostring(raised)
    return text:find("not enough memory", 1, true) ~= nil or text:find("out of memory", 1, true) ~= nil
end

---@param request table of the application contract
---@return table response
function api.handle(request)
    local call = { request = request, request_id = ids.encode("req", store.next_id()), route = nil,
        params = nil, caller = nil, query = nil, body = nil, idempotency_key = nil }
    local ran, response = xpcall(respond, debug.traceback, call)
    if not ran then
        log.error("request.failed", { request = call.request_id, route = call.route and call.route.path,
            error = tostring(response) })
        response = refuse(call, problem.new(lacks_memory(response) and "overloaded" or "internal"))
    end
    return finish(call, response)
end

return api
