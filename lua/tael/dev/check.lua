--- Everything that an engine does with the files of its folder before it takes requests, without its store
--- and listeners: the configuration, what development makes, every channel and account that is used.
local account_fields = require "tael.channel.account"
local config_of = require "tael.config"
local demo = require "tael.config.demo"
local loader = require "tael.channel.loader"
local plan_of = require "tael.config.plan"
local sorted = require "tael.sorted"

local check = {}

local ENVIRONMENT_OF = { live = "production", test = "sandbox" }

local function fail(where, message)
    return nil, { code = "configuration_invalid", message = where .. ": " .. message }
end

local function check_account(packages, merchant, slug, account, folder)
    local where = ("merchants.%s.accounts.%s"):format(merchant.slug, slug)
    if account.environment ~= ENVIRONMENT_OF[merchant.mode] then
        return fail(where .. ".environment", ("a %s merchant has %s accounts"):format(merchant.mode,
            ENVIRONMENT_OF[merchant.mode]))
    end
    local loaded, package = pcall(function() return packages[account.channel] end)
    if not loaded then
        local known = type(package) == "table"
        return nil, known and package or { code = "internal", message = tostring(package) }
    elseif not package then
        return fail(where .. ".channel", "there is no channel '" .. account.channel
            .. "' in " .. folder .. "/channels")
    end
    local fields, err = account_fields.check(package, account_fields.fields_of(account), account.environment)
    if not fields then
        return fail(where, err.message)
    end
    local prepared
    prepared, err = account_fields.prepare(package, { slug = slug, channel = account.channel,
        environment = account.environment, fields = fields, zone = account.zone })
    if not prepared then
        return fail(where, err.message)
    end
    return true
end

local function check_accounts(config)
    local packages = loader.load(config.scripts.channels)
    for _, slug in ipairs(sorted(config.merchants)) do
        local merchant = { slug = slug, mode = config.merchants[slug].mode }
        local accounts = config.merchants[slug].accounts or {}
        for _, name in ipairs(sorted(accounts)) do
            local fits, err = check_account(packages, merchant, name, accounts[name],
                config.scripts.channels)
            if not fits then
                return nil, err
            end
        end
    end
    return true
end

--- Makes what development makes, checks the rest.
---@param options table of the application contract
---@return string[]? found the data folder, then the places that decide how an engine starts
---@return table? err {code, message, file?, line?}
function check.run(options)
    local config, err = config_of.load {
        path = options.config_path, root = options.root, lua_root = options.lua_root, dev = true,
    }
    if not config then
        return nil, err
    end
    local fits
    fits, err = plan_of.listeners(config)
    if fits then
        fits, err = demo.make_keys(config, options.make_folder)
    end
    if fits then
        fits, err = check_accounts(config)
    end
    if not fits then
        return nil, err
    end
    local file = (options.config_path or "tael.lua"):match("[^/]+$")
    -- what merchants and the operator's routes save is taken up by the engine that runs
    return { config.data, options.root .. "/" .. file, config.scripts.channels .. "/channels" }
end

return check
