--- The types of configuration values: each checks one value and gives its normal form, or says in a few
--- words what is wrong. Text from the environment is read into the same types.
local durations = require "tael.config.durations"
local rates = require "tael.config.rates"
local source = require "tael.kernel.source"

local values = {}

--- Marks a reference to a secret: {secret = "file"|"env", at = path or name}. Never the value.
values.SECRET = { __tostring = function() return "secret" end, __metatable = false }

local function is_reference(value)
    return type(value) == "table" and (value.secret == "file" or value.secret == "env")
end

local function range(key, value, show)
    show = show or tostring
    if key.min and value < key.min then
        return nil, "must be at least " .. show(key.min)
    elseif key.max and value > key.max then
        return nil, "must be at most " .. show(key.max)
    end
    return value
end

local function plain_text(key, value)
    if is_reference(value) then
        return nil, "is not a secret; write the value itself"
    elseif type(value) ~= "string" then
        return nil, "must be a string"
    elseif value == "" then
        return nil, "must not be empty"
    elseif value:find("[%c]") then
        return nil, "must not hold control characters"
    elseif not utf8.len(value) then
        return nil, "must be text in UTF-8"
    elseif key.max and #value > key.max then
        return nil, "must not be longer than " .. key.max .. " bytes"
    end
    return value
end

--- "127.0.0.1:8080", "[::1]:8080"
local function address(key, value)
    local text, wrong = plain_text(key, value)
    if not text then
        return nil, wrong
    end
    local host, port = text:match("^(%[[%x:.]+%]):(%d+)$")
    if not host then
        host, port = text:match("^([%w.-]+):(%d+)$")
    end
    if not host or tonumber(port) > 65535 then
        return nil, "must be host:port, such as 127.0.0.1:8080"
    end
    return text
end

--- A list of at least `least` items, each checked alone; one item may stand without braces.
local function list_of(check, least)
    return function(key, value)
        local items = type(value) == "table" and not is_reference(value) and value or { value }
        local out, count = {}, 0
        for _ in pairs(items) do
            count = count + 1
        end
        if count ~= #items then
            return nil, "must be a list"
        elseif count < least then
            return nil, "must not be empty"
        end
        for i, item in ipairs(items) do
            local normal, wrong = check(key, item)
            if normal == nil then
                return nil, ("item %d %s"):format(i, wrong)
            end
            out[i] = normal
        end
        return out
    end
end

local function one_of(key, value)
    for _, word in ipairs(key.values) do
        if value == word then
            return value
        end
    end
    return nil, "must be one of: " .. table.concat(key.values, ", ")
end

local function duration(key, value)
    local ms = durations.parse(value)
    if not ms then
        return nil, "must be a duration such as \"30s\" (ms s m h d), or milliseconds"
    end
    return range(key, ms, durations.format)
end

local checks = {
    text = plain_text,
    address = address,
    addresses = list_of(address, 1),
    duration = duration,
    durations = list_of(duration, 1),
    enum = one_of,
}

function checks.boolean(_, value)
    if type(value) ~= "boolean" then
        return nil, "must be true or false"
    end
    return value
end

function checks.integer(key, value)
    if math.type(value) ~= "integer" then
        return nil, "must be an integer"
    end
    return range(key, value)
end

function checks.url(key, value)
    local text, wrong = plain_text(key, value)
    if not text then
        return nil, wrong
    elseif not text:find("^https?://[%w.:%-%[%]]+[%w/._~%-]*$") then
        return nil, "must be an http or https URL without user, query or fragment"
    end
    return (text:gsub("/+$", ""))
end

checks.networks = list_of(function(_, value)
    if type(value) ~= "string" or not source.network(value) then
        return nil, "must be an address range such as 10.0.0.0/8"
    end
    return value
end, 0)

checks.hosts = list_of(function(_, value)
    local name = type(value) == "string" and (value:match("^(%[[%x:.]+%])") or value:match("^[a-z0-9.-]+"))
    local port = name and value:sub(#name + 1)
    if not name or port ~= "" and not (port:find("^:%d+$") and tonumber(port:sub(2)) <= 65535) then
        return nil, "must be a host in lower case, with a port where it is not 443, such as erp.acme.example"
    end
    return value
end, 0)

function checks.store(key, value)
    local text, wrong = plain_text(key, value)
    if not text then
        return nil, wrong
    elseif text ~= "memory:" and not text:find("^sqlite:.") then
        return nil, "must be \"sqlite:FILE\" or \"memory:\""
    end
    return text
end

--- Absolute, from the folder of the configuration.
function checks.path(key, value, context)
    local text, wrong = plain_text(key, value)
    if not text then
        return nil, wrong
    end
    text = text:gsub("^%./", "")
    if text:sub(1, 1) ~= "/" then
        text = context.root .. "/" .. text
    end
    return #text > 1 and (text:gsub("/+$", "")) or text
end

function checks.secret(_, value, context)
    if not is_reference(value) then
        return nil, "holds a secret and must not stand in the file; "
            .. "use secret.file(\"…\") or secret.env(\"…\")"
    elseif value.secret == "file" then
        return checks.file({}, value, context)
    end
    return { secret = "env", at = value.at }
end

--- A file that holds a secret, as a reference. Its path is no secret and may stand alone.
function checks.file(_, value, context)
    if type(value) == "string" then
        value = { secret = "file", at = value }
    elseif not is_reference(value) or value.secret ~= "file" then
        return nil, "must be a file: secret.file(\"…\")"
    end
    local at, wrong = checks.path({}, value.at, context)
    if not at then
        return nil, wrong
    end
    return { secret = "file", at = at }
end

function checks.rate(_, value)
    local rate = rates.parse(value)
    if not rate then
        return nil, "must be a rate such as \"500/s\" (s m h), or false"
    end
    return rate
end

function checks.slug(_, value)
    if type(value) ~= "string" or not values.is_merchant(value) then
        return nil, "must be the slug of a merchant, such as acme or acme.test"
    end
    return value
end

function checks.word(_, value)
    if type(value) ~= "string" or not value:find("^[a-z][a-z0-9]+$") or #value > 16 then
        return nil, "must be a name in lower case"
    end
    return value
end

--- As time.format takes it: what it does not, it would raise on at every payment.
local function is_zone(value)
    local hours, minutes = value:match("^[+-](%d%d):(%d%d)$")
    return value == "UTC" or hours ~= nil and tonumber(hours) < 24 and tonumber(minutes) < 60
end

function checks.zone(_, value)
    if type(value) ~= "string" or not is_zone(value) then
        return nil, "must be \"UTC\" or an offset such as \"+08:00\""
    end
    return value
end

function checks.map(_, value)
    if type(value) ~= "table" or is_reference(value) then
        return nil, "must be a table"
    end
    return value
end

---@param slug string
function values.is_account(slug)
    return #slug <= 32 and slug:find("^[a-z][a-z0-9%-]+$") ~= nil
end

---@param slug string
function values.is_merchant(slug)
    return values.is_account((slug:gsub("%.test$", "")))
end

---@param key tael.config.Key
---@param value any
---@param context { root: string }
---@return any normal nil: refused
---@return string? wrong "must be …"
function values.check(key, value, context)
    if key.off and value == false then
        return false
    end
    return checks[key.type](key, value, context)
end

--- An environment variable's text as a value of the key's type; the check follows.
---@param key tael.config.Key
---@param text string
function values.read(key, text)
    if key.type == "boolean" or key.off and text == "false" then
        if text == "true" then
            return true
        elseif text == "false" then
            return false
        end
        return text
    elseif key.type == "integer" then
        return math.tointeger(tonumber(text)) or text
    elseif key.type == "addresses" or key.type == "networks" or key.type == "durations" then
        local items = {}
        for item in text:gmatch("[^,%s]+") do
            items[#items + 1] = item
        end
        return items
    end
    return text
end

return values
