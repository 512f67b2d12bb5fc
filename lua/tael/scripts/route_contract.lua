--- What a merchant's routes.lua may hold: keys, options, and the answers of handlers.
local path = require "tael.api.path"

local contract = {}

local METHODS = { GET = true, POST = true, PUT = true, PATCH = true, DELETE = true }
local AUTH = { none = true, api_key = true, hmac = true }
local BODY = { json = true, form = true, text = true, none = true }
local BODY_MAX = 1048576
local HAS_BODY = { POST = true, PUT = true, PATCH = true }
local ROUTES_MAX = 256
local SEGMENTS_MAX = 14 -- behind /m/<slug>

---@class tael.scripts.Route
---@field key string "POST /orders/:id", as it stands there
---@field method string
---@field path string "/orders/{id}"
---@field auth "none"|"api_key"|"hmac"
---@field secret string? of "hmac": the name of the merchant's secret
---@field body "json"|"form"|"text"|"none"
---@field max_body integer? bytes

--- "/orders/:id" -> "/orders/{id}"
local function pattern_of(text)
    if text == "/" then
        return "/"
    end
    local parts, names = {}, {}
    for segment in text:gmatch("/([^/]*)") do
        local name = segment:match("^:(.*)$")
        if name and (not name:find("^[%a_][%w_]*$") or names[name]) then
            return nil, names[name] and "':" .. name .. "' occurs twice" or "':" .. name .. "' is no name"
        elseif not name and not segment:find("^[%w%-._~]+$") or segment == "." or segment == ".." then
            return nil, "a path is /name/:param with letters, digits and -._~"
        end
        names[name or 0] = true
        parts[#parts + 1] = name and "{" .. name .. "}" or segment
    end
    if #parts > SEGMENTS_MAX then
        return nil, "a path has at most 14 parts"
    end
    return "/" .. table.concat(parts, "/")
end

local function word(value, known, otherwise, told)
    if value == nil then
        return otherwise
    elseif known[value] then
        return value
    end
    return nil, told
end

--- One entry in its final form; nil and what is wrong.
---@param told table what the isolate says of it
---@return tael.scripts.Route?
---@return string? wrong
local function route_of(told)
    if type(told) ~= "table" or type(told.key) ~= "string" or not utf8.len(told.key) then
        return nil, "has a key that is not a text such as \"POST /orders\""
    end
    local where = ('["%s"]'):format(told.key)
    local method, text = told.key:match("^(%u+) (/[^%s?#]*)$")
    if not METHODS[method] then
        return nil, where .. ": a key is a method (GET POST PUT PATCH DELETE), a blank and a path"
    end
    local pattern, wrong = pattern_of(text)
    if not pattern then
        return nil, where .. ": " .. wrong
    elseif told.handler ~= "function" then
        return nil, where .. ": the handler must be a function, and is a " .. tostring(told.handler)
    elseif told.unknown then
        return nil, where .. ": there is no option '" .. told.unknown
            .. "': there are auth, secret, body, max_body and handler"
    end
    local route = { key = told.key, method = method, path = pattern }
    route.auth, wrong = word(told.auth, AUTH, "api_key", 'auth is "none", "api_key" or "hmac"')
    if route.auth then
        route.body, wrong = word(told.body, BODY, HAS_BODY[method] and "json" or "none",
            'body is "json", "form", "text" or "none"')
    end
    local max = told.max_body
    if not wrong and max ~= nil and not (math.type(max) == "integer" and max >= 1 and max <= BODY_MAX) then
        wrong = "max_body is a number of bytes from 1 to 1048576"
    end
    if not wrong and (route.auth == "hmac") ~= (type(told.secret) == "string") then
        wrong = 'auth "hmac", and nothing else, names a secret of the merchant'
    end
    route.max_body, route.secret = max, told.secret
    return not wrong and route or nil, wrong and where .. ": " .. wrong
end

--- What routes.lua says of itself, as a tree of paths.
---@param list table[] of the isolate
---@return table? tree of tael.api.path
---@return string? wrong
---@return string[]? keys
function contract.read(list)
    local routes, keys, taken = {}, {}, {}
    if type(list) ~= "table" then
        return nil, "says nothing of its routes"
    elseif #list > ROUTES_MAX then
        return nil, "has more than 256 routes"
    end
    for i, told in ipairs(list) do
        local route, wrong = route_of(told)
        if not route then
            return nil, wrong
        end
        local shape = route.method .. " " .. route.path:gsub("{[^}]*}", ":")
        if taken[shape] then
            return nil, ('["%s"] and ["%s"] are the same'):format(taken[shape], route.key)
        end
        taken[shape] = route.key
        routes[i], keys[i] = route, route.key
    end
    local names, clash = {}, nil
    for _, route in ipairs(routes) do -- one name for the parameter of a place: the tree has one
        for before, name in route.path:gmatch("()/{([^}]*)}") do
            local place = route.path:sub(1, before - 1):gsub("{[^}]*}", ":")
            clash = clash or names[place] and names[place] ~= name
                and ('["%s"]: this place is called \':%s\' elsewhere'):format(route.key, names[place])
            names[place] = names[place] or name
        end
    end
    if clash then
        return nil, clash
    end
    table.sort(keys)
    return path.compile(routes), nil, keys
end

-- ---- answers ----

local HEADERS_MAX, HEADERS_BYTES = 32, 8192
local OWN = { ["content-length"] = true, ["transfer-encoding"] = true, connection = true,
    ["keep-alive"] = true, upgrade = true, trailer = true, te = true, date = true, server = true }

local function check_header(name, value)
    if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+.^_`|~%-]+$") or type(value) ~= "string"
        or value:find("[%c\127]") then
        return "a header has a name or value that cannot be sent"
    elseif OWN[name:lower()] then
        return name .. " is the server's own"
    end
end

--- The answer of a handler, with the names of its headers in lower case; nil and what is wrong.
---@param answer any
---@return table? response
---@return string? wrong
function contract.response(answer)
    if type(answer) ~= "table" or type(answer.headers) ~= "table" then
        return nil, "headers is not a table"
    elseif math.type(answer.status) ~= "integer" or answer.status < 200 or answer.status > 599 then
        return nil, "status is not a number from 200 to 599"
    elseif type(answer.body) ~= "string" then
        return nil, "text and body are texts"
    end
    local headers, count, bytes = {}, 0, 0
    for name, value in pairs(answer.headers) do
        local wrong = check_header(name, value)
        if wrong then
            return nil, wrong
        end
        count, bytes = count + 1, bytes + #name + #value
        headers[name:lower()] = value
    end
    if count > HEADERS_MAX or bytes > HEADERS_BYTES then
        return nil, "at most 32 headers of 8 KiB together"
    end
    return { status = answer.status, headers = headers, body = answer.body }
end

return contract
