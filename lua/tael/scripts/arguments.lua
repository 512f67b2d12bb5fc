--- What is wrong with the arguments of an effect: the author's mistake, told in one sentence that names the
--- argument. Only types and names are looked at here; what a value may be, the effect itself knows.
local json = require "tael.json"
local nearest = require "tael.nearest"

local arguments = {}

local LUA_TYPES = { string = "string", enum = "string", time = "string", boolean = "boolean",
    object = "table", map = "table", words = "table" }
local CALLED = { string = "a text", boolean = "true or false", table = "a table" }

local function kind_of(value)
    return math.type(value) == "float" and "a float" or value == nil and "nil" or "a " .. type(value)
end

--- The fields of a table, as tael.api.validate has them.
---@param declared tael.EffectArg
function arguments.fields_of(declared)
    if declared.fields then
        return declared.fields
    end
    local module, member = declared.from:match("^(.*)%.([%w_]+)$")
    return require(module)[member].fields
end

--- Whatever is no text ends nowhere: neither in the store nor in JSON.
local function wrong_bytes(value, place)
    return type(value) == "string" and not utf8.len(value) and place .. " must be UTF-8" or nil
end

local check_fields

local function check_field(field, value, place)
    if field.type == "integer" then
        if math.type(value) ~= "integer" then
            local doc = field.doc and field.doc:find("minor units", 1, true) and " of minor units" or ""
            return ("%s must be an integer%s, not %s"):format(place, doc, kind_of(value))
        end
        return nil
    end
    local wanted = LUA_TYPES[field.type]
    if wanted and type(value) ~= wanted then
        return ("%s must be %s, not %s"):format(place, CALLED[wanted], kind_of(value))
    elseif wrong_bytes(value, place) and not field.bytes_allowed then
        return wrong_bytes(value, place)
    elseif field.type == "object" and field.fields then
        return check_fields(field.fields, value, place .. ".")
    elseif field.type == "map" and field.value and field.value.type == "string" then
        for name, member in pairs(value) do
            if type(name) ~= "string" or type(member) ~= "string" then
                return ("%s must hold texts by name"):format(place)
            end
            local wrong = wrong_bytes(name, place) or wrong_bytes(member, place .. "." .. name)
            if wrong then
                return wrong
            end
        end
    end
end

function check_fields(fields, given, place)
    for name, value in pairs(given) do
        local field = type(name) == "string" and fields[name]
        if not field then
            local meant = nearest(tostring(name), fields)
            return ("unknown field '%s'%s"):format(place .. tostring(name),
                meant and "; did you mean '" .. meant .. "'?" or "")
        end
        local wrong = check_field(field, value, place .. name)
        if wrong then
            return wrong
        end
    end
    for name, field in pairs(fields) do
        if field.required and given[name] == nil then
            return place .. name .. " is missing"
        end
    end
end

local checks = {}

function checks.integer(_, value, name)
    if math.type(value) ~= "integer" then
        return ("%s must be an integer, not %s"):format(name, kind_of(value))
    end
end

function checks.text(_, value, name)
    if type(value) ~= "string" then
        return ("%s must be a text, not %s"):format(name, kind_of(value))
    end
    return wrong_bytes(value, name)
end

--- What JSON can hold.
function checks.value(_, value, name)
    local written, why = pcall(json.encode, value)
    return not written and ("%s cannot be kept: %s"):format(name, tostring(why)) or nil
end

--- One that an effect gave, or its id.
function checks.payment(_, value, name)
    local id = type(value) == "table" and value.id or value
    if type(id) ~= "string" then
        return ("%s must be a payment or its id, not %s"):format(name, kind_of(value))
    end
end

function checks.table(declared, value, name)
    if type(value) ~= "table" then
        return ("%s must be a table, not %s"):format(name, kind_of(value))
    elseif declared.map then
        return check_field({ type = "map", value = { type = "string" } }, value, name)
    elseif declared.fields or declared.from then
        return check_fields(arguments.fields_of(declared), value, "")
            or declared.needed and value[declared.needed] == nil
            and declared.needed .. " is missing: with it nothing happens twice" or nil
    end
end

---@param effect tael.Effect
---@param given table packed, with n
---@return string? wrong
function arguments.wrong(effect, given)
    for i, declared in ipairs(effect.args) do
        local value = given[i]
        if value ~= nil or not declared.optional then
            local wrong = checks[declared.type](declared, value, declared.name)
            if wrong then
                return wrong
            end
        end
    end
    if given.n > #effect.args then
        return ("takes at most %d argument%s"):format(#effect.args, #effect.args == 1 and "" or "s")
    end
end

return arguments
