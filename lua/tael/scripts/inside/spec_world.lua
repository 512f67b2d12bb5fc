--- The world that a spec's routes meet, inside its isolate: a clock that stands still, chance that is the
--- same every time, state of its own, and for everything else what the spec says with test.on.
local effect_names = require "tael.effect_names"
local nearest = require "tael.nearest"

local world = {}

local NOW = 1764374400000 -- 2025-11-29T00:00:00Z
local UNITS = { ms = 1, s = 1000, m = 60000, h = 3600000, d = 86400000 }
local LONGEST = 1 << 53 -- ms

local now, seed, ids, kept, versions, said, real
local begun = false -- a test: outside of one there is no world

--- Before each test.
function world.begin()
    now, seed, ids, kept, versions, said, real = NOW, 1, 0, {}, 0, {}, false
    world.log, world.metrics = {}, {}
    begun = true
end

local function must_be_in_test(word)
    if not begun then
        error(word .. ": only in a test, or in what stands before each", 3)
    end
end

--- Raises what is wrong where the spec called.
local function ask_sandbox(name, given)
    local done, wrong = require("tael").sandbox[name](given)
    if not done then
        error(wrong, 3)
    end
end

--- Puts the clock ahead.
---@param by integer|string ms, or such as "90s", "1h"
function world.advance(by)
    must_be_in_test "advance"
    local number, unit = tostring(by):match("^(%d+)(%a*)$")
    local factor = unit == "" and 1 or UNITS[unit]
    local count = factor and math.tointeger(tonumber(number))
    if not count or count > LONGEST // factor then
        error("advance: a time such as \"90s\", \"1h\" or ms", 2)
    end
    local ms = count * factor
    if real then
        ask_sandbox("advance", ms)
    else
        now = now + ms
    end
end

-- ---- the channels' sandboxes ----

--- From now on in this test effects are performed: payments are made in an engine of the test's own, at the
--- simulators of the channels, and the clock is that engine's. Where there are none the test is pending.
function world.sandbox()
    must_be_in_test "sandbox"
    require("tael").sandbox.begin()
    real = true
end

local function must_be_real(word)
    if not real then
        error(word .. ": call sandbox() first in this test", 3)
    end
end

--- A payer opens what the payment gave, and pays it.
---@param payment string|table
function world.pay(payment)
    must_be_real "pay"
    ask_sandbox("pay", payment)
end

--- The payment as it is now.
---@param payment string|table
---@return tael.Payment
function world.get(payment)
    must_be_real "get"
    local found, err = require("tael").get(type(payment) == "table" and payment.id or payment)
    if not found then
        error("get: " .. tostring(err.code), 2)
    end
    return found
end

--- What an effect gives from now on in this test.
---@param name string "charge", "http.get"
---@param fn fun(...: any): any
function world.on(name, fn)
    if type(name) ~= "string" or type(fn) ~= "function" then
        error("on: the name of an effect and a function are needed", 2)
    elseif not effect_names[name] then
        local near = nearest(name, effect_names)
        error(("on: there is no effect '%s'%s"):format(name:sub(1, 64),
            near and "; did you mean '" .. near .. "'?" or ": scripts/EFFECTS.md has them"), 2)
    end
    must_be_in_test "on"
    said[name] = fn
end

-- ---- what is there without a word ----

local effects = {}

function effects.now()
    return now
end

function effects.random(first, last)
    seed = seed * 1103515245 + 12345 & 0x7fffffff
    return first + (seed >> 8) % (last - first + 1)
end

function effects.id(prefix)
    ids = ids + 1
    return (prefix and prefix .. "_" or "") .. ("%026d"):format(ids)
end

for _, level in ipairs { "info", "warn", "error" } do
    effects["log." .. level] = function(message, fields)
        world.log[#world.log + 1] = { level = level, message = message, fields = fields or {} }
    end
end

function effects.metric(name, value, labels)
    world.metrics[#world.metrics + 1] = { name = name, value = value, labels = labels or {} }
    return true
end

--- What the engine refuses of a key and a value (scripts/effects/state.lua).
local function check_state(name, key, value)
    local wrong = (key == "" or #key > 128 or key:find "%c")
        and "key must be a text of 1 to 128 bytes without control characters"
        or value ~= nil and #require("tael").json.encode(value) > 4096
        and "value must have at most 4096 bytes as JSON"
    if wrong then
        error(("tael.%s: %s"):format(name, wrong), 0)
    end
end

effects["state.get"] = function(key)
    check_state("state.get", key)
    local row = kept[key]
    if not row then
        return nil, 0
    end
    return row.value, row.version
end

effects["state.put"] = function(key, value, version)
    check_state("state.put", key, value)
    local row = kept[key]
    if version and version ~= (row and row.version or 0) then
        return nil, { code = "conflict", message = "the key has another version now" }
    end
    versions = versions + 1
    kept[key] = value ~= nil and { value = value, version = versions } or nil
    return value ~= nil and versions or 0
end

--- What the spec's world says to an effect, packed.
---@param name string
---@param args table packed
---@return table results packed
function world.effect(name, args)
    local fn = said[name] or effects[name]
    if not fn then
        error(("the spec does not say what tael.%s gives: on(\"%s\", function(…) … end)"):format(name, name),
            0)
    end
    return table.pack(fn(table.unpack(args, 1, args.n)))
end

-- ---- requests ----

local function split(path)
    local segments = {}
    for segment in path:gmatch("[^/]+") do
        segments[#segments + 1] = segment
    end
    return segments
end

local function decoded(segment)
    return (segment:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- The parameters of a path; nil: it is another one's. How many of its parts are literal.
local function match(pattern, path)
    local wanted, given, params, literal = split(pattern), split(path), {}, 0
    if #wanted ~= #given then
        return nil
    end
    for i, part in ipairs(wanted) do
        local name = part:match("^:(.+)$")
        if name then
            params[name] = decoded(given[i])
        elseif part ~= decoded(given[i]) then
            return nil
        else
            literal = literal + 1
        end
    end
    return params, literal
end

--- The route that answers: of two that fit, the one with more literal parts.
local function find(routes, method, path)
    local found, params, most
    for key in pairs(routes) do
        local of, pattern = key:match("^(%u+) (/.*)$")
        local fits, literal
        if of == method then
            fits, literal = match(pattern, path)
        end
        if fits and (not most or literal > most) then
            found, params, most = key, fits, literal
        end
    end
    return found, params
end

--- As they come over HTTP: texts by name.
local function texts(given, lower)
    local out = {}
    for name, value in pairs(given or {}) do
        name = tostring(name)
        out[lower and name:lower() or name] = tostring(value)
    end
    return out
end

local HAS_BODY = { POST = true, PUT = true, PATCH = true }

--- Asks the merchant's own routes.lua.
---@param method string
---@param path string below /m/<slug>
---@param given { json: any, form: table?, text: string?, headers: table?, query: table?, ip: string? }?
---@return { status: integer, headers: table<string, string>, body: string, json: any } response
function world.request(method, path, given)
    local tael, route = require "tael", require "tael.route"
    local routes = require "routes"
    given = given or {}
    if path:find("?", 1, true) then
        error("request: what stands behind '?' goes into query = { … }", 2)
    end
    local key, params = find(routes, method, path)
    if not key then
        return { status = 404, headers = {}, body = "" }
    end
    local entry = routes[key]
    local kind = type(entry) == "table" and entry.body or HAS_BODY[method] and "json" or "none"
    local body = given.text or ""
    if given.json ~= nil then
        local written, text = pcall(tael.json.encode, given.json)
        if not written then
            error("request: json: " .. tostring(text), 2)
        end
        body = text
    end
    local answer = route.call(key, {
        method = method, path = "/m/spec" .. path, params = params, query = texts(given.query),
        headers = texts(given.headers, true), body = body, form = given.form and texts(given.form),
        ip = given.ip or "203.0.113.7",
    }, kind)
    if answer.refused then
        return { status = 400, headers = {}, body = "" }
    end
    local media = answer.headers["content-type"]
    if media and media:find("json", 1, true) then
        answer.json = tael.json.decode(answer.body)
    end
    return answer
end

return world
