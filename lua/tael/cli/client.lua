--- Asks an engine: the running one over its local socket, as operator, or any other by URL and API
--- key. What the engine refuses, and an engine that does not answer, come back as a failure with its
--- exit code.
local crypto = require "tael.crypto"
local demo = require "tael.config.demo"
local exits = require "tael.cli.exits"
local json = require "tael.json"
local text = require("tael.cli.texts").of

local client = {}
client.__index = client

local TIMEOUT_MS = 30000
local MORE_MS = 10000 -- beyond the time that the engine is asked to wait
local ANSWER_MAX = 16 * 1024 * 1024
local LIMITS = { max_tokens = 2000000, max_members = 100000, max_string = 1048576, max_depth = 64 }

--- The merchant to act for when none is named: the only one, or the one that development is about.
---@param config table
---@return string? slug
local function usual_merchant(config)
    local only = next(config.merchants)
    if only and not next(config.merchants, only) then
        return only
    end
    return config.dev and demo.merchant(config) or nil
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

--- The same, acting for another merchant.
---@param slug string
---@return tael.cli.Client
function client:as(slug)
    return setmetatable({ merchant = slug, named = slug }, { __index = self })
end

local function unreachable(self, err)
    if err.code == "timeout" then
        return exits.fail(exits.unknown, text "client.timeout", text "client.timeout.next")
    elseif err.sent then
        return exits.fail(exits.unknown, text("client.broken", { reason = err.message }),
            text "client.broken.next")
    elseif self.socket then
        return exits.fail(exits.unreachable, text("client.no_engine", { at = self.socket }),
            text "client.no_engine.next")
    end
    return exits.fail(exits.unreachable, text("client.no_answer", { at = self.base, reason = err.message }),
        text "client.no_answer.next")
end

local exit_of_status = {
    [400] = exits.usage, [401] = exits.refused, [403] = exits.refused, [408] = exits.unknown,
    [429] = exits.unknown, [503] = exits.unreachable,
}

--- What is no fault of the engine, whatever its status.
local exit_of_code = {
    store_unavailable = exits.store, not_implemented_by_channel = exits.no,
    channel_refused_configuration = exits.configuration, script_failed = exits.no, script_timeout = exits.no,
}

local function exit_of(status, code)
    return exit_of_code[code] or exit_of_status[status] or status >= 500 and exits.internal or exits.no
end

local HAVE_NEXT = {
    unauthenticated = true, bad_token = true, key_expired = true, key_revoked = true, forbidden = true,
    invalid_header = true, store_unavailable = true, internal = true, rate_limited = true, draining = true,
    script_refused = true, spec_failed = true, generation_conflict = true, script_failed = true,
    script_timeout = true,
}

local function next_of(problem)
    if not HAVE_NEXT[problem.code] then
        return nil
    end
    return text("client.next." .. problem.code, { request = problem.request_id or "-" })
end

local function place_in(wrong)
    return wrong.file and ("%s:%s"):format(wrong.file, wrong.line or "?") or "?"
end

--- Which fields are wrong, one line each. A single one that says what the problem says stands before it; a
--- single parameter or header is in the problem's own sentence.
local function wrong_fields(problem, detail)
    local errors = type(problem.errors) == "table" and problem.errors or {}
    local lines = {}
    for i, wrong in ipairs(errors) do
        local place = wrong.pointer or wrong.parameter or wrong.header or place_in(wrong)
        lines[i] = ("%s: %s"):format(place, wrong.detail or wrong.code or "?")
    end
    if #lines ~= 1 then
        return detail, lines
    elseif errors[1].file then
        return lines[1]
    elseif not errors[1].pointer then
        return detail
    elseif errors[1].detail == detail then
        return lines[1]
    end
    return detail, lines
end

--- What the engine's problem means for whom reads the terminal.
local function refused(answer)
    local problem = json.decode(answer.raw)
    if type(problem) ~= "table" or type(problem.code) ~= "string" then
        return exits.fail(answer.status == 404 and exits.no or exits.internal,
            text("client.foreign", { status = answer.status }), text "client.foreign.next")
    end
    local message, more = wrong_fields(problem, problem.detail or problem.title or "refused")
    return nil, {
        exit = exit_of(answer.status, problem.code), message = ("%s (%s)"):format(message, problem.code),
        more = more, next = next_of(problem), problem = problem, status = answer.status,
    }
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
---@field key string? Idempotency-Key
---@field any_merchant boolean?  only a merchant that was named is told
---@field accept table<integer, true>? further statuses whose answer is wanted

local function headers_of(self, ask)
    local merchant = self.merchant
    if ask.any_merchant then
        merchant = self.named
    end
    return {
        authorization = self.key and "Bearer " .. self.key, ["tael-merchant"] = merchant,
        ["idempotency-key"] = ask.key,
    }
end

---@param method string
---@param path string
---@param ask tael.cli.Ask?
---@return table? body decoded
---@return tael.cli.Failure? failure
---@return integer? status
function client:request(method, path, ask)
    ask = ask or {}
    local wait_ms = ask.query and ask.query.wait and ask.query.wait * 1000 + MORE_MS
    local answer, err = self.send {
        method = method, url = self.base .. target(path, ask.query), headers = headers_of(self, ask),
        json = ask.body, unix = self.socket, timeout_ms = wait_ms or TIMEOUT_MS, max_bytes = ANSWER_MAX,
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
        return exits.fail(exits.internal, text "client.no_object", text "client.foreign.next")
    end
    return body, nil, answer.status
end

---@param path string
---@param query table?
---@return table? body
---@return tael.cli.Failure? failure
function client:get(path, query)
    return self:request("GET", path, { query = query })
end

--- POST that takes 200, 201 and 202.
---@param path string
---@param body any
---@return table? body
---@return tael.cli.Failure? failure
---@return integer? status
function client:post(path, body)
    return self:request("POST", path, { body = body or {} })
end

return client
