--- From a configuration to what the engine must know: listeners, limits, store. Plain data of the
--- application contract.
local files = require "tael.sql.files"

local plan = {}

local SOCKET_MAX = 107 -- bytes of a unix socket's path

---@param config table
---@return string path of the socket that commands on this machine speak to
function plan.socket(config)
    return config.data .. "/tael.sock"
end

--- Where `tael serve --takeover` asks; the longest of the sockets' names.
---@param config table
---@return string path
function plan.handover(config)
    return config.data .. "/tael.takeover"
end

---@param config table
---@return table[]?
---@return table? err
function plan.listeners(config)
    local list, tls = {}, config.http.tls
    tls = tls and tls.cert and { cert = tls.cert, key = tls.key.at } or nil
    for _, address in ipairs(config.http.listen) do
        list[#list + 1] = { name = "api", address = address, tls = tls }
    end
    if config.operations.listen then
        list[#list + 1] = { name = "operations", address = config.operations.listen }
    end
    local socket = plan.socket(config)
    local longest = plan.handover(config)
    if #longest > SOCKET_MAX then
        return nil, { code = "config_wrong_value",
            message = ("data: the path is too long: %s has more than %d bytes"):format(longest, SOCKET_MAX) }
    end
    list[#list + 1] = { name = "local", address = "unix:" .. socket }
    return list
end

--- 1 MiB of scripts, as JSON: a byte of text takes three at most, other control characters apart.
local SCRIPTS_BODY = 3 * 1024 * 1024 + 65536

---@param config table
---@return table
function plan.limits(config)
    local limits = config.http.limits
    return {
        head = limits.head, body = limits.body, bodies = math.max(limits.bodies, SCRIPTS_BODY, limits.body),
        connections = limits.connections,
        per_address = limits.per_address, pipeline = limits.pipeline, idle_ms = limits.keepalive,
        head_ms = limits.head_time, body_ms = limits.body_time,
        exempt = config.http.trusted_proxies, -- a proxy is as many clients as there are behind it
    }
end

--- Bodies that are not bounded as all others are.
---@param config table
---@return table[]
function plan.body_limits(config)
    local scripts = math.max(SCRIPTS_BODY, config.http.limits.body)
    local list = { { prefix = "/notify/", max = config.http.limits.notify_body } }
    for _, prefix in ipairs { "/v1/scripts/merchants/", "/v1/scripts/" } do
        for _, suffix in ipairs { "/versions", "/check" } do
            list[#list + 1] = { prefix = prefix, suffix = suffix, max = scripts }
        end
    end
    return list
end

--- What every request to a channel keeps to.
---@param config table
---@return table
function plan.client(config)
    local client = config.client
    return {
        connect_ms = client.connect, total_ms = client.total, per_host = client.per_host, ca = client.ca,
        allow_private = client.allow_private,
    }
end

local function paths(folder, names)
    local list = {}
    for i, name in ipairs(names) do
        list[i] = folder .. name
    end
    return list
end

---@param config table
---@param lua_root string
---@param migrate boolean
---@return table
function plan.store(config, lua_root, migrate)
    local folder = lua_root .. "/tael/sql/"
    return {
        path = config.store.path, scope = "merchant", migrate = migrate,
        sql = paths(folder, files.statements), migrations = paths(folder .. "migrations/", files.migrations),
        group_max = config.store.group_max, queue_max = config.store.queue_max,
        checkpoint_pages = config.store.checkpoint_pages, cache_kib = config.store.cache_kib,
    }
end

--- Where the scripts of this engine's own operator and merchants are. They lie beside the configuration even
--- where the channels are those that Tael came with.
---@param config table
---@param source { root: string?, lua_root: string? } folders of the configuration and of Tael's own Lua
---@return string folder
---@return string shown as messages name it
function plan.own_scripts(config, source)
    local root, installed = source.root or ".", source.lua_root
    local scripts = config.scripts.folder
    if installed and scripts == installed:gsub("/[^/]+/?$", "") .. "/scripts" then
        scripts = root .. "/scripts"
    end
    local below = scripts:sub(1, #root + 1) == root .. "/"
    return scripts, below and scripts:sub(#root + 2) or scripts
end

--- The operator's own endpoints.
---@param config table
---@return table
function plan.routes(config)
    local folder, shown = plan.own_scripts(config, config.source)
    return { listener = "api", prefix = "/r/", folder = folder .. "/routes", shown = shown .. "/routes" }
end

return plan
