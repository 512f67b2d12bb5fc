--- What validate.lua checks, as JSON Schema: requests are described by the very tables that check them.
local json = require "tael.json"

local json_schema = {}

-- Classes of Lua's patterns as ECMA-262 has them inside brackets.
local CLASSES = { a = "A-Za-z", d = "0-9", l = "a-z", u = "A-Z", w = "A-Za-z0-9", x = "A-Fa-f0-9" }
local NO_CONTROL = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u202a-\\u202e]*$"

--- A Lua pattern of anchors, literals, classes, sets and * + ? as a regular expression.
---@param pattern string
---@return string
function json_schema.regex(pattern)
    local out, in_set = {}, false
    local at = 1
    while at <= #pattern do
        local char = pattern:sub(at, at)
        if char == "%" then
            at = at + 1
            local named = pattern:sub(at, at)
            local class = CLASSES[named]
            out[#out + 1] = class and (in_set and class or "[" .. class .. "]") or "\\" .. named
        elseif char == "." and in_set then
            out[#out + 1] = "."
        else
            assert(char ~= "-" or in_set, "a lazy repetition has no equal here")
            in_set = char == "[" or in_set and char ~= "]"
            out[#out + 1] = char
        end
        at = at + 1
    end
    return table.concat(out)
end

local types = {}

function types.string(field)
    local doc = field.form
    if field.bytes then
        doc = (doc and doc .. "; " or "") .. "at most " .. field.bytes .. " bytes of UTF-8"
    end
    return {
        type = "string", minLength = field.min, maxLength = field.max or field.bytes, description = doc,
        pattern = field.match and json_schema.regex(field.match) or not field.control and NO_CONTROL or nil,
    }
end

function types.integer(field)
    return { type = "integer", format = "int64", minimum = field.min, maximum = field.max }
end

function types.boolean()
    return { type = "boolean" }
end

function types.enum(field)
    return { type = "string", enum = json.array { table.unpack(field.values) } }
end

function types.words(field)
    return { type = "array", minItems = 1, uniqueItems = true, items = types.enum(field) }
end

function types.time()
    return { type = "string", format = "date-time" }
end

function types.list(field)
    return { type = "array", maxItems = field.count, items = types.enum(field) }
end

function types.object(field)
    if field.open then
        return { type = "object" }
    end
    return json_schema.body(field)
end

function types.map(field)
    local value = json_schema.field(field.value)
    if field.nulls then
        value.type = json.array { value.type, "null" }
    end
    return {
        type = "object", maxProperties = field.count, additionalProperties = value,
        propertyNames = { pattern = json_schema.regex(field.key), maxLength = field.key_max,
            description = field.key_form },
    }
end

---@param field table of validate.lua
---@return table
function json_schema.field(field)
    local out = types[field.type](field)
    if field.doc then
        out.description = field.doc .. (out.description and ": " .. out.description or "")
    end
    return out
end

---@param schema { fields: table }
---@return table
function json_schema.body(schema)
    local properties, required = json.object {}, json.array {}
    for name, field in pairs(schema.fields) do
        properties[name] = json_schema.field(field)
        required[#required + 1] = field.required and name or nil
    end
    table.sort(required)
    return {
        type = "object", properties = properties, additionalProperties = false,
        required = #required > 0 and required or nil,
    }
end

return json_schema
