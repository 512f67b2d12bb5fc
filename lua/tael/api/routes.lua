--- Every route: method, path, who may call it, what it takes, what it does, on which listeners it is, and
--- what it answers. Requests are dispatched, checked and described (openapi.lua) by this one table.
--- raw routes answer by themselves and know no caller; the others are JSON for a caller with the scope.
local channels = require "tael.api.channels"
local events = require "tael.api.events"
local inbound = require "tael.api.inbound"
local jobs = require "tael.api.jobs"
local life = require "tael.api.life"
local merchants = require "tael.api.merchants"
local notifications = require "tael.api.notifications"
local payments = require "tael.api.payments"
local qr = require "tael.api.qr"
local refunds = require "tael.api.refunds"
local schema = require "tael.api.schema"
local scripts = require "tael.api.scripts"
local system = require "tael.api.system"

local routes = {}

---@class tael.api.Route
---@field method string
---@field path string         "{name}" stands for one segment, or for what stands before its ending
---@field on table<string, true> listeners
---@field handler fun(call: tael.api.Call): any, any, any
---@field id string           operationId
---@field about string        summary
---@field text string?        more about it
---@field answers table<integer, string|{media: string, about: string}> object ("payment"), list ("payment*")
---@field problems string?    codes of its own
---@field takes string?       media type of a raw route's body
---@field raw boolean?
---@field few boolean?         few addresses of it are asked for, over and over
---@field scope string?
---@field any_merchant boolean? an operator need not name one
---@field unread boolean?      what it makes is read nowhere again: no Location
---@field idempotent boolean?  Idempotency-Key is looked at
---@field body table?         schema of the body
---@field json_limits table?  other than tael.json's own
---@field query table?        parameters

local function add(method, path, listeners, handler, more)
    local route = more
    route.method, route.path, route.handler, route.on = method, path, handler, {}
    for listener in listeners:gmatch("%S+") do
        route.on[listener] = true
    end
    routes[#routes + 1] = route
end

local API, PUBLIC, OPERATIONS, EVERYWHERE = "api local call", "api", "operations local call",
    "api operations local call"
local PLAIN = { media = "text/plain", about = "Text." }

-- ---- payments ----

local CREATE = "currency_not_supported amount_out_of_range product_not_supported no_channel_available "
    .. "channel_refused_configuration script_failed declined denied_by_rule limit_exceeded "
    .. "idempotency_key_reused merchant_order_id_taken"
local MOVE = "state_conflict not_implemented_by_channel no_channel_available channel_refused_configuration "
    .. "script_failed"

add("POST", "/v1/payments", API, payments.create, {
    id = "createPayment", about = "Creates a payment", scope = "payments:write", idempotent = true,
    text = "The natural key is merchant_order_id: the same body again answers with the same payment.",
    body = payments.create_schema, answers = { [201] = "payment" }, problems = CREATE,
})
add("GET", "/v1/payments", API, payments.list, {
    id = "listPayments", about = "Payments, newest first", scope = "payments:read",
    query = payments.list_query, answers = { [200] = "payment*" },
})
add("GET", "/v1/payments/{id}", API, payments.get, {
    id = "getPayment", about = "One payment", scope = "payments:read", query = payments.get_query,
    answers = { [200] = "payment" },
})
add("PATCH", "/v1/payments/{id}", API, life.metadata, {
    id = "updatePayment", about = "Merges metadata", scope = "payments:write",
    text = "A member that is null is removed. Metadata may change in every state, until the payment has 500 "
        .. "events.",
    body = life.metadata_schema, answers = { [200] = "payment" }, problems = "state_conflict",
})
add("POST", "/v1/payments/{id}/close", API, life.close, {
    id = "closePayment", about = "Closes a payment that nobody has paid", scope = "payments:write",
    text = "200: closed, or paid when the money came first. 202: only the channel knows yet (closing is "
        .. "true); it settles by itself. Repeating is harmless.",
    body = schema.empty, answers = { [200] = "payment", [202] = "payment" }, problems = MOVE,
})
add("POST", "/v1/payments/{id}/cancel", API, life.cancel, {
    id = "cancelPayment", about = "Reverses the order at the channel", scope = "payments:write",
    text = "For orders whose outcome is unknown: asks, reverses, asks again. Money that was taken goes back.",
    body = schema.empty, answers = { [200] = "payment", [202] = "payment" }, problems = MOVE,
})
add("POST", "/v1/payments/{id}/sync", API, life.sync, {
    id = "syncPayment", about = "Asks the channel now", scope = "payments:write", body = schema.empty,
    answers = { [200] = "payment" }, problems = MOVE,
})
add("GET", "/v1/payments/{id}/attempts", API, payments.attempts, {
    id = "listAttempts", about = "Orders at channels, newest first", scope = "payments:read",
    answers = { [200] = "attempt*" },
})
add("POST", "/v1/payments/{id}/attempts", API, life.attempt, {
    id = "startAttempt", about = "Another way to pay", scope = "payments:write",
    text = "Only while no earlier attempt may still take money; beside one that waits for its payer with "
        .. "parallel = refund_surplus. The way of an open attempt is answered as it is, with 200.",
    body = life.attempt_schema, answers = { [200] = "payment", [201] = "payment" },
    problems = "state_conflict attempt_open product_not_supported currency_not_supported amount_out_of_range "
        .. "no_channel_available channel_refused_configuration script_failed",
})
add("POST", "/v1/payments/{id}/review", API, life.review, {
    id = "reviewPayment", about = "A person's decision about a payment under review", scope = "admin",
    text = "The channel is asked, and its answer is kept beside the decision. Above "
        .. "payments.review_approval_above two persons must decide the same. pending lets a payment go its "
        .. "way that a rule held back before any channel heard of it.",
    body = life.review_schema, answers = { [200] = "payment" },
    problems = MOVE .. " second_approval_required product_not_supported "
        .. "currency_not_supported amount_out_of_range script_failed",
})
add("GET", "/v1/payments/{id}/timeline", API, life.timeline, {
    id = "getTimeline", about = "The story of a payment", scope = "payments:read",
    answers = { [200] = "timeline" },
})

-- ---- refunds ----

add("POST", "/v1/payments/{id}/refunds", API, refunds.create, {
    id = "createRefund", about = "Gives money back", scope = "refunds:write", idempotent = true,
    text = "Needs merchant_refund_id or Idempotency-Key. Without amount: all that is refundable. The answer "
        .. "waits for the channel's first word for at most 10 seconds.",
    body = refunds.create_schema, answers = { [201] = "refund" },
    problems = "idempotency_key_required idempotency_key_reused merchant_refund_id_taken "
        .. "payment_not_refundable refund_exceeds_captured amount_out_of_range not_implemented_by_channel "
        .. "no_channel_available channel_refused_configuration script_failed",
})
add("GET", "/v1/payments/{id}/refunds", API, refunds.list_of_payment, {
    id = "listRefundsOfPayment", about = "Refunds of one payment, newest first", scope = "payments:read",
    query = refunds.list_of_payment_query, answers = { [200] = "refund*" },
})
add("GET", "/v1/refunds", API, refunds.list, {
    id = "listRefunds", about = "Refunds, newest first", scope = "payments:read", query = refunds.list_query,
    answers = { [200] = "refund*" },
})
add("GET", "/v1/refunds/{id}", API, refunds.get, {
    id = "getRefund", about = "One refund", scope = "payments:read", answers = { [200] = "refund" },
})
add("POST", "/v1/refunds/{id}/retry", API, refunds.retry, {
    id = "retryRefund", about = "Sends an abnormal refund again, with the same number",
    scope = "refunds:write", body = schema.empty, answers = { [200] = "refund" },
    problems = MOVE .. " attempt_open",
})

-- ---- what happened ----

add("GET", "/v1/notifications", API, notifications.list, {
    id = "listNotifications", about = "Notifications of channels, newest first", scope = "payments:read",
    query = notifications.list_query, answers = { [200] = "notification*" },
})
add("GET", "/v1/notifications/{id}", API, notifications.get, {
    id = "getNotification", about = "One notification, and why it was refused", scope = "payments:read",
    any_merchant = true, answers = { [200] = "notification" },
})
add("POST", "/v1/notifications/{id}/replay", API, notifications.replay, {
    id = "replayNotification", about = "Runs the stored bytes through today's checks",
    scope = "payments:write", text = "Applies only what the payment's state still allows.",
    body = schema.empty, answers = { [200] = "notification" },
    problems = "state_conflict no_channel_available",
})
add("GET", "/v1/events", API, events.list, {
    id = "listEvents", about = "Events, newest first; in the order of commits with after or wait",
    text = "With wait an answer that would be empty is held back until something happens or the seconds are "
        .. "over; without after it begins now. next_cursor then always leads on.",
    scope = "payments:read", query = events.list_query, answers = { [200] = "event*" },
})
add("GET", "/v1/events/{id}", API, events.get, {
    id = "getEvent", about = "One event", scope = "payments:read", answers = { [200] = "event" },
})

-- ---- channels, accounts, keys ----

add("GET", "/v1/channels", API, channels.list, {
    id = "listChannels", about = "Channels of the merchant's accounts", scope = "payments:read",
    answers = { [200] = "channel*" },
})
add("GET", "/v1/accounts", API, channels.accounts, {
    id = "listAccounts", about = "The merchant's channel accounts", scope = "payments:read",
    answers = { [200] = "account*" },
})
add("GET", "/v1/accounts/{id}", API, channels.account, {
    id = "getAccount", about = "One channel account", scope = "payments:read",
    answers = { [200] = "account" },
})
add("POST", "/v1/merchants/{slug}/api_keys", "local", merchants.create_key, {
    id = "createApiKey", about = "A new API key", scope = "admin", body = merchants.key_schema,
    any_merchant = true, unread = true, answers = { [201] = "api_key" },
})
add("GET", "/v1/merchants/{slug}/api_keys", "local", merchants.list_keys, {
    id = "listApiKeys", about = "API keys, newest first", scope = "admin", query = merchants.keys_query,
    any_merchant = true, answers = { [200] = "api_key*" },
})
add("DELETE", "/v1/merchants/{slug}/api_keys/{key}", "local", merchants.revoke_key, {
    id = "revokeApiKey", about = "Revokes an API key", scope = "admin", any_merchant = true,
    text = "Answers when no worker lets it in any more; what was let in before goes on. Repeating is "
        .. "harmless.",
    answers = { [200] = "api_key" },
})

-- ---- scripts: merchants', and the operator's own ----

--- Once for merchants and once for the operator's parts, which are code with the engine's rights: only who
--- may put files beside the engine reaches them, over its own socket.
local function add_scripts(method, path, handler, more)
    more.any_merchant, more.json_limits = true, scripts.json_limits
    more.scope = more.scope or "scripts:write"
    local own = {}
    for name, value in pairs(more) do
        own[name] = value
    end
    own.id, own.scope = more.id:gsub("Scripts$", "OperatorScripts"), "admin"
    own.about = "Of the operator's channels, jobs or routes: " .. more.about:gsub("^%u", string.lower)
    add(method, "/v1/scripts/merchants/{slug}" .. path, API, handler, more)
    add(method, "/v1/scripts/{part}" .. path, "local", handler, own)
end

add_scripts("POST", "/check", scripts.check, {
    id = "checkScripts", about = "Would these scripts run?", body = scripts.check_schema,
    admit = scripts.admit,
    text = "Loads them, checks them against the contract and runs their own specs. Stores nothing.",
    answers = { [200] = "script_check" },
})
add_scripts("POST", "/versions", scripts.push, {
    id = "pushScripts", about = "Keeps a version", body = scripts.push_schema, admit = scripts.admit,
    text = "Refused unless they load, keep to the contract and pass their own specs. It does not run until "
        .. "it is activated. The same texts again are the same version, answered with 200.",
    answers = { [200] = "script_version", [201] = "script_version" }, problems = "script_refused spec_failed",
})
add_scripts("GET", "/versions", scripts.list, {
    id = "listScripts", about = "Versions, newest first", scope = "scripts:read", query = scripts.list_query,
    answers = { [200] = "script_version*" },
})
add_scripts("GET", "/versions/{id}", scripts.get, {
    id = "getScripts", about = "One version with its files", scope = "scripts:read",
    answers = { [200] = "script_version" },
})
add_scripts("GET", "/diff", scripts.diff, {
    id = "diffScripts", about = "What differs between two versions", scope = "scripts:read",
    text = "Without from or to: the version that runs.", query = scripts.diff_query,
    answers = { [200] = "script_diff" },
})
add_scripts("POST", "/activate", scripts.activate, {
    id = "activateScripts", about = "Has a version run, or the folder's files",
    body = scripts.activate_schema,
    text = "Answers when whoever asks from then on, on any worker, runs it. What has begun ends on what it "
        .. "began with.",
    answers = { [200] = "script_activation" }, problems = "generation_conflict script_refused spec_failed",
})
add_scripts("POST", "/rollback", scripts.rollback, {
    id = "rollbackScripts", about = "Has that run again that ran before", body = schema.empty,
    text = "Once more: what ran before that.",
    answers = { [200] = "script_activation" }, problems = "generation_conflict script_refused spec_failed",
})

-- ---- for channels and payers ----

add("POST", "/notify/{channel}/{account}", PUBLIC, inbound.notify, {
    id = "notify", about = "A channel's notification", raw = true, few = true,
    takes = "application/x-www-form-urlencoded",
    answers = { [200] = { media = "text/plain", about = "The channel's form of yes or no." }, [404] = PLAIN,
        [429] = PLAIN, [500] = { media = "text/plain", about = "Not stored: to be sent again." } },
})
for _, method in ipairs { "GET", "POST" } do
    add(method, "/return/{channel}/{payment}", PUBLIC, inbound.returned, {
        id = method == "GET" and "return" or "returnByForm", about = "The payer's browser comes back",
        raw = true, answers = { [200] = { media = "text/html", about = "A page for the payer." },
            [303] = { media = "text/plain", about = "To return_url." }, [404] = PLAIN, [503] = PLAIN },
    })
end
add("GET", "/qr/{payment}.svg", PUBLIC, qr.svg, {
    id = "qrCode", about = "The QR code that the payer scans", raw = true,
    answers = { [200] = { media = "image/svg+xml", about = "The code." }, [404] = PLAIN, [503] = PLAIN },
})
add("GET", "/problems/{code}", PUBLIC, system.problem, {
    id = "getProblem", about = "The page that a problem's type names", raw = true,
    answers = { [200] = PLAIN, [404] = PLAIN },
})

-- ---- the engine ----

add("GET", "/v1/openapi.json", EVERYWHERE, system.openapi, {
    id = "getOpenApi", about = "This document", raw = true,
    answers = { [200] = { media = "application/json", about = "OpenAPI 3.1." } },
})
add("GET", "/healthz", EVERYWHERE, system.healthz, {
    id = "isAlive", about = "The process is alive", raw = true, answers = { [200] = PLAIN },
})
add("GET", "/readyz", EVERYWHERE, system.readyz, {
    id = "isReady", about = "Is this engine fit to take money", raw = true,
    answers = { [200] = "readiness", [503] = "readiness" },
})
add("GET", "/metrics", OPERATIONS, system.metrics, {
    id = "getMetrics", about = "Counters in Prometheus' form", raw = true,
    answers = { [200] = PLAIN, [503] = PLAIN },
})
add("GET", "/v1/system", OPERATIONS, system.system, {
    id = "getSystem", about = "What is running", raw = true, answers = { [200] = "system" },
})
add("POST", "/v1/system/reload", "local", system.reload, {
    id = "reload", about = "Reads certificates and scripts again", scope = "admin", body = schema.empty,
    any_merchant = true, answers = { [200] = "reload" }, problems = "configuration_invalid script_refused",
})
add("GET", "/v1/system/jobs", "local", jobs.list, {
    id = "listJobs", about = "The operator's jobs", scope = "admin", any_merchant = true,
    answers = { [200] = "jobs" },
})
add("POST", "/v1/system/jobs/{name}/run", "local", jobs.run, {
    id = "runJob", about = "Runs a job now", scope = "admin", body = jobs.run_schema, any_merchant = true,
    text = "Answers when it has begun. Nobody else runs it at the same time.",
    answers = { [202] = "job_run" }, problems = "not_found state_conflict overloaded",
})
add("POST", "/v1/system/clock", "local", system.clock, {
    id = "advanceClock", about = "Puts the clock ahead, in development mode", scope = "admin",
    body = system.clock_schema, any_merchant = true, answers = { [200] = "clock" },
    problems = "not_found",
})

return routes
