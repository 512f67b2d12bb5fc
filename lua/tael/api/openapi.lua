--- GET /v1/openapi.json: the API as an OpenAPI 3.1 document, made from the table that dispatches and checks
--- requests, and from the objects. What is not in the document is not in the API.
local json = require "tael.json"
local json_schema = require "tael.api.json_schema"
local objects = require "tael.api.objects"
local problem = require "tael.api.problem"

local openapi = {}

local TAGS = {
    payments = "What a merchant is to be paid.", refunds = "Money given back.",
    events = "What happened, in the order of commits.", notifications = "What channels sent.",
    channels = "What can be paid with.", accounts = "Through which accounts.",
    merchants = "For the operator.", system = "The engine itself.",
    inbound = "What channels and payers open; no credential.",
}

local PARAMETERS = {
    id = "names the object", payment = "names the payment", slug = "of the merchant",
    channel = "name of the channel", account = "slug of the account", code = "of a problem",
    part = "of the operator's scripts: channels, jobs or routes",
    key = "the key's id, or the key itself as far as its secret: tael_live_ or tael_test_ and 12 characters",
}

local HEADERS = {
    ["Tael-Request-Id"] = { description = "names this answer in the engine's log; not there only where the "
        .. "engine refuses by itself while it is short of memory, or stops",
        schema = { type = "string" } },
    ["Tael-Version"] = { description = "version of the answer", schema = { type = "string" } },
    ["RateLimit-Policy"] = { description = 'requests (q) in seconds (w), such as "key";q=500;w=1',
        schema = { type = "string" } },
    RateLimit = { description = 'what is left (r) and seconds until more (t), such as "key";r=499;t=1',
        schema = { type = "string" } },
    ["Retry-After"] = { description = "seconds until it is worth while to repeat",
        schema = { type = "integer" } },
    Location = { description = "path where what was made is read", schema = { type = "string" } },
    ["Idempotency-Replayed"] = { description = "true: the object was there already",
        schema = { type = "string", const = "true" } },
}

local ABOUT_LISTENERS = {
    api = "the API's address", operations = "the operations port",
    ["local"] = "the engine's own socket, data/tael.sock", call = "the program that holds the engine",
}

-- ---- answers ----

local function header_refs(names)
    local out = {}
    for name in names:gmatch("%S+") do
        out[name] = { ["$ref"] = "#/components/headers/" .. name }
    end
    return out
end

--- "payment": the object, "payment*": a page of a list of it; or a media type and what it is.
local function content_of(answer)
    if type(answer) == "table" then
        local kind = answer.media == "application/json" and "object" or "string"
        return answer.about, { [answer.media] = { schema = { type = kind } } }
    end
    local item = answer:match("^(.*)%*$")
    local schema = objects.ref(item and item .. "_list" or answer)
    return item and "A page of the list." or "The " .. answer .. ".",
        { ["application/json"] = { schema = schema } }
end

local function good_answer(route, status, answer)
    local about, content = content_of(answer)
    local names = "Tael-Request-Id"
    if not route.raw then
        names = names .. " Tael-Version RateLimit-Policy RateLimit"
    end
    if status == 201 then
        names = names .. (route.unread and "" or " Location")
            .. (route.idempotent and " Idempotency-Replayed" or "")
    end
    return { description = about, headers = header_refs(names), content = content }
end

--- Every code that the route may answer.
---@param route table
---@return string[]
function openapi.problems(route)
    local words = route.problems or ""
    if not route.raw then
        words = words .. " invalid_parameter invalid_header unsupported_version unauthenticated key_expired"
            .. " key_revoked bad_token forbidden not_acceptable rate_limited internal store_unavailable"
            .. " overloaded draining"
    end
    if route.body then
        words = words .. " invalid_json invalid_field unknown_field missing_field too_large"
            .. " unsupported_media_type"
    end
    if route.query and route.query.cursor then
        words = words .. " invalid_cursor"
    end
    if not route.raw and route.path:find("{", 1, true) then
        words = words .. " not_found"
    end
    local list, seen = {}, {}
    for code in words:gmatch("%S+") do
        list[#list + 1] = not seen[code] and code or nil
        seen[code] = true
    end
    table.sort(list)
    return list
end

local function bad_answers(route, responses)
    local by_status = {}
    for _, code in ipairs(openapi.problems(route)) do
        local status = problem.codes[code].status
        by_status[status] = by_status[status] or json.array {}
        table.insert(by_status[status], code)
    end
    for status, codes in pairs(by_status) do
        local lines = {}
        for i, code in ipairs(codes) do
            lines[i] = ("`%s`: %s."):format(code, problem.codes[code].title)
        end
        local waits = status == 429 or status == 503
        responses[tostring(status)] = {
            description = table.concat(lines, "\n\n"),
            headers = header_refs("Tael-Request-Id" .. (waits and " Retry-After" or "")),
            content = { ["application/problem+json"] = { schema = {
                allOf = json.array { objects.ref "problem", { properties = { code = { enum = codes } } } },
            } } },
        }
    end
end

local function responses_of(route)
    local responses = {}
    bad_answers(route, responses)
    for status, answer in pairs(route.answers) do
        responses[tostring(status)] = good_answer(route, status, answer)
    end
    return responses
end

-- ---- requests ----

local function parameters_of(route)
    local list = json.array {}
    for name in route.path:gmatch("{([%w_]+)}") do
        list[#list + 1] = { name = name, ["in"] = "path", required = true, description = PARAMETERS[name],
            schema = { type = "string" } }
    end
    local names = {}
    for name in pairs(route.query or {}) do
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local field = route.query[name]
        local parameter = { name = name, ["in"] = "query", schema = json_schema.field(field) }
        if field.type == "list" then
            parameter.style, parameter.explode = "form", false
        end
        list[#list + 1] = parameter
    end
    if not route.raw then
        list[#list + 1] = { ["$ref"] = "#/components/parameters/Tael-Version" }
    end
    if route.idempotent then
        list[#list + 1] = { ["$ref"] = "#/components/parameters/Idempotency-Key" }
    end
    return #list > 0 and list or nil
end

local function request_of(route)
    if route.takes then
        return { content = { [route.takes] = { schema = { type = "object" } } } }
    end
    return route.body and {
        required = not route.body.optional,
        content = { ["application/json"] = { schema = json_schema.body(route.body) } },
    } or nil
end

local function tag_of(path)
    local first, second = path:match("^/([^/]+)/?([^/]*)")
    if first == "v1" then
        return TAGS[second] and second or "system"
    end
    return (first == "notify" or first == "return" or first == "qr") and "inbound" or "system"
end

local function description_of(route)
    local parts, where = { route.text }, {}
    if route.scope then
        parts[#parts + 1] = ("Scope: `%s`."):format(route.scope)
    end
    for name, text in pairs(ABOUT_LISTENERS) do
        where[#where + 1] = route.on[name] and text or nil
    end
    table.sort(where)
    if not route.on.api then
        parts[#parts + 1] = "Only at: " .. table.concat(where, "; ") .. "."
    end
    return #parts > 0 and table.concat(parts, "\n\n") or nil
end

local function operation_of(route)
    return {
        operationId = route.id, summary = route.about, description = description_of(route),
        tags = json.array { tag_of(route.path) }, parameters = parameters_of(route),
        requestBody = request_of(route), responses = responses_of(route),
        security = route.raw and json.array {} or nil,
    }
end

-- ---- the document ----

local function components(routes)
    local schemas = {}
    for name, schema in pairs(objects.schemas) do
        schemas[name] = schema
    end
    for _, route in ipairs(routes) do
        for _, answer in pairs(route.answers) do
            local item = type(answer) == "string" and answer:match("^(.*)%*$")
            if item then
                schemas[item .. "_list"] = objects.list(item)
            end
        end
    end
    return {
        schemas = schemas, headers = HEADERS,
        parameters = {
            ["Tael-Version"] = { name = "Tael-Version", ["in"] = "header", schema = { type = "string" },
                description = "version of the API that the client was written for" },
            ["Idempotency-Key"] = { name = "Idempotency-Key", ["in"] = "header",
                schema = { type = "string", minLength = 1, maxLength = 257 },
                description = "a request that is repeated with the same key happens once" },
        },
        securitySchemes = {
            bearer = { type = "http", scheme = "bearer", description = "an API key" },
            basic = { type = "http", scheme = "basic", description = "an API key as user, no password" },
        },
    }
end

local function tags()
    local list = json.array {}
    for name, text in pairs(TAGS) do
        list[#list + 1] = { name = name, description = text }
    end
    table.sort(list, function(a, b) return a.name < b.name end)
    return list
end

---@param routes tael.api.Route[]
---@param about { version: string, url: string }
---@return table document
function openapi.document(routes, about)
    local paths = {}
    for _, route in ipairs(routes) do
        paths[route.path] = paths[route.path] or {}
        paths[route.path][route.method:lower()] = operation_of(route)
    end
    return {
        openapi = "3.1.0",
        info = {
            title = "Tael", version = about.version,
            license = { name = "Apache-2.0", identifier = "Apache-2.0" },
            description = "Amounts are integers in minor units. Absent is null; every field is always there "
                .. "unless it is said otherwise. Clients ignore what they do not know.",
        },
        servers = json.array { { url = about.url } },
        security = json.array { { bearer = json.array {} }, { basic = json.array {} } },
        tags = tags(), paths = paths, components = components(routes),
    }
end

return openapi
