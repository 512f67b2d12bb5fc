--- Merchants and channel accounts: configured by slug, known inside by small integers that never
--- change their meaning. Every worker holds the whole of it in memory, key handles included.
--- 1 A slug keeps its merchant, channel and environment for ever. 2 A live merchant has production
--- accounts only, a test merchant sandbox accounts only. 3 An account that is no longer configured is
--- kept by name, for what was paid through it, and cannot be used. 4 An account is of one generation of its
--- channel's package for ever: whoever holds one ends on what it began with, and who asks later gets another.
local account_fields = require "tael.channel.account"
local crypto = require "tael.crypto"
local ids = require "tael.kernel.ids"
local packages_of = require "tael.channel.packages"
local sorted = require "tael.sorted"
local source = require "tael.kernel.source"
local store = require "tael.store"
local task = require "tael.task"
local versions = require "tael.scripts.versions"
local workers = require "tael.kernel.workers"

local registry = {}

local PAGE = 1000
local CHANNELS = { number = 0, part = "channels" } -- whose versions these are: tael.scripts.Kept
local ENVIRONMENT_OF = { live = "production", test = "sandbox" }

local merchants, accounts = {}, {} -- by number and by slug
local all = {} -- merchants, by number
local packages ---@type tael.channel.Packages
local ACCOUNTS_AT_ONCE = 10 -- of a turn: each takes 0.1 ms

local function read_all(statement)
    local rows, after = {}, 0
    repeat
        local page, err = store.query(statement, { after = after, n = PAGE })
        if not page then
            error("registry: " .. tostring(err and err.code), 0)
        end
        for _, row in ipairs(page) do
            rows[#rows + 1] = row
            after = row.id
        end
    until #page < PAGE
    return rows
end

local function by_slug(rows)
    local found, highest = {}, 0
    for _, row in ipairs(rows) do
        found[row.slug] = row
        highest = math.max(highest, row.id)
    end
    return found, highest
end

--- A page at a time: what was written stays true when the rest is not.
local function commit(list)
    for first = 1, #list, PAGE do
        local done, err = store.commit(table.move(list, first, math.min(first + PAGE - 1, #list), 1, {}))
        if not done then
            error("registry: " .. tostring(err.code) .. " " .. tostring(err.statement), 0)
        end
    end
end

local function refuse(where, message)
    error({ code = "configuration_invalid", message = where .. ": " .. message }, 0)
end

local function sync_merchants(config)
    local known, highest = by_slug(read_all("merchant.all"))
    local list, numbers = {}, {}
    for _, slug in ipairs(sorted(config.merchants)) do
        local wanted, row = config.merchants[slug], known[slug]
        if row and row.mode ~= wanted.mode then
            refuse("merchants." .. slug .. ".mode", "was " .. row.mode .. " and cannot change")
        end
        if not row then
            highest = highest + 1
        end
        numbers[slug] = row and row.id or highest
        local name = wanted.name or slug
        if not row or row.name ~= name then
            list[#list + 1] = { "merchant.put",
                { number = numbers[slug], slug = slug, name = name, mode = wanted.mode } }
        end
    end
    commit(list)
    return numbers
end

local function check_meaning(where, row, owner, wanted)
    if row.merchant ~= owner or row.channel ~= wanted.channel or row.environment ~= wanted.environment then
        refuse(where, "this slug belongs to another merchant, channel or environment; choose a new one")
    end
end

local function sync_accounts(config, numbers)
    local known, highest = by_slug(read_all("account.all"))
    local list = {}
    for _, merchant in ipairs(sorted(config.merchants)) do
        for _, slug in ipairs(sorted(config.merchants[merchant].accounts or {})) do
            local wanted, row = config.merchants[merchant].accounts[slug], known[slug]
            local where = "merchants." .. merchant .. ".accounts." .. slug
            if wanted.environment ~= ENVIRONMENT_OF[config.merchants[merchant].mode] then
                refuse(where .. ".environment", "a " .. config.merchants[merchant].mode .. " merchant has "
                    .. ENVIRONMENT_OF[config.merchants[merchant].mode] .. " accounts")
            elseif row then
                check_meaning(where, row, numbers[merchant], wanted)
            else
                highest = highest + 1
                known[slug] = { merchant = numbers[merchant], channel = wanted.channel,
                    environment = wanted.environment }
                list[#list + 1] = { "account.put", { owner = numbers[merchant], number = highest, slug = slug,
                    channel = wanted.channel, environment = wanted.environment } }
            end
        end
    end
    commit(list)
end

--- Writes the configured merchants and accounts into the store. Worker 1, at start, scope 0. Raises
--- {code, message} when the configuration contradicts what the store knows.
---@param config table
function registry.sync(config)
    sync_accounts(config, sync_merchants(config))
end

local function place_of(merchant, slug)
    return "merchants." .. merchant .. ".accounts." .. slug
end

--- What the configuration says of an account; nil: it is no longer configured.
local function configured_account(merchant, slug)
    local configured = registry.config.merchants[merchant]
    return configured and configured.accounts and configured.accounts[slug]
end

--- Of this generation of its channel.
local function make_account(row, merchant, from)
    local account = { id = row.id, slug = row.slug, merchant = row.merchant, channel = row.channel,
        environment = row.environment }
    local configured, where = configured_account(merchant, row.slug), place_of(merchant, row.slug)
    if not configured then
        return account
    end
    local package = from:get(row.channel)
    if not package then
        refuse(where .. ".channel", ("there is no channel '%s' in %s"):format(row.channel, from.root
            and "scripts/channels" or "the version of channels"))
    end
    local fields, err = account_fields.check(package, account_fields.fields_of(configured), row.environment)
    if not fields then
        refuse(where, err.message)
    end
    account.fields, account.zone, account.package = fields, configured.zone or "+08:00", package
    account.prepared, err = account_fields.prepare(package, account)
    if not account.prepared then
        refuse(where, err.message)
    end
    return account
end

--- Handles of the secrets that the merchant's scripts may use, by the names that they use.
local function load_secrets(slug, configured)
    local handles = {}
    for _, name in ipairs(sorted(configured and configured.secrets or {})) do
        local handle, err = crypto.secret(configured.secrets[name])
        if not handle then
            refuse("merchants." .. slug .. ".secrets." .. name, ("secret '%s': %s"):format(
                configured.secrets[name], err.message or err.code))
        end
        handles[name] = handle
    end
    return handles
end

local function of_version(version)
    local ran, found = pcall(packages_of.of, version.files)
    if not ran then
        refuse(("channels: version %s, which runs"):format(ids.encode("scr", version.id)),
            (type(found) == "table" and found.message or tostring(found))
            .. " (TAEL_SCRIPTS__STORED_CHANNELS=false tael serve starts with those of the folder)")
    end
    return found
end

--- Fills this worker's memory and readies what every worker needs. At start, after sync, scope 0.
---@param config table
---@return integer activation that says which channels these are; 0: none was ever activated
function registry.load(config)
    local version, err, activation = versions.running(CHANNELS)
    if err then
        error("registry: " .. err.code, 0)
    end
    registry.config = config
    registry.proxies = source.networks(config.http.trusted_proxies or {})
    ids.open()
    version = config.scripts.stored_channels and version or nil
    packages = version and of_version(version) or packages_of.open(config.scripts.channels)
    merchants, accounts, all = {}, {}, {}
    for _, row in ipairs(read_all("merchant.all")) do
        local configured = config.merchants[row.slug]
        local merchant = { id = row.id, slug = row.slug, name = row.name, mode = row.mode,
            livemode = row.mode == "live", zone = configured and configured.zone or "+08:00", accounts = {},
            secrets = load_secrets(row.slug, configured) }
        merchants[row.id], merchants[row.slug], all[#all + 1] = merchant, merchant, merchant
    end
    for _, row in ipairs(read_all("account.all")) do
        local merchant = merchants[row.merchant]
        local account = make_account(row, merchant.slug, packages)
        accounts[row.id], accounts[row.slug] = account, account
        merchant.accounts[#merchant.accounts + 1] = account
    end
    workers.serve()
    return activation
end

--- Accounts of another generation of their channels, by number; those of channels that did not change stay.
--- Raises what is wrong with one of them. In a task others go on in between, but at once.
local function renewed(from, at_once)
    local made, count = {}, 0
    for key, account in pairs(accounts) do
        if key == account.id and account.fields and from:get(account.channel) ~= account.package then
            made[key] = make_account(account, merchants[account.merchant].slug, from)
            count = count + 1
            if not at_once and count % ACCOUNTS_AT_ONCE == 0 then
                task.last()
            end
        end
    end
    return made
end

local function exchange(made)
    for id, account in pairs(made) do
        accounts[id], accounts[account.slug] = account, account
    end
    for _, merchant in ipairs(all) do
        for i, old in ipairs(merchant.accounts) do
            merchant.accounts[i] = made[old.id] or old
        end
    end
end

---@class tael.kernel.PreparedChannels: tael.scripts.Prepared
---@field packages tael.channel.Packages
---@field was tael.channel.Packages those that were used when these were readied
---@field accounts table<integer, table> that were of others then

--- Readies channels' packages to be used: those of these texts, or as the folder has them now. All that
--- accounts need is there and right. In a task; waits.
---@param files table<string, string>? of a version, by path: "alipay/init.lua"
---@return tael.kernel.PreparedChannels?
---@return { code: string, message: string }? err what is wrong
function registry.prepare_channels(files)
    local was = packages
    local ran, next_ones, made = pcall(function()
        local next_ones = files and packages_of.of(files, was)
            or packages_of.again(registry.config.scripts.channels, was)
        return next_ones, renewed(next_ones)
    end)
    if not ran then
        local err = next_ones
        return nil, type(err) == "table" and err or { code = "internal", message = tostring(err) }
    end
    return { packages = next_ones, was = was, accounts = made, changed = was:differing(next_ones),
        digests = next_ones.digests }
end

--- Has them used from now on, all of them. Does not wait.
---@param prepared tael.kernel.PreparedChannels
function registry.take_channels(prepared)
    exchange(prepared.was == packages and prepared.accounts or renewed(prepared.packages, true))
    packages = prepared.packages
end

---@param key integer|string number or slug
---@return table? merchant {id, slug, name, mode, livemode, accounts, secrets}
function registry.merchant(key)
    return merchants[key]
end

--- Every merchant, by number.
---@return table[] merchants read only
function registry.merchants()
    return all
end

---@param key integer|string number or slug
---@return table? account {id, slug, merchant, channel, environment, zone, fields, …}; no fields: unusable
function registry.account(key)
    return accounts[key]
end

--- What a merchant wants where the engine leaves a choice: its own word, or the engine's.
---@param merchant integer|string number or slug
---@param name string "on_late_paid", "on_duplicate_paid"
---@return string
function registry.policy(merchant, name)
    local known = merchants[merchant]
    local configured = known and registry.config.merchants[known.slug]
    local own = configured and configured.policies and configured.policies[name]
    return own or registry.config.payments[name]
end

--- The account a payment goes through when only the channel is named: the first one configured.
---@param merchant integer
---@param channel string? nil: the merchant's only account
---@return table? account
function registry.default_account(merchant, channel)
    local found
    for _, account in ipairs(merchants[merchant] and merchants[merchant].accounts or {}) do
        if account.fields and (channel == nil or account.channel == channel) then
            if channel ~= nil then
                return account
            elseif found then
                return nil
            end
            found = account
        end
    end
    return found
end

--- A channel by name, as it is now.
---@param name string
---@return tael.channel.Package?
function registry.channel(name)
    return packages:get(name)
end

--- The channel of an account, of the account's generation.
---@param account table
---@return tael.channel.Package? package nil: there is none any more
function registry.package(account)
    return account.package or packages:get(account.channel)
end

--- The manifest's product of an attempt; empty when the channel no longer has it.
---@param attempt table row
---@return table
function registry.product(attempt)
    local account = accounts[attempt.account]
    local package = account and registry.package(account)
    return package and package.products[attempt.product] or {}
end

--- The account as its channel's functions get it, with key handles.
---@param account table
---@return table? prepared nil: the account is no longer configured
function registry.prepared(account)
    return account.prepared
end

return registry
