--- Every route: method, path, who may call it, what it takes, what it does, on which listeners it is.
--- raw routes answer by themselves and know no caller; the others are JSON for a caller with the scope.
local channels = require "tael.api.channels"
local events = require "tael.api.events"
local inbound = require "tael.api.inbound"
local merchants = require "tael.api.merchants"
local notifications = require "tael.api.notifications"
local payments = require "tael.api.payments"
local system = require "tael.api.system"

local routes = {}

---@class tael.api.Route
---@field method string
---@field path string         "{name}" stands for one segment
---@field on table<string, true> listeners
---@field handler fun(call: tael.api.Call): any, any, any
---@field raw boolean?
---@field scope string?
---@field any_merchant boolean? an operator need not name one
---@field idempotent boolean?  Idempotency-Key is looked at
---@field body table?         schema of the body
---@field query table?        parameters

local function add(method, path, listeners, handler, more)
    local route = more or {}
    route.method, route.path, route.handler, route.on = method, path, handler, {}
    for listener in listeners:gmatch("%S+") do
        route.on[listener] = true
    end
    routes[#routes + 1] = route
end

local API, PUBLIC, OPERATIONS, EVERYWHERE = "api local call", "api", "operations local call",
    "api operations local call"

add("POST", "/v1/payments", API, payments.create,
    { scope = "payments:write", body = payments.create_schema, idempotent = true })
add("GET", "/v1/payments", API, payments.list, { scope = "payments:read", query = payments.list_query })
add("GET", "/v1/payments/{id}", API, payments.get, { scope = "payments:read", query = payments.get_query })
add("GET", "/v1/payments/{id}/attempts", API, payments.attempts, { scope = "payments:read" })
add("GET", "/v1/notifications", API, notifications.list,
    { scope = "payments:read", query = notifications.list_query })
add("GET", "/v1/notifications/{id}", API, notifications.get, { scope = "payments:read", any_merchant = true })
add("GET", "/v1/events", API, events.list, { scope = "payments:read", query = events.list_query })
add("GET", "/v1/events/{id}", API, events.get, { scope = "payments:read" })
add("GET", "/v1/channels", API, channels.list, { scope = "payments:read" })
add("GET", "/v1/accounts", API, channels.accounts, { scope = "payments:read" })
add("GET", "/v1/accounts/{id}", API, channels.account, { scope = "payments:read" })
add("POST", "/v1/merchants/{slug}/api_keys", "local", merchants.create_key,
    { scope = "admin", body = merchants.key_schema, any_merchant = true })

add("POST", "/notify/{channel}/{account}", PUBLIC, inbound.notify, { raw = true })
add("GET", "/return/{channel}/{payment}", PUBLIC, inbound.returned, { raw = true })
add("POST", "/return/{channel}/{payment}", PUBLIC, inbound.returned, { raw = true })
add("GET", "/problems/{code}", PUBLIC, system.problem, { raw = true })

add("GET", "/healthz", EVERYWHERE, system.healthz, { raw = true })
add("GET", "/readyz", EVERYWHERE, system.readyz, { raw = true })
add("GET", "/metrics", OPERATIONS, system.metrics, { raw = true })
add("GET", "/v1/system", OPERATIONS, system.system, { raw = true })

return routes
