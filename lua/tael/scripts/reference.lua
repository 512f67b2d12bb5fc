--- What people and editors read about effects, made of their table: the annotations for the Lua language
--- server (lua/tael/meta/effects.lua) and the page scripts/EFFECTS.md. `EFFECTS=write busted … effects_spec`
--- writes both; without it the spec fails when they are not what this gives.
local arguments = require "tael.scripts.arguments"
local effects = require "tael.effects"
local objects = require "tael.api.objects"
local problem = require "tael.api.problem"
local sorted = require "tael.sorted"

local reference = {}

reference.ANNOTATIONS, reference.PAGE = "lua/tael/meta/effects.lua", "scripts/EFFECTS.md"

local LUA_TYPES = { integer = "integer", text = "string", value = "any", payment = "tael.Payment|string" }
local FIELD_TYPES = { integer = "integer", boolean = "boolean", object = "table", map = "table<string, any>",
    any = "any" }
local SCHEMA_TYPES = { integer = "integer", boolean = "boolean", array = "any[]", object = "table",
    string = "string" }

local function type_of(arg)
    return arg.class or LUA_TYPES[arg.type] or "table"
end

local function parameters(effect)
    local names = {}
    for i, arg in ipairs(effect.args) do
        names[i] = arg.name
    end
    return table.concat(names, ", ")
end

-- ---- annotations ----

--- Words in lines of comments.
local function wrapped(text)
    local lines, line = {}, "---"
    for word in text:gmatch("%S+") do
        if #line + #word + 1 > 108 then
            lines[#lines + 1], line = line, "---"
        end
        line = line .. " " .. word
    end
    lines[#lines + 1] = line
    return table.concat(lines, "\n")
end

local function field(name, kind, optional, about)
    local text = ("---@field %s %s%s %s"):format(name, kind, optional and "?" or "", about or "")
    return (text:gsub("%s+$", ""):gsub("\n.*", ""))
end

--- A class of fields as tael.api.validate has them.
local function input_class(arg)
    local fields, lines = arguments.fields_of(arg), { "---@class " .. arg.class }
    for _, name in ipairs(sorted(fields)) do
        local one = fields[name]
        lines[#lines + 1] = field(name, FIELD_TYPES[one.type] or "string",
            not one.required and name ~= arg.needed, one.doc)
    end
    return table.concat(lines, "\n")
end

local function schema_type(schema)
    local kind = type(schema.type) == "table" and schema.type[1] or schema.type
    return SCHEMA_TYPES[kind] or "any"
end

--- A class of an object of the API; what may be null there may be absent here.
local function object_class(class, name)
    local lines, properties = { "---@class " .. class }, objects.schemas[name].properties
    for _, property in ipairs(sorted(properties)) do
        local schema = properties[property]
        lines[#lines + 1] = field(property, schema_type(schema), true, schema.description)
    end
    return table.concat(lines, "\n")
end

local function annotation(effect)
    local lines = { wrapped(effect.about .. (effect.note and " " .. effect.note or "")) }
    for _, arg in ipairs(effect.args) do
        local mark = arg.optional and "?" or ""
        lines[#lines + 1] = (("---@param %s%s %s %s"):format(arg.name, mark, type_of(arg), arg.about)
            :gsub("%s+$", ""))
    end
    local may_fail = false
    for i, given in ipairs(effect.gives) do
        local mark = given.may_fail and "?" or i == 2 and may_fail and "|tael.ScriptError" or ""
        may_fail = may_fail or given.may_fail
        lines[#lines + 1] = (("---@return %s%s # %s"):format(given.type, mark,
            given.about):gsub(" # $", ""))
    end
    if may_fail and #effect.gives == 1 then
        lines[#lines + 1] = "---@return tael.ScriptError? err"
    end
    lines[#lines + 1] = ("function tael.%s(%s) end"):format(effect.name, parameters(effect))
    return table.concat(lines, "\n")
end

local FIXED = [[
--- What the world says against it.
---@class tael.ScriptError
---@field code string one word, such as "not_found"; scripts/EFFECTS.md has them
---@field message string for people
---@field retriable boolean? the same may be tried again
---@field pointer string? the field that is wrong
---@field existing string? the object that has this number
---@field status integer? of http_status

--- An answer of another server.
---@class tael.Response
---@field status integer
---@field headers table<string, string> names in lower case
---@field body string
---@field json any of a JSON answer, without null members; numbers that are no integers are texts

--- scripts/merchants/<slug>/routes.lua gives back a table of these: ["GET /orders/:id"] = handler or options.
---@alias tael.Routes table<string, tael.RouteHandler|tael.RouteOptions>
---@alias tael.RouteHandler fun(request: tael.RouteRequest): tael.RouteAnswer?

---@class tael.RouteOptions
---@field handler tael.RouteHandler
---@field auth ("api_key"|"hmac"|"none")? "api_key" without it: a key of this merchant
---@field secret string? of "hmac": the merchant's secret that requests are signed with
---@field body ("json"|"form"|"text"|"none")? "json" without it for POST, PUT and PATCH
---@field max_body integer? bytes; http.limits.body holds for all

---@class tael.RouteRequest
---@field method string
---@field path string as sent
---@field params table<string, string> of the path
---@field query table<string, string>
---@field headers table<string, string> names in lower case
---@field body string
---@field json any of body = "json"; null is tael.json.null
---@field form table<string, string>? of body = "form"
---@field ip string? whose request it is; nil over a local socket, or from the program that holds the engine

--- nil is 204. Beside json, text or body, status is 200 where it is not said.
---@class tael.RouteAnswer
---@field status integer?
---@field headers table<string, string>?
---@field json any
---@field text string?
---@field body string? bytes

--- What `require "tael"` gives to a merchant's scripts. Rules have the helpers; effects are for routes and
--- jobs.
---@class tael
---@field json tael.json array, object, null, is_array, is_decimal, decode, encode
---@field money tael.Money
---@field time tael.Time
---@field codec { hex: tael.Codec, base64: tael.Codec }
---@field deep_equal fun(a: any, b: any): boolean
---@field response fun(answer: tael.RouteAnswer): tael.RouteAnswer
---@field problem fun(status: integer, code: string, detail: string?, members: table?): tael.RouteAnswer
local tael = {}

---@class tael.Money amounts as integers of minor units; what does not fit is raised
---@field format fun(minor: integer, currency: string): string 1234 CNY is "12.34"
---@field parse fun(text: string, currency: string): integer? nil: no amount of it
---@field add fun(a: integer, b: integer): integer
---@field sub fun(a: integer, b: integer): integer
---@field percent fun(minor: integer, percent: string|integer): integer rounded half up
---@field split fun(minor: integer, weights: integer|integer[]): integer[] in all what was split

---@class tael.Time
---@field parse fun(text: string): integer? RFC 3339, as ms; nil: it is none
---@field format fun(ms: integer, format: string?, zone: string?): string %Y %m %d %H %M %S %F %T %z %%
---@field duration fun(text: string): integer? "30m", as ms; nil: it is none

---@class tael.Codec
---@field encode fun(bytes: string): string
---@field decode fun(text: string): string?
]]

---@return string text of the annotations
function reference.annotations()
    local parts = {
        "---@meta tael\n-- Made of lua/tael/effects.lua by scripts/reference.lua: not changed here.\n"
            .. "-- luacheck: no max line length",
        (FIXED:gsub("\n$", "")),
    }
    local classes, groups = {}, {}
    for _, effect in ipairs(effects.list) do
        for _, arg in ipairs(effect.args) do
            if arg.class and (arg.fields or arg.from) and not classes[arg.class] then
                classes[arg.class] = true
                parts[#parts + 1] = input_class(arg)
            end
        end
    end
    parts[#parts + 1] = object_class("tael.Payment", "payment")
    parts[#parts + 1] = object_class("tael.Refund", "refund")
    for _, effect in ipairs(effects.list) do
        local group = effect.name:match("^(.*)%.")
        if group and not groups[group] then
            groups[group] = true
            parts[#parts + 1] = ("tael.%s = {}"):format(group)
        end
        parts[#parts + 1] = annotation(effect)
    end
    parts[#parts + 1] = "return tael\n"
    return table.concat(parts, "\n\n")
end

-- ---- the page ----

local function page_of(effect)
    local lines, results = {}, {}
    for i, given in ipairs(effect.gives) do
        results[i] = given.type
    end
    local shown = #results > 0 and " → " .. table.concat(results, ", ") or ""
    lines[1] = ("### `tael.%s(%s)`%s\n"):format(effect.name, parameters(effect), shown)
    lines[#lines + 1] = effect.about .. (effect.note and " " .. effect.note or "") .. "\n"
    for _, arg in ipairs(effect.args) do
        local mark = arg.optional and ", optional" or ""
        lines[#lines + 1] = (("- `%s` %s%s: %s"):format(arg.name, type_of(arg), mark, arg.about)
            :gsub(":%s*$", ""))
    end
    if #effect.args > 0 then
        lines[#lines + 1] = ""
    end
    if effect.errors then
        lines[#lines + 1] = "Errors: `" .. effect.errors:gsub(" ", "`, `") .. "`\n"
    end
    return table.concat(lines, "\n")
end

local HEAD = [[
# Effects

What a merchant's routes, and the operator's jobs for it, may ask the engine to do. Made of
`lua/tael/effects.lua`.

Each is for this merchant alone. `nil, err` is what the world says: `err.code` is one of the words below or of
the API's problems, `err.message` is for people, `err.retriable` says that the same may be tried again. A
mistake of the author's, a wrong type or an unknown field, is raised where the script called. With
`result_too_large` it was performed, and what it came to is more than a script is given. A call has at most
32 effects, and 10 seconds, waiting included (`scripts.budget`). There are none while a file is being loaded,
and none in a rule.
]]

--- A code of an effect is explained by the API's problems, or here.
local OWN_CODES = {
    conflict = true, host_not_allowed = true, http_status = true, network = true, paid = true, timeout = true,
    too_large = true, unknown = true,
}

--- Codes that nobody explains: a mistake in the table.
---@return string[]
function reference.unknown_codes()
    local list = {}
    for _, effect in ipairs(effects.list) do
        for code in (effect.errors or ""):gmatch("%S+") do
            if not problem.codes[code] and not OWN_CODES[code] then
                list[#list + 1] = effect.name .. ": " .. code
            end
        end
    end
    return list
end

---@return string text of the page
function reference.page()
    local parts = { HEAD }
    for _, effect in ipairs(effects.list) do
        parts[#parts + 1] = page_of(effect)
    end
    return table.concat(parts, "\n")
end

return reference
