--- Channel accounts: an account's fields checked against the manifest's schema, and the read-only table that
--- the package's functions get, with key handles in place of key names. Key bytes never pass through here.
local crypto = require "tael.crypto"
local nearest = require "tael.nearest"
local sorted = require "tael.sorted"

local account = {}

local function fail(field, message)
    return nil, { code = "configuration_invalid", field = field, message = field .. ": " .. message }
end

local function check_string(field, value)
    if type(value) ~= "string" then
        return "must be a string"
    elseif value == "" then
        return "must not be empty"
    elseif #value > (field.max or 4096) then
        return "is longer than " .. (field.max or 4096) .. " bytes"
    elseif value:find("[%z\1-\31\127]") then
        return "holds a control character"
    elseif not utf8.len(value) then
        return "must be text in UTF-8"
    elseif field.match and not value:find(field.match) then
        return "has a wrong form"
    end
end

local function one_of(values, value)
    for _, allowed in ipairs(values) do
        if value == allowed then
            return true
        end
    end
    return false
end

local checks = {
    string = check_string,
    integer = function(field, value)
        if math.type(value) ~= "integer" then
            return "must be an integer"
        elseif field.min and value < field.min or field.max and value > field.max then
            return ("must lie in %s … %s"):format(field.min or "-", field.max or "-")
        end
    end,
    boolean = function(_, value)
        return type(value) ~= "boolean" and "must be true or false" or nil
    end,
    enum = function(field, value)
        if not one_of(field.values, value) then
            return "must be one of: " .. table.concat(field.values, ", ")
        end
    end,
    -- a channel is spoken to over TLS; only a simulator on this machine or network goes without
    url = function(field, value, environment)
        local wrong = check_string(field, value)
        if wrong then
            return wrong
        elseif not value:find("^https?://[%w%.%-%[%]:]+[/%w%.%-_~%%]*$") then
            return "must be an http or https URL without user, query or fragment"
        elseif environment == "production" and not value:find("^https://") then
            return "must be https in production"
        end
    end,
    key = function(_, value)
        if type(value) ~= "string" or not value:find("^[%w][%w%._%-]*$") or #value > 64 then
            return "must be the name of a key in keys.folder"
        end
    end,
    list = function(field, value)
        if type(value) ~= "table" then
            return "must be a list"
        end
        for _, item in ipairs(value) do
            if field.values and not one_of(field.values, item) then
                return "may hold: " .. table.concat(field.values, ", ")
            end
        end
    end,
}
checks.secret = checks.key

local function check_schema(schema, values, environment)
    for _, name in ipairs(sorted(values)) do
        if not schema[name] then
            local meant = nearest(tostring(name), schema)
            local hint = meant and ("; did you mean '" .. meant .. "'?") or ""
            return fail(tostring(name), "unknown field" .. hint)
        end
    end
    local out = {}
    for _, name in ipairs(sorted(schema)) do
        local field, value = schema[name], values[name]
        if value == nil and environment == "sandbox" then
            value = field.sandbox
        end
        if value == nil then
            value = field.default
        end
        if value == nil and field.required then
            return fail(name, "is missing: " .. field.doc)
        elseif value ~= nil then
            local wrong = checks[field.type](field, value, environment)
            if wrong then
                return fail(name, wrong)
            end
        end
        out[name] = value
    end
    return out
end

local function check_rules(rules, values)
    for _, rule in ipairs(rules or {}) do
        local kind, names = next(rule)
        local given = {}
        for _, name in ipairs(names) do
            given[#given + 1] = values[name] ~= nil and name or nil
        end
        if kind == "exactly_one_of" and #given ~= 1 then
            return fail(names[1], "exactly one of " .. table.concat(names, ", ") .. " is needed")
        elseif kind == "requires" and #given > 0 and values[names[1]] ~= nil and #given < #names then
            return fail(names[1], "is used only together with " .. table.concat(names, ", ", 2))
        end
    end
    return true
end

local function check_environment(environment)
    if environment ~= "production" and environment ~= "sandbox" then
        error("an environment is 'production' or 'sandbox', not '" .. tostring(environment) .. "'", 3)
    end
end

--- The channel's own fields of what a configuration says of an account.
---@param configured table
---@return table fields
function account.fields_of(configured)
    local fields = {}
    for name, value in pairs(configured) do
        if name ~= "channel" and name ~= "environment" and name ~= "zone" then
            fields[name] = value
        end
    end
    return fields
end

--- Checks the channel fields of an account and fills in the defaults of its environment.
---@param package tael.channel.Package
---@param fields table
---@param environment "production"|"sandbox"
---@return table? normalised
---@return table? err {code, field, message}
function account.check(package, fields, environment)
    check_environment(environment)
    local normalised, err = check_schema(package.fields, fields, environment)
    if not normalised then
        return nil, err
    end
    local fits, broken = check_rules(package.rules, normalised)
    if not fits then
        return nil, broken
    end
    return normalised
end

--- Checks a payment's channel_options of this channel.
---@param package tael.channel.Package
---@param values table
---@return table? normalised
---@return table? err {code, field, message}
function account.options(package, values)
    return check_schema(package.options or {}, values, nil)
end

local function key_handle(field, name, id)
    local handle, err = crypto.key(name, { account = id, use = field.use })
    if handle then
        return handle
    end
    return nil, err and (err.message or err.code) or "not found"
end

--- Two keys that must not be the halves of one pair: taking one's own public key for the channel's is the
--- commonest mistake, and would make every message of the channel look forged.
local function check_pairs(rules, handles)
    for _, rule in ipairs(rules or {}) do
        local names = rule.differ
        local one, other = names and handles[names[1]], names and handles[names[2]]
        if one and other and one:id() == other:id() then
            return fail(names[2],
                "is the public half of '" .. names[1] .. "'; the channel's own key is needed")
        end
    end
    return true
end

local function read_only(values)
    return setmetatable({}, {
        __index = values,
        __newindex = function(_, name)
            error("an account is read only ('" .. tostring(name) .. "')", 2)
        end,
        __pairs = function()
            return next, values, nil
        end,
        __metatable = false,
    })
end

--- The table for the package's functions. The keys folder must be open.
---@param package tael.channel.Package
---@param record table {id, slug, environment, zone?, fields}
---@return tael.channel.Account?
---@return table? err {code, field, message}
function account.prepare(package, record)
    local fields, err = account.check(package, record.fields, record.environment)
    if not fields then
        return nil, err
    end
    local handles = {}
    for _, name in ipairs(sorted(package.fields)) do
        local field = package.fields[name]
        if field.type == "key" and fields[name] ~= nil then
            local handle, message = key_handle(field, fields[name], record.id)
            if not handle then
                return fail(name, "key '" .. fields[name] .. "': " .. message)
            end
            handles[name], fields[name] = handle, handle
        end
    end
    local distinct, broken = check_pairs(package.rules, handles)
    if not distinct then
        return nil, broken
    end
    fields.id, fields.slug = record.id, record.slug
    fields.environment, fields.zone = record.environment, record.zone or "+08:00"
    return read_only(fields)
end

return account
