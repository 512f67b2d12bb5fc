--- /m/<merchant>/…: endpoints of a merchant's own, answered by its routes.lua (threats R44–R49).
--- 1 A request is authorised for the matched route. 2 What a script gives is checked before it is sent; what
--- it does wrong is told to its author in the log, never to the client. 3 The credential of a caller is none
--- of the script's business.
local auth = require "tael.api.auth"
local crypto = require "tael.crypto"
local form = require "tael.form"
local generations = require "tael.scripts.generations"
local kinds = require "tael.scripts.kinds"
local limits = require "tael.kernel.limits"
local log = require "tael.log"
local metrics = require "tael.kernel.metrics"
local path = require "tael.api.path"
local problem = require "tael.api.problem"
local rate = require "tael.api.rate"
local registry = require "tael.kernel.registry"
local route_contract = require "tael.scripts.route_contract"
local running = require "tael.scripts.running"
local source = require "tael.kernel.source"
local shares = require "tael.scripts.shares"
local suspensions = require "tael.scripts.suspensions"
local task = require "tael.task"
local time = require "tael.time"

local merchant_routes = {}

--- For the way of a request: its place in counters, and that it answers by itself.
merchant_routes.ROUTE = { path = "/m/{merchant}/…", method = "any", raw = true }

local SIGNED_S = 300

local SCOPE = "payments:write"

local suspension = suspensions.new "routes"
local count = metrics.by_two("tael_script_calls_total", "kind", "result")

-- ---- steps: each gives true, or nil and a problem ----

local function find_merchant(call)
    local segments = path.split(call.request.path)
    if not segments then
        return nil, problem.new("invalid_parameter", "The path holds what no path of this API holds.")
    end
    call.merchant = registry.merchant(segments[2] or "")
    if not call.merchant then
        return nil, problem.new("not_found")
    end
    call.segments = table.move(segments, 3, #segments, 1, {})
    if #call.segments == 1 and call.segments[1] == "" then
        call.segments = {} -- /m/acme/ is its root
    end
    return true
end

local function find_generation(call)
    local generation, broken = generations.of(call.merchant.slug)
    if not generation and broken then
        return nil, problem.new("script_unavailable")
    elseif not generation or not generation.routes then
        return nil, problem.new("not_found")
    end
    call.generation = generation
    return true
end

local function allowed(methods)
    local names = {}
    for method in pairs(methods) do
        names[#names + 1] = method
    end
    names[#names + 1] = methods.GET and "HEAD" or nil
    table.sort(names)
    return table.concat(names, ", ")
end

local function find_route(call)
    local methods, params = path.match(call.generation.routes, call.segments)
    if not methods then
        return nil, problem.new("not_found")
    end
    local method = call.request.method
    call.route_of, call.params = methods[method] or method == "HEAD" and methods.GET or nil, params
    if not call.route_of then
        return nil, problem.new("method_not_allowed", nil, { headers = { allow = allowed(methods) } })
    end
    return true
end

local function check_address(call)
    if source.is_loopback(call.ip) then
        return true
    end
    local taken = limits.take("route_address", source.group(call.ip))
    if not taken or taken.allowed then
        return true
    end
    return nil, problem.new("rate_limited", nil, {
        headers = { ["retry-after"] = tostring(limits.seconds(taken.reset_ms)) } })
end

--- Signed as Standard Webhooks say: "v1," and base64 of HMAC-SHA-256 over id, time and body.
local function check_signature(call)
    local headers, secret = call.request.headers, call.merchant.secrets[call.route_of.secret]
    local id, at = headers["webhook-id"], headers["webhook-timestamp"]
    local seconds = at and at:find("^%d+$") and #at < 12 and math.tointeger(tonumber(at))
    if not secret then
        log.error("script.failed", { merchant = call.merchant.slug, route = call.route_of.key,
            failure = "secret", detail = ("merchants.%s.secrets has no '%s'"):format(call.merchant.slug,
                call.route_of.secret) })
        return nil, problem.new("script_failed")
    elseif not id or not seconds or math.abs(time.now() // 1000 - seconds) > SIGNED_S then
        return nil, problem.new("unauthenticated",
            "Send webhook-id, webhook-timestamp of the last 5 minutes and webhook-signature.")
    end
    local mac = crypto.hmac("sha256", secret, id .. "." .. at .. "." .. call.request.body)
    local expected, fits = "v1," .. crypto.base64.encode(mac), false
    for given in (headers["webhook-signature"] or ""):gmatch("%S+") do
        fits = crypto.equal(given, expected) or fits
    end
    if fits then
        return true
    end
    return nil, problem.new("unauthenticated", "webhook-signature does not fit.")
end

local function check_caller(call)
    local request = call.request
    call.ip = source.of(request.peer, request.headers["x-forwarded-for"], registry.proxies)
    if call.route_of.auth == "none" then
        return check_address(call)
    elseif call.route_of.auth == "hmac" then
        local good, refused = check_address(call)
        if not good then
            return nil, refused
        end
        return check_signature(call)
    end
    local caller, refused = auth.caller(request)
    if not caller then
        return nil, refused
    end
    call.caller = caller
    local good
    good, refused = rate.check(call)
    if good and caller.merchant ~= call.merchant.id then
        return nil, problem.new("forbidden", "The key is another merchant's.")
    elseif good and not caller.scopes[SCOPE] then -- what a route does with money it does for its caller
        return nil, problem.new("forbidden", "The key lacks the scope " .. SCOPE .. ".")
    end
    return good, refused
end

local function check_rest(call)
    if suspension.rests(call.generation) or shares.over("routes", call.merchant.slug) then
        return nil, problem.new("script_unavailable")
    end
    return true
end

-- ---- the body ----

local MEDIA = { json = "application/json", form = "application/x-www-form-urlencoded" }

local function check_media(headers, wanted)
    local kind, parameters = (headers["content-type"] or ""):lower():match("^%s*([^;%s]+)%s*;?%s*(.-)%s*$")
    return kind == wanted and (parameters == "" or parameters:find('^charset="?utf%-8"?$'))
        and (headers["content-encoding"] or "identity") == "identity"
end

local function decoded(text, what)
    local given, err = form.decode(text)
    if given then
        return given
    end
    return nil, problem.new("invalid_parameter", ("The %s is not well formed: %s."):format(what, err.message))
end

local function check_body(call)
    local kind, request = call.route_of.body, call.request
    if kind == "none" then
        call.body = ""
        return true
    elseif #request.body > (call.route_of.max_body or math.maxinteger) then
        return nil, problem.new("too_large")
    elseif MEDIA[kind] and not check_media(request.headers, MEDIA[kind]) then
        return nil, problem.new("unsupported_media_type", "Send Content-Type: " .. MEDIA[kind] .. ".")
    end
    call.body = request.body
    if kind == "form" then
        local refused
        call.form, refused = decoded(request.body, "form")
        return call.form and true, refused
    end
    return true
end

local function check_query(call)
    local refused
    call.query, refused = decoded(call.request.query or "", "query")
    return call.query and true, refused
end

local steps = {
    find_merchant, find_generation, find_route, check_caller, check_rest, check_query, check_body,
}

-- ---- the script ----

local function request_of(call)
    local headers = {}
    for name, value in pairs(call.request.headers) do
        headers[name] = value
    end
    if call.caller then
        headers.authorization = nil
    end
    return {
        method = call.request.method, path = call.request.path, params = call.params, query = call.query,
        headers = headers, body = call.body, form = call.form, ip = source.address(call.ip) and call.ip,
    }
end

local CODES = { spent = "script_timeout", timeout = "script_timeout", crashed = "script_unavailable",
    busy = "script_unavailable" }

local function fail(call, failure, detail)
    count("route", failure)
    log.error("script.failed", { request = call.request_id, merchant = call.merchant.slug,
        route = call.route_of.key, failure = failure, detail = detail, generation = call.generation.id })
    if suspensions.KILLS[failure] then
        suspension.note(call.merchant.slug, call.generation)
    end
    return nil, problem.new(CODES[failure] or "script_failed")
end

local function refused_json(answer)
    local place = math.type(answer.offset) == "integer" and (" at byte " .. answer.offset) or ""
    return nil, problem.new("invalid_json", ("The body is not valid JSON: %s%s."):format(
        tostring(answer.detail), place))
end

local function run(call)
    local route = call.route_of
    local made = running.new(call.merchant, call.generation, "route")
    local told = running.call(made, kinds.ROUTE, { "call", 1, 2, 3 },
        { route.key, request_of(call), route.body })
    if told[1] == "failed" then
        return fail(call, told[2], told[3])
    end
    local answer = told[2]
    if type(answer) == "table" and answer.refused == "invalid_json" then
        return refused_json(answer)
    end
    local response, wrong = route_contract.response(answer)
    if not response then
        return fail(call, "shape", ('merchants/%s/%s: ["%s"]: the answer: %s'):format(call.merchant.slug,
            kinds.ROUTES, route.key, wrong))
    end
    count("route", "answered")
    return response
end

--- A step of the way of a request that answers it.
---@param call tael.api.Call
---@return table? response
---@return tael.api.Problem? refused
function merchant_routes.answer(call)
    for _, step in ipairs(steps) do
        local good, refused = step(call)
        if not good then
            return nil, refused
        end
    end
    task.set_scope(call.merchant.id)
    return run(call)
end

return merchant_routes
