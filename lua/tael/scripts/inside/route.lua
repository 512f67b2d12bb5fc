--- Runs in the merchant's isolate, beside its routes.lua: says which routes there are, and answers one
--- request. What crosses the border is plain data, so JSON is read and written here. Errors without a place
--- are the author's, told with the route that they belong to.
local tael = require "tael"

local route = {}

local FIELDS = { auth = true, body = true, secret = true, max_body = true }

--- {key, handler = its type, auth?, body?, …} for each, as they stand there: the host judges.
function route.describe()
    local routes, list = require "routes", {}
    if type(routes) ~= "table" then
        return nil, "must return a table of routes"
    end
    for key, entry in pairs(routes) do
        local told = { key = key, handler = type(entry) }
        if type(entry) == "table" then
            told.handler = type(entry.handler)
            for name, value in pairs(entry) do
                if name ~= "handler" then
                    told.unknown = not FIELDS[name] and tostring(name) or told.unknown
                    told[name] = FIELDS[name] and value or nil
                end
            end
        end
        list[#list + 1] = told
    end
    return list
end

local function fail(key, what)
    error(('routes.lua: ["%s"]: the answer: %s'):format(key, what), 0)
end

local ANSWER = { status = true, headers = true, json = true, text = true, body = true }

local function check(key, answer)
    if type(answer) ~= "table" then
        fail(key, "a handler gives {status=, headers=, json= | text= | body=} or nil")
    end
    local count = 0
    for name in pairs(answer) do
        if not ANSWER[name] then
            fail(key, "unknown field '" .. tostring(name)
                .. "': there are status, headers, json, text and body")
        end
    end
    for _, name in ipairs { "json", "text", "body" } do
        count = count + (answer[name] ~= nil and 1 or 0)
    end
    if count > 1 then
        fail(key, "only one of json, text and body can be sent")
    end
end

--- Body and media type.
local function content_of(key, answer)
    if answer.json ~= nil then
        local written, text = pcall(tael.json.encode, answer.json)
        if not written then
            fail(key, "json: " .. tostring(text))
        end
        return text, "application/json"
    elseif answer.text ~= nil then
        return answer.text, "text/plain; charset=utf-8"
    end
    return answer.body, answer.body and "application/octet-stream"
end

local function plain_answer(key, answer)
    if answer == nil then
        return { status = 204, headers = {}, body = "" }
    end
    check(key, answer)
    local body, media = content_of(key, answer)
    local headers, typed = {}, false
    for name, value in pairs(answer.headers == nil and {} or answer.headers) do
        headers[name] = value
        typed = typed or type(name) == "string" and name:lower() == "content-type"
    end
    if not typed then
        headers["content-type"] = media
    end
    return { status = answer.status or body and 200 or 204, headers = headers, body = body or "" }
end

--- What the host could not read for us.
---@return table? refusal
local function read_body(request, kind)
    if kind == "json" then
        local value, err = tael.json.decode(request.body)
        if value == nil then
            return { refused = "invalid_json", detail = err.message, offset = err.offset }
        end
        request.json = value
    end
end

---@param key string of the route
---@param request table
---@param kind string how its body is read
---@return table answer {status, headers, body}, or {refused}
function route.call(key, request, kind)
    local entry = require("routes")[key]
    local refusal = read_body(request, kind)
    if refusal then
        return refusal
    end
    local handler = type(entry) == "table" and entry.handler or entry
    return plain_answer(key, (handler(request)))
end

return route
