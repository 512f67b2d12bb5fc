--- The operator's own endpoints below /r/ (scripts/routes): who may call them, and how they say no. Finding,
--- running and answering are C (engine/engine_routes.c), in a Lua state that knows nothing of this one.
local auth = require "tael.api.auth"
local ids = require "tael.kernel.ids"
local log = require "tael.log"
local metrics = require "tael.kernel.metrics"
local problem = require "tael.api.problem"
local rate = require "tael.api.rate"
local registry = require "tael.kernel.registry"
local store = require "tael.store"

local own_routes = {}

local function refuse(request, refused, request_id)
    request_id = request_id or ids.encode("req", store.next_id())
    local response = problem.response(refused, { instance = request.path, request_id = request_id })
    response.headers["tael-request-id"], response.headers["cache-control"] = request_id, "no-store"
    metrics.count("tael_routes_refused_total", { status = tostring(response.status) })
    return response
end

--- An API key's merchant, within the key's rate.
---@param request table of the application contract
---@return table admitted {admitted = {merchant, headers?}}, or a response that refuses
function own_routes.admit(request)
    local caller, refused = auth.caller(request)
    if not caller then
        return refuse(request, refused)
    end
    local call = { caller = caller }
    local allowed
    allowed, refused = rate.check(call)
    if not allowed then
        local response = refuse(request, refused)
        for name, value in pairs(call.headers or {}) do
            response.headers[name] = value
        end
        return response
    end
    local merchant = registry.merchant(caller.merchant)
    return { admitted = { merchant = merchant and merchant.slug, headers = call.headers } }
end

---@param request table of the application contract
---@param refusal tael.app.Refusal
---@return table response
function own_routes.refuse(request, refusal)
    local request_id = ids.encode("req", store.next_id())
    if refusal.fault then
        log.error("route.failed", { request = request_id, path = request.path, error = refusal.fault })
    end
    return refuse(request, problem.new(refusal.code, refusal.detail,
        { headers = refusal.allow and { allow = refusal.allow } }), request_id)
end

return own_routes
