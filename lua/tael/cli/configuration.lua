--- tael config: is tael.lua right, and what counts after file, environment and defaults. Secrets are shown as
--- references only.
local account_fields = require "tael.channel.account"
local durations = require "tael.config.durations"
local exits = require "tael.cli.exits"
local json = require "tael.json"
local loader = require "tael.channel.loader"
local plan_of = require "tael.config.plan"
local rates = require "tael.config.rates"
local schema = require "tael.config.schema"
local screen = require "tael.cli.screen"
local settings = require "tael.cli.settings"
local sorted = require "tael.sorted"
local text = require("tael.cli.texts").of

local configuration = { name = "config" }

-- ---- check ----

local function check_account(packages, found, where)
    local package = packages[found.account.channel]
    if not package then
        return text("config.no_channel", { name = found.account.channel, folder = where })
    end
    local fields = {}
    for name, value in pairs(found.account) do
        if name ~= "channel" and name ~= "environment" and name ~= "zone" then
            fields[name] = value
        end
    end
    local fits, err = account_fields.check(package, fields, found.account.environment)
    return not fits and err.message or nil
end

--- The first account that its channel does not take, as a message.
---@param config table
---@param packages table<string, tael.channel.Package>? those that run; without them the folder's
---@param where string? where they are, in messages
---@return string? wrong
function configuration.wrong_account(config, packages, where)
    packages = packages or loader.load(config.scripts.channels)
    where = where or config.scripts.channels .. "/channels"
    for _, found in ipairs(settings.accounts(config)) do
        local ran, wrong = pcall(check_account, packages, found, where)
        if not ran or wrong then
            return ("merchants.%s.accounts.%s: %s"):format(found.merchant, found.slug, tostring(wrong))
        end
    end
end

local function check(call)
    local listeners, err = plan_of.listeners(call.config)
    if not listeners then
        return exits.fail(exits.configuration, err.message, text "config.wrong.next")
    end
    local wrong = configuration.wrong_account(call.config)
    if wrong then
        return exits.fail(exits.configuration, wrong, text "config.account.next")
    end
    local merchants = 0
    for _ in pairs(call.config.merchants) do
        merchants = merchants + 1
    end
    local file, accounts = call.options.config_path or text "config.no_file", #settings.accounts(call.config)
    if call.json then
        screen.object { ok = true, file = call.options.config_path or json.null, merchants = merchants,
            accounts = accounts }
    else
        screen.line(screen.state "ok" .. "  " .. text("config.ok", { file = file, merchants = merchants,
            accounts = accounts }))
    end
    return exits.done
end

-- ---- show ----

local function value_at(config, name)
    local at = config
    for part in name:gmatch("[^.]+") do
        if type(at) ~= "table" then
            return nil
        end
        at = at[part]
    end
    return at
end

local function is_reference(value)
    return type(value) == "table" and type(value.secret) == "string" and type(value.at) == "string"
end

--- As it would stand in the file; a secret as its reference.
---@param value any
---@param kind string? the key's type
---@return string
function configuration.written(value, kind)
    if value == nil then
        return "nil"
    elseif is_reference(value) then
        return ("secret.%s(%q)"):format(value.secret, value.at)
    elseif kind == "duration" and value then
        return ("%q"):format(durations.format(value))
    elseif kind == "rate" and value then
        return ("%q"):format(rates.format(value))
    elseif type(value) == "table" then
        local parts = {}
        for i, item in ipairs(value) do
            parts[i] = configuration.written(item, kind == "durations" and "duration" or nil)
        end
        return #parts > 0 and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
    elseif type(value) == "string" then
        return ("%q"):format(value)
    end
    return tostring(value)
end

local function origin(config, name)
    local from = config.origin[name]
    return from ~= "file" and from or nil
end

local function show_lines(config)
    for _, key in ipairs(schema.list) do
        local value = value_at(config, key.name)
        local from = origin(config, key.name)
        if key.name == "scripts.folder" and config.scripts.channels ~= value then
            from = (from and from .. "; " or "") .. text("config.channels", {
                folder = config.scripts.channels .. "/channels" })
        end
        screen.line(("%s = %s%s"):format(key.name, configuration.written(value, key.type),
            from and "   -- " .. from or ""))
    end
    for _, merchant in ipairs(sorted(config.merchants)) do
        local about = config.merchants[merchant]
        screen.line(("merchants[%q].name = %q"):format(merchant, about.name))
        screen.line(("merchants[%q].mode = %q"):format(merchant, about.mode))
        if #(about.hosts or {}) > 0 then
            screen.line(("merchants[%q].hosts = %s"):format(merchant, configuration.written(about.hosts)))
        end
        for _, name in ipairs(sorted(about.secrets or {})) do -- the name of one, not what it is
            screen.line(("merchants[%q].secrets.%s = %q"):format(merchant, name, about.secrets[name]))
        end
        for _, name in ipairs(sorted(about.policies or {})) do
            screen.line(("merchants[%q].policies.%s = %q"):format(merchant, name, about.policies[name]))
        end
        for _, slug in ipairs(sorted(about.accounts or {})) do
            for _, field in ipairs(sorted(about.accounts[slug])) do
                screen.line(("merchants[%q].accounts[%q].%s = %s"):format(merchant, slug, field,
                    configuration.written(about.accounts[slug][field])))
            end
        end
    end
end

local LISTS = { addresses = true, networks = true, durations = true, list = true }

--- Plain data, each secret as the text of its reference.
local function masked(value, kind)
    if is_reference(value) then
        return configuration.written(value)
    elseif kind == "rate" and value then
        return rates.format(value)
    elseif type(value) ~= "table" then
        return value
    end
    local out = (LISTS[kind] or #value > 0) and json.array {} or {}
    for name, item in pairs(value) do
        out[name] = masked(item)
    end
    return out
end

local function set_at(object, name, value)
    local at = object
    for part in name:gmatch("([^.]+)%.") do
        at[part] = at[part] or {}
        at = at[part]
    end
    at[name:match("[^.]+$")] = value
end

--- The whole configuration as one object; durations in ms.
---@param config table
---@return table
function configuration.object(config)
    local object = { merchants = masked(config.merchants) }
    for _, key in ipairs(schema.list) do
        local value = value_at(config, key.name)
        if value == nil then
            value = json.null
        end
        set_at(object, key.name, masked(value, key.type))
    end
    return object
end

local function show(call)
    if call.json then
        screen.object(configuration.object(call.config))
    else
        show_lines(call.config)
    end
    return exits.done
end

configuration.commands = {
    {
        name = "check", usage = "", min = 0, max = 0, run = check,
    },
    {
        name = "show", usage = "", min = 0, max = 0, run = show,
    },
}

return configuration
