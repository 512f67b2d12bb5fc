--- The configuration of a rehearsal: the merchants whose scripts are tried, in test mode, each of their
--- accounts at the simulator of its channel.
local plan_of = require "tael.config.plan"
local settings = require "tael.cli.settings"
local sorted = require "tael.sorted"
local values = require "tael.config.values"

local config = {}

local SIMULATED = { alipay = true } -- channels that have a simulator
local SANDBOX_KEY = require("tael.config.demo").SANDBOX_KEY

local LISTEN, SANDBOX = "127.0.0.1:8080", "127.0.0.1:8090" -- names: no socket is opened
local SPEED = 1000 -- of the simulator's notifications

local ACCOUNT = [[[%q] = { channel = "alipay", environment = "sandbox", app_id = "%d", seller_id = "%d",
    key = "rehearsal.alipay", alipay_key = %q, zone = %q }, ]]

--- Slugs of accounts that are configured: each is of one merchant alone.
local function taken_in(merchants)
    local taken = {}
    for _, merchant in pairs(merchants) do
        for name in pairs(merchant.accounts or {}) do
            taken[name] = true
        end
    end
    return taken
end

--- An account's slug that nobody has, after its merchant where that can be.
local function free_name(slug, taken, number)
    local name = slug:gsub("%.", "-") .. "-alipay"
    while taken[name] or not values.is_account(name) do
        name, number = "alipay-" .. number, number + 1
    end
    taken[name] = true
    return name
end

--- As they are configured, or one where none is.
local function accounts_of(slug, merchant, number, taken)
    local list = {}
    for _, name in ipairs(sorted(merchant.accounts)) do
        local account = merchant.accounts[name]
        if SIMULATED[account.channel] then
            list[#list + 1] = { name = name, zone = account.zone or "+08:00" }
        end
    end
    if #list == 0 then
        list[1] = { name = free_name(slug, taken, number), zone = "+08:00" }
    end
    local parts = {}
    for i, account in ipairs(list) do
        local id = number * 1000 + i
        parts[i] = ACCOUNT:format(account.name, 2021000000000000 + id, 2088000000000000 + id, SANDBOX_KEY,
            account.zone)
    end
    return table.concat(parts)
end

local function policies_of(merchant)
    local parts = {}
    for _, name in ipairs(sorted(merchant.policies)) do
        if type(merchant.policies[name]) == "string" then
            parts[#parts + 1] = ("%s = %q, "):format(name, merchant.policies[name])
        end
    end
    return table.concat(parts)
end

--- The folder that a command names, as tael.cli.own_scripts reads it.
local function named(options)
    local path = options.args.argv[2]
    path = path and path:sub(1, 1) ~= "-" and path:gsub("/+$", "") or nil
    local slug = path and path:match("([^/]+)$")
    if not slug then
        return nil
    end
    return slug, #path > #slug and path:sub(1, -#slug - 2) or "."
end

---@param options table of the application contract
---@return { text: string, merchants: string } text of a configuration; the folder with merchants' scripts
function config.make(options)
    local real = settings.load { config_path = options.config_path, root = options.root,
        lua_root = options.lua_root, dev = options.dev }
    real = real or { merchants = {}, scripts = { folder = options.root .. "/scripts" } }
    local slug, folder = named(options)
    local merchants = slug and { [slug] = real.merchants[slug] or {} } or real.merchants
    local parts, taken = {}, taken_in(merchants)
    for i, name in ipairs(sorted(merchants)) do
        local merchant = merchants[name]
        parts[i] = ('[%q] = { mode = "test", zone = %q, policies = { %s}, accounts = { %s} },\n'):format(name,
            merchant.zone or "+08:00", policies_of(merchant), accounts_of(name, merchant, i, taken))
    end
    local text = ([[return { workers = 1, log = { level = "error" }, scripts = { folder = %q },
        http = { listen = { %q } }, operations = { listen = false }, sandbox = { listen = %q, speed = %d },
        merchants = { %s} }]]):format(real.scripts.folder, LISTEN, SANDBOX, SPEED, table.concat(parts))
    return { text = text, merchants = folder or plan_of.own_scripts(real, options) .. "/merchants" }
end

return config
