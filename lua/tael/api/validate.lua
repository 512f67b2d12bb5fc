--- Checks JSON bodies and query parameters against a declared schema. Everything that is wrong is reported
--- at once, each with its place and a sentence that says what is right; nothing is ever ignored.
---
--- A schema is {fields = {name = field}}; a field is {type=…, required=?, …}:
---   string   min max (characters) bytes (most bytes) match (pattern, with `form` for people) control
---   integer  min max      boolean      enum  values      time  RFC 3339      list (queries)  values, count
---   words    values (an array of some of them, each once)
---   object   fields       map   key (pattern, with `key_form`), key_max, count, value (a field), nulls
--- check = function(value) → wrong?, code? for what the types do not say. Null counts as absent, but in a map
--- with `nulls`: there it is a value of its own.
local json = require "tael.json"
local nearest = require "tael.nearest"
local shown = require "tael.shown"
local sorted = require "tael.sorted"
local time = require "tael.time"

local validate = {}

local ERRORS_MAX = 20

local function escape(name)
    return (tostring(name):gsub("~", "~0"):gsub("/", "~1"))
end

local function add(errors, place, code, detail)
    if #errors < ERRORS_MAX then
        errors[#errors + 1] = { place = place, code = code, detail = detail }
    end
end

local types = {}

local function length_of(text)
    return utf8.len(text) or #text
end

--- C0, DEL and C1 (U+0080 to U+009F, of which terminals make commands); and what makes one text read as
--- another: overrides and embeddings (U+202A to U+202E). Marks and isolates are left to those who write
--- from right to left.
local function unseen(value)
    if value:find("%c") or value:find("\xC2[\x80-\x9F]") then
        return "must not hold control characters"
    elseif value:find("\xE2\x80[\xAA-\xAE]") then
        return "must not hold characters that turn the direction of what follows (U+202A to U+202E): "
            .. "use isolates (U+2066 to U+2069)"
    end
end

function types.string(field, value)
    if type(value) ~= "string" then
        return "must be a string"
    elseif field.min and (value == "" or field.min > 1 and length_of(value) < field.min) then
        return field.min == 1 and "must not be empty" or "must have at least " .. field.min .. " characters"
    elseif field.max and #value > field.max and length_of(value) > field.max then
        return "must have at most " .. field.max .. " characters"
    elseif field.bytes and #value > field.bytes then
        return "must have at most " .. field.bytes .. " bytes"
    end
    local wrong = not field.control and unseen(value)
    if wrong then
        return wrong
    elseif field.match and not value:find(field.match) then
        return "must be " .. field.form
    end
end

function types.integer(field, value)
    if math.type(value) ~= "integer" then
        return "must be an integer"
    elseif field.min and value < field.min then
        return "must be at least " .. field.min
    elseif field.max and value > field.max then
        return "must be at most " .. field.max
    end
end

function types.boolean(_, value)
    return type(value) ~= "boolean" and "must be true or false" or nil
end

function types.enum(field, value)
    for _, word in ipairs(field.values) do
        if value == word then
            return nil
        end
    end
    return "must be one of: " .. table.concat(field.values, ", ")
end

function types.words(field, value)
    if not json.is_array(value) or #value == 0 then
        return "must be a list of words"
    end
    local seen = {}
    for _, word in ipairs(value) do
        local wrong = types.enum(field, word)
        if wrong or seen[word] then
            return wrong and "may hold: " .. table.concat(field.values, ", ") or "must hold each word once"
        end
        seen[word] = true
    end
end

function types.time(_, value)
    return not (type(value) == "string" and time.parse_rfc3339(value))
        and "must be a time such as 2026-11-23T12:01:07.102Z" or nil
end

local check_fields

local function is_object(value)
    return type(value) == "table" and not json.is_array(value)
end

function types.object(field, value, errors, place)
    if not is_object(value) then
        return "must be an object"
    end
    if not field.open then -- open: somebody else checks the members
        check_fields(field.fields, value, errors, place)
    end
end

local function place_of(place, name)
    return place .. "/" .. escape(name)
end

local has_members = { object = true, map = true }

--- The value of a member; its place is made only where somebody is to read it.
local function check_value(field, value, errors, place, name)
    local at = has_members[field.type] and place_of(place, name)
    local wrong, code = types[field.type](field, value, errors, at)
    if not wrong and field.check then
        wrong, code = field.check(value)
    end
    if wrong then
        add(errors, place_of(place, name), code or field.code or "invalid_field", wrong)
    end
end

function types.map(field, value, errors, place)
    if not is_object(value) then
        return "must be an object"
    end
    local count = 0
    for name, member in pairs(value) do
        count = count + 1
        if not name:find(field.key) or #name > (field.key_max or math.maxinteger) then
            add(errors, place_of(place, name), "invalid_field", "has a name that is not " .. field.key_form)
        elseif not (field.nulls and member == json.null) then
            check_value(field.value, member, errors, place, name)
        end
    end
    if field.count and count > field.count then
        return "must have at most " .. field.count .. " members"
    end
end

local function unknown(kind, name, known)
    local near = nearest(name, known)
    local hint = near and "; did you mean '" .. near .. "'?" or ""
    return ("unknown %s '%s'%s"):format(kind, shown(name, 64), hint)
end

local function check_member(fields, given, errors, place, name)
    local field, value = fields[name], given[name]
    if not field then
        add(errors, place_of(place, name), "unknown_field", unknown("field", name, fields))
    elseif value ~= json.null then
        check_value(field, value, errors, place, name)
    end
end

--- The names that are required, of each set of fields once.
local required_of = setmetatable({}, { __mode = "k", __index = function(known, fields)
    local names = {}
    for _, name in ipairs(sorted(fields)) do
        names[#names + 1] = fields[name].required and name or nil
    end
    known[fields] = names
    return names
end })

--- In the order of the names where somebody is to read what is wrong (errors.sorted); which is rarely.
function check_fields(fields, given, errors, place)
    if errors.sorted then
        for _, name in ipairs(sorted(given)) do
            check_member(fields, given, errors, place, name)
        end
    else
        for name in next, given do
            check_member(fields, given, errors, place, name)
        end
    end
    for _, name in ipairs(required_of[fields]) do
        if given[name] == nil or given[name] == json.null then
            add(errors, place_of(place, name), "missing_field", "is needed")
        end
    end
end

--- Where it is, then what is wrong: "amount must be an integer".
local function sentence(found)
    if found.code == "unknown_field" then
        return found.detail
    end
    return found.place:sub(2):gsub("/", ".") .. " " .. found.detail
end

--- Null members are absent ones: they are taken out, so that the digest of a request does not see them.
local function drop_null(value, field)
    local is_array = json.is_array(value)
    local keeps = is_array or field and field.nulls
    for name, member in next, value do
        if member == json.null then
            value[name] = keeps and member or nil
        elseif type(member) == "table" then
            drop_null(member, field and field.fields and field.fields[name])
        end
    end
    return value
end

local function problem_of(errors)
    local list = {}
    for i, found in ipairs(errors) do
        list[i] = { pointer = found.place, code = found.code, detail = sentence(found) }
    end
    return { code = errors[1].code, detail = list[1].detail, errors = list }
end

---@param schema { fields: table }
---@param value any decoded JSON, the caller's alone
---@return table? accepted the value itself, without members that are null
---@return table? problem {code, detail, errors}
function validate.body(schema, value)
    if not is_object(value) then
        return nil, { code = "invalid_json", detail = "The body must be one JSON object." }
    end
    local errors = {}
    check_fields(schema.fields, value, errors, "")
    if #errors == 0 then
        return drop_null(value, schema)
    end
    errors = { sorted = true }
    check_fields(schema.fields, value, errors, "")
    return nil, problem_of(errors)
end

-- ---- query parameters ----

local readers = {
    integer = function(text)
        return text:find("^%-?%d+$") and #text < 19 and math.tointeger(tonumber(text)) or text
    end,
    boolean = function(text) return text == "true" or text ~= "false" and text end,
    time = function(text) return text end,
}

local function read_parameter(field, text)
    if field.type == "list" then
        local words = {}
        for word in text:gmatch("[^,]+") do
            words[#words + 1] = word
        end
        return words
    end
    local reader = readers[field.type]
    if reader then
        return reader(text)
    end
    return text
end

function types.list(field, words)
    if #words > field.count then
        return "must name at most " .. field.count
    end
    local known = {}
    for _, word in ipairs(field.values) do
        known[word] = true
    end
    for _, word in ipairs(words) do
        if not known[word] then
            return "may name: " .. table.concat(field.values, ", ")
        end
    end
end

---@param fields table<string, table>
---@param given table<string, string> decoded
---@return table? accepted typed; times as ms
---@return table? problem
function validate.query(fields, given)
    local out, errors = {}, {}
    for _, name in ipairs(sorted(given)) do
        local field = fields[name]
        if not field then
            errors[#errors + 1] = { parameter = name, code = "invalid_parameter",
                detail = unknown("parameter", name, fields) }
        else
            local value = read_parameter(field, given[name])
            local wrong = types[field.type](field, value)
            if wrong then
                errors[#errors + 1] = { parameter = name, code = "invalid_parameter",
                    detail = name .. " " .. wrong }
            end
            out[name] = field.type == "time" and not wrong and time.parse_rfc3339(value) or value
        end
    end
    if #errors == 0 then
        return out
    end
    return nil, { code = "invalid_parameter", detail = errors[1].detail, errors = errors }
end

return validate
