--- Every key of tael.lua: type, default, limits and what it is for. This table drives the checks, the
--- environment overrides, `tael config show` and `tael config check`.
--- A default of a function is worked out from what is known so far (config.lua, `context`).
local schema = {}

---@class tael.config.Key
---@field name string        "http.listen"
---@field type string        see values.lua
---@field default any
---@field doc string
---@field min integer?
---@field max integer?
---@field values string[]?
---@field off boolean?       false switches it off

local list = {}
schema.list = list

local function key(name, type_name, default, doc, more)
    local row = { name = name, type = type_name, default = default, doc = doc }
    for field, value in pairs(more or {}) do
        row[field] = value
    end
    list[#list + 1] = row
end

local function first_listener(config)
    local tls = config.http.tls and config.http.tls.cert
    return (tls and "https://" or "http://") .. config.http.listen[1]
end

local function is_dev(config)
    return config.dev
end

local function key_folder(config)
    return config.dev and config.data .. "/keys" or "keys"
end

local function migrate(config)
    return config.dev and "auto" or "manual"
end

local SECOND, MINUTE, DAY = 1000, 60000, 86400000

key("dev", "boolean", false, "sandbox, generated keys and a demo merchant; loopback only")
key("workers", "integer", function(_, context) return context.cores end,
    "threads, each with its own event loop", { min = 1, max = 64 })
key("drain", "duration", "15s", "how long a stop waits for what is under way", { max = 10 * MINUTE })
key("data", "path", "data", "folder of the store, made with mode 0700")

key("http.listen", "addresses", { "127.0.0.1:8080" }, "API, notifications and returns: host:port")
key("http.tls.cert", "path", nil, "certificate chain, PEM; with it http.listen speaks TLS")
key("http.tls.key", "file", nil, "the certificate's private key, PEM: secret.file(\"…\")")
key("http.public_url", "url", first_listener, "base of the addresses given to channels and payers")
key("http.trusted_proxies", "networks", {}, "peers whose X-Forwarded-For is believed")
key("http.limits.head", "integer", 16384, "bytes of a request's head", { min = 1024, max = 1048576 })
key("http.limits.body", "integer", 262144, "bytes of a request's body", { min = 1024, max = 16777216 })
key("http.limits.bodies", "integer", 67108864, "bytes of all bodies beyond 16 KiB each; half for an address",
    { min = 1048576, max = 1073741824 })
key("http.limits.notify_body", "integer", 65536, "bytes of a notification", { min = 1024, max = 1048576 })
key("http.limits.connections", "integer", 20000, "open at once", { min = 1, max = 1000000 })
key("http.limits.per_address", "integer", 256, "open at once from one address", { min = 1, max = 1000000 })
key("http.limits.keepalive", "duration", "30s", "an idle connection", { min = 100, max = 60 * MINUTE })
key("http.limits.head_time", "duration", "5s", "for the head to arrive", { min = 100, max = 10 * MINUTE })
key("http.limits.body_time", "duration", "5s", "for the body's first byte", { min = 100, max = 10 * MINUTE })
key("http.limits.pipeline", "integer", 16, "requests read ahead on a connection", { min = 1, max = 1000 })
key("operations.listen", "address", "127.0.0.1:8081", "health, readiness, metrics", { off = true })

key("store.url", "store", "sqlite:tael.db", "\"sqlite:FILE\" in data, or \"memory:\"")
key("store.group_max", "integer", 256, "units in one commit", { min = 1, max = 10000 })
key("store.queue_max", "integer", 10000, "units waiting; more are refused", { min = 1, max = 1000000 })
key("store.checkpoint_pages", "integer", 4000, "pages of the log before it is folded in",
    { min = 100, max = 1000000 })
key("store.cache_mib", "integer", 2, "page cache of the writer; readers have half", { min = 1, max = 4096 })
key("store.migrate", "enum", migrate, "auto: bring the schema up to date at start",
    { values = { "auto", "manual" } })

key("keys.folder", "path", key_folder, "keys and secrets, mode 0700")
key("keys.master", "secret", nil, "seals the files of the key folder (at least 16 bytes)")
key("audit.seal_every", "duration", "1s", "between two seals of a merchant's events",
    { min = 100, max = MINUTE })
key("scripts.folder", "path", function(_, context) return context.scripts end, "channel packages")
key("scripts.memory_mib", "integer", 256, "all merchants' scripts together, on each worker",
    { min = 1, max = 65536 })
key("scripts.isolation", "enum", "state", "where merchants' scripts run: in the worker, or in processes",
    { values = { "state", "process" } })
key("scripts.processes", "integer", 64, "merchants whose process is kept, on each worker",
    { min = 1, max = 10000 })
key("scripts.stored_channels", "boolean", true,
    "false: to start with the channels of the folder, where the version that runs does not load any more")
key("scripts.share", "integer", 5, "percent of a worker that one merchant's scripts may take; 100: any",
    { min = 1, max = 100 })
key("scripts.budget.rule_cpu_ms", "integer", 2, "work of all rules of a payment together",
    { min = 1, max = 500 })
key("scripts.budget.cpu_ms", "integer", 50, "work of a call that may have effects", { min = 1, max = 500 })
key("scripts.budget.wall", "duration", "10s", "the same with what it waits for",
    { min = 100, max = 60 * MINUTE })
key("scripts.budget.effects", "integer", 32, "effects of a call", { min = 1, max = 100000 })
key("scripts.budget.memory_mib", "integer", 16, "one merchant's scripts, on each worker",
    { min = 1, max = 64 })

key("payments.expires", "duration", "30m", "life of a payment that does not say",
    { min = MINUTE, max = 15 * DAY })
key("payments.poll", "durations", { "2s", "5s", "15s", "1m", "5m", "30m", "1h" },
    "pauses between queries of what is unknown", { min = 100, max = DAY })
key("payments.grace", "duration", "2m", "after expiry, until \"not found\" means never paid", { max = DAY })
key("payments.alarm_unknown", "duration", "30m", "unknown for longer: alarm", { min = SECOND, max = 7 * DAY })
key("payments.parallel", "enum", "none", "may another attempt be issued beside an open one",
    { values = { "none", "refund_surplus" } })
key("payments.on_late_paid", "enum", "review", "money for a payment that was closed or had failed",
    { values = { "accept", "refund", "review" } })
key("payments.on_duplicate_paid", "enum", "refund", "a second success of one payment",
    { values = { "refund", "review" } })
key("payments.review_approval_above", "integer", nil,
    "minor units, of whatever currency, above which a review needs two persons", { min = 0 })
key("notifications.retention", "duration", "90d", "how long raw messages are kept", { min = DAY })
key("notifications.ring_mib", "integer", 64, "memory for messages refused before their sender was known",
    { min = 1, max = 1024 })
key("idempotency.retention", "duration", "7d", "how long an Idempotency-Key is remembered", { min = DAY })
key("client.connect", "duration", "3s", "for a connection to a channel", { min = 100, max = MINUTE })
key("client.total", "duration", "10s", "for a channel's whole answer", { min = 100, max = 2 * MINUTE })
key("client.per_host", "integer", 64, "connections to one host", { min = 1, max = 1024 })
key("client.ca", "path", nil, "certificates that are trusted in place of the system's, PEM")
key("client.allow_private", "boolean", is_dev, "may channels have addresses of private networks")
key("limits.key", "rate", "500/s", "requests with one API key", { off = true })
key("limits.notify_address", "rate", "200/s", "notifications from one address", { off = true })
key("limits.route_address", "rate", "200/s", "requests for merchants' open routes from one address",
    { off = true })
key("log.level", "enum", "info", "least important line that is written",
    { values = { "error", "warn", "info", "debug" } })
key("sandbox.listen", "address", "127.0.0.1:8090", "the simulated channels")
key("sandbox.speed", "integer", 1, "the simulators' clock runs this much faster", { min = 1, max = 100000 })

-- merchants.<slug>.… and merchants.<slug>.accounts.<slug>.…; the channel's package checks the other fields
schema.merchant = {
    { name = "name", type = "text", doc = "shown to people", max = 128 },
    { name = "mode", type = "enum", values = { "live", "test" }, required = true,
        doc = "live merchants have production accounts, test merchants sandbox accounts" },
    { name = "twin", type = "slug", doc = "the same merchant in the other mode" },
    { name = "zone", type = "zone", default = "+08:00",
        doc = "its clock: when its day begins, what its rules are told" },
    { name = "accounts", type = "map", default = {}, doc = "channel accounts by slug" },
    { name = "hosts", type = "hosts", default = {},
        doc = "whom its scripts may ask by https: \"erp.acme.example\", \"erp.acme.example:8443\"" },
    { name = "secrets", type = "map", default = {},
        doc = "what its scripts call secrets of the key folder: erp = \"acme.erp\"" },
    { name = "policies", type = "map", default = {}, doc = "what this merchant decides otherwise" },
}
-- in place of payments.<the same name>
schema.policies = {
    { name = "on_late_paid", type = "enum", values = { "accept", "refund", "review" },
        doc = "money for a payment that was closed or had failed" },
    { name = "on_duplicate_paid", type = "enum", values = { "refund", "review" },
        doc = "a second success of one payment" },
}
schema.account = {
    { name = "channel", type = "word", required = true, doc = "name of a package in scripts/channels" },
    { name = "environment", type = "enum", values = { "production", "sandbox" }, required = true,
        doc = "which of the channel's gateways" },
    { name = "zone", type = "zone", default = "+08:00", doc = "the channel's business day" },
}

--- "http.listen" -> "TAEL_HTTP__LISTEN"
---@param name string
---@return string
function schema.variable(name)
    return "TAEL_" .. name:upper():gsub("%.", "__")
end

return schema
