--- Asks an engine: the running one over its local socket, as operator, or any other by URL and API
--- key. What the engine refuses, and an engine that does not answer, come back as a failure with its
--- exit code.
local crypto = require "tael.crypto"
local exits = require "tael.cli.exits"
local json = require "tael.json"

local client = {}
client.__index = client

local TIMEOUT_MS = 30000
local ANSWER_MAX = 16 * 1024 * 1024
local LIMITS = { max_tokens = 2000000, max_members = 100000, max_string = 1048576, max_depth = 64 }

--- The merchant to act for when none is named: the only one, or the demo shop.
---@param config table
---@return string? slug
local function usual_merchant(config)
    local only
    for slug in pairs(config.merchants) do
        if only then
            return config.dev and config.merchants["demo.test"] and "demo.test" or nil
        end
        only = slug
    end
    return only
end

---@class tael.cli.Client
---@field send fun(request: table): table?, table? tael.http.request; another for specs

---@param about { config: table, socket: string, url: string?, key: string?, merchant: string? }
---@param send fun(request: table): table?, table?
---@return tael.cli.Client
function client.new(about, send)
    local self = { send = send, named = about.merchant }
    if about.url or about.key then
        self.base = (about.url or "http://" .. about.config.http.listen[1]):gsub("/+$", "")
        self.key, self.merchant = about.key, about.merchant
    else
        self.base, self.socket = "http://tael", about.socket
        self.merchant = about.merchant or usual_merchant(about.config)
    end
    return setmetatable(self, client)
end

local function unreachable(self, err)
    if err.code == "timeout" then
        return exits.fail(exits.unknown, "the engine did not answer in time",
            "tael doctor; a request that was sent may have had its effect")
    elseif err.sent then
        return exits.fail(exits.unknown, "the connection broke before the answer: " .. err.message,
            "look whether it had its effect before you repeat it")
    elseif self.socket then
        return exits.fail(exits.unreachable, "no engine answers at " .. self.socket,
            "start one here (tael serve), or name another: --config FILE, or --url URL --key KEY")
    end
    return exits.fail(exits.unreachable, "no engine answers at " .. self.base .. ": " .. err.message,
        "check --url; tael doctor on the engine's machine")
end

local exit_of_status = {
    [400] = exits.usage, [401] = exits.refused, [403] = exits.refused, [408] = exits.unknown,
    [429] = exits.unknown, [503] = exits.unreachable,
}

local function exit_of(status, code)
    if code == "store_unavailable" then
        return exits.store
    end
    return exit_of_status[status] or status >= 500 and exits.internal or exits.no
end

local next_steps = {
    unauthenticated = "make a key on the engine's machine: tael keys api MERCHANT",
    bad_token = "--key KEY takes an API key: tael keys api MERCHANT makes one",
    key_expired = "make a new key: tael keys api MERCHANT",
    key_revoked = "make a new key: tael keys api MERCHANT",
    invalid_header = "name the merchant: --merchant SLUG; tael config show lists them",
    store_unavailable = "tael doctor",
    internal = "the engine's log says more",
}

--- What the engine's problem means for whom reads the terminal.
local function refused(answer)
    local problem = json.decode(answer.raw)
    if type(problem) ~= "table" or type(problem.code) ~= "string" then
        return exits.fail(answer.status == 404 and exits.no or exits.internal,
            "the answer is not Tael's: HTTP " .. answer.status,
            "is this the address of a Tael engine?")
    end
    local message = ("%s (%s)"):format(problem.detail or problem.title or "refused", problem.code)
    local next_step = next_steps[problem.code]
    if problem.code == "internal" and problem.request_id then
        next_step = next_step .. ", under " .. problem.request_id
    end
    return exits.fail(exit_of(answer.status, problem.code), message, next_step)
end

local function target(path, query)
    local names, parts = {}, {}
    for name in pairs(query or {}) do
        names[#names + 1] = name
    end
    table.sort(names)
    for i, name in ipairs(names) do
        parts[i] = name .. "=" .. crypto.url.encode(tostring(query[name]))
    end
    return #parts > 0 and path .. "?" .. table.concat(parts, "&") or path
end

--- "/v1/payments/{}" with its parts filled in, each escaped.
---@param pattern string
---@param ... string
---@return string
function client.path(pattern, ...)
    local parts, i = { ... }, 0
    return (pattern:gsub("{}", function()
        i = i + 1
        return crypto.url.encode(parts[i])
    end))
end

---@class tael.cli.Ask
---@field query table?
---@field body any
---@field any_merchant boolean?  only a merchant that was named is told
---@field accept table<integer, true>? further statuses whose answer is wanted

---@param method string
---@param path string
---@param ask tael.cli.Ask?
---@return table? body decoded
---@return tael.cli.Failure? failure
function client:request(method, path, ask)
    ask = ask or {}
    local headers = {}
    if self.key then
        headers["authorization"] = "Bearer " .. self.key
    end
    if ask.any_merchant then
        headers["tael-merchant"] = self.named
    else
        headers["tael-merchant"] = self.merchant
    end
    local answer, err = self.send {
        method = method, url = self.base .. target(path, ask.query), headers = headers,
        json = ask.body, unix = self.socket, timeout_ms = TIMEOUT_MS, max_bytes = ANSWER_MAX,
    }
    if not answer then
        return unreachable(self, err)
    end
    local good = answer.status >= 200 and answer.status <= 299
    if not good and not (ask.accept and ask.accept[answer.status]) then
        return refused(answer)
    end
    local body = json.decode(answer.raw, LIMITS)
    if type(body) ~= "table" then
        return exits.fail(exits.internal, "the answer is not a JSON object",
            "is this the address of a Tael engine?")
    end
    return body
end

---@param path string
---@param query table?
---@return table? body
---@return tael.cli.Failure? failure
function client:get(path, query)
    return self:request("GET", path, { query = query })
end

return client
