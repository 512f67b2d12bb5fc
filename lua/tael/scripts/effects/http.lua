--- Effects that ask others over HTTP: hosts that the operator has listed for this merchant, nobody else
--- (threats R50–R52). A host is named, not matched; the client looks its addresses up once and goes to public
--- ones only. http, and this machine, are for development.
local durations = require "tael.config.durations"
local form = require "tael.form"
local http = require "tael.http"
local json = require "tael.json"
local plain = require "tael.scripts.plain"
local registry = require "tael.kernel.registry"
local time = require "tael.time"

local M = {}

local BYTES_MAX, URL_MAX = 262144, 4096
local TIMEOUT_MS = 10000
local MEMBERS_MAX = 4000 -- of a JSON answer
local PORTS = { https = 443, http = 80 }
local LOOPBACK = { localhost = true, ["127.0.0.1"] = true, ["[::1]"] = true }

--- One reading of a URL: what is not plain is refused, so that nobody reads it otherwise.
---@return { scheme: string, host: string, port: integer, rest: string }?
local function read_url(text)
    local scheme, authority, rest = text:match("^(https?)://([^/?#]+)(.*)$")
    if not scheme or #text > URL_MAX or not rest:find("^[%w%-._~:/?%[%]@!$&'()*+,;=%%]*$") then
        return nil
    end
    local host, port = authority:lower():match("^(%[[%x:.]+%]):?(%d*)$")
    if not host then
        host, port = authority:lower():match("^([%w.-]+):?(%d*)$")
    end
    local number = port == "" and PORTS[scheme] or math.tointeger(tonumber(port))
    if not host or authority:sub(-1) == ":" or not number or number > 65535 then
        return nil
    end
    return { scheme = scheme, host = host, port = number, rest = rest }
end

--- Is it one of those that the merchant's scripts may ask? A host without a port stands for that of https.
local function is_listed(merchant, url)
    local configured = registry.config.merchants[merchant.slug]
    for _, entry in ipairs(configured and configured.hosts or {}) do
        local host, port = entry:match("^(.-):(%d+)$")
        if entry:sub(-1) == "]" or not host then
            host, port = entry, "443"
        end
        if host == url.host and tonumber(port) == url.port then
            return true
        end
    end
    return false
end

--- Which addresses it may have; nil: it may not be asked.
local function addresses_of(merchant, url)
    if not is_listed(merchant, url) then
        return nil
    elseif LOOPBACK[url.host] and registry.config.dev then
        return "any"
    end
    return url.scheme == "https" and "public" or nil
end

--- "a=1&b=2" behind what the URL has.
local function with_query(url, query)
    if not query or next(query) == nil then
        return url
    end
    return url .. (url:find("?", 1, true) and "&" or "?") .. form.encode(query)
end

local HEADERS_MAX = 32
local OURS = { host = true, connection = true, expect = true, te = true, trailer = true, upgrade = true,
    ["content-length"] = true, ["keep-alive"] = true, ["transfer-encoding"] = true }

local function wrong_headers(headers)
    local count = 0
    for name, value in pairs(headers) do
        count = count + 1
        if not name:find("^[%w!#$%%&'*+.^_`|~%-]+$") or value:find("[%c\127]") then
            return "a header has a name or value that cannot be sent"
        elseif OURS[name:lower()] then
            return "header '" .. name .. "' is the engine's own"
        end
    end
    return count > HEADERS_MAX and "at most 32 headers" or nil
end

--- What of the options is wrong, as the author's mistake.
local function wrong_options(options)
    local bodies = (options.json ~= nil and 1 or 0) + (options.form and 1 or 0) + (options.body and 1 or 0)
    if bodies > 1 then
        return "only one of json, form and body can be sent"
    elseif options.json ~= nil then
        local written, why = pcall(json.encode, options.json)
        if not written then
            return "json: " .. tostring(why)
        end
    end
    local ms = options.timeout and durations.parse(options.timeout)
    if options.timeout and (not ms or ms < 1 or ms > TIMEOUT_MS) then
        return "timeout must be a duration of at most \"10s\""
    end
    return options.headers and wrong_headers(options.headers) or nil
end

local CODES = { timeout = "timeout", too_large = "too_large", address = "host_not_allowed" }

local function failure(err)
    return nil, { code = CODES[err.code] or "network", message = err.message, sent = err.sent,
        retriable = not err.sent or nil }
end

local function response_of(answer)
    local response = { status = answer.status, headers = answer.headers, body = answer.raw }
    if (answer.headers["content-type"] or ""):find("json", 1, true) then
        local value = json.decode(answer.raw)
        response.json = value ~= nil and plain.within(value, MEMBERS_MAX) or nil
    end
    if answer.status >= 200 and answer.status < 300 then
        return response
    end
    response.code, response.message = "http_status", "the answer has the status " .. answer.status
    return nil, response
end

local function asker(method)
    return function(run, text, options)
        options = options or {}
        local wrong = wrong_options(options)
        if wrong then
            return nil, wrong
        end
        local url = read_url(text)
        local addresses = url and addresses_of(run.merchant, url)
        if not addresses then
            return nil, { code = "host_not_allowed", message = url
                and ("%s://%s:%d is not among the merchant's hosts"):format(url.scheme, url.host, url.port)
                or "not a plain http or https URL" }
        end
        local ms = math.min(options.timeout and durations.parse(options.timeout) or TIMEOUT_MS,
            math.max(run.ends - time.monotonic(), 1))
        local answer, err = http.request {
            method = method, url = with_query(text, options.query), headers = options.headers,
            json = options.json, form = options.form, body = options.body, timeout_ms = ms,
            max_bytes = BYTES_MAX, addresses = addresses, pool = "merchant:" .. run.merchant.slug,
        }
        if not answer then
            return failure(err)
        end
        return response_of(answer)
    end
end

for name, method in pairs { get = "GET", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE" } do
    M["http." .. name] = asker(method)
end

return M
