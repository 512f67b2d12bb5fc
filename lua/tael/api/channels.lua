--- /v1/channels and /v1/accounts, read only: what can be paid with, and through which accounts.
local json = require "tael.json"
local problem = require "tael.api.problem"
local registry = require "tael.kernel.registry"
local sorted = require "tael.sorted"

local M = {}

local function sorted_array(map)
    return json.array(sorted(map))
end

local function product_view(product)
    return {
        next_action = product.next_action, currencies = sorted_array(product.currencies), min = product.min,
        max = product.max, expires_in = {
            min = product.expires_ms[1] // 1000, max = product.expires_ms[2] // 1000,
        },
    }
end

local function channel_view(package)
    local products = {}
    for name, product in pairs(package.products) do
        products[name] = product_view(product)
    end
    return {
        object = "channel", name = package.name, title = package.title, products = products,
        capabilities = sorted_array(package.capabilities),
    }
end

local function accounts_of(call)
    local list = {}
    for _, account in ipairs(registry.merchant(call.caller.merchant).accounts) do
        if account.fields then -- configured: others can no longer be used
            list[#list + 1] = account
        end
    end
    table.sort(list, function(a, b) return a.slug < b.slug end)
    return list
end

--- The channels of the merchant's accounts.
---@param call tael.api.Call
function M.list(call)
    local seen, list = {}, json.array {}
    for _, account in ipairs(accounts_of(call)) do
        if not seen[account.channel] then
            seen[account.channel] = true
            list[#list + 1] = channel_view(registry.package(account))
        end
    end
    return 200, { data = list, next_cursor = json.null }
end

local function account_view(account)
    local merchant = registry.merchant(account.merchant)
    return {
        object = "account", id = account.slug, merchant = merchant.slug, livemode = merchant.livemode,
        channel = account.channel, environment = account.environment, zone = account.zone,
    }
end

---@param call tael.api.Call
function M.accounts(call)
    local list = json.array {}
    for _, account in ipairs(accounts_of(call)) do
        list[#list + 1] = account_view(account)
    end
    return 200, { data = list, next_cursor = json.null }
end

---@param call tael.api.Call
function M.account(call)
    local account = registry.account(call.params.id)
    if not account or account.merchant ~= call.caller.merchant or not account.fields then
        return nil, problem.new("not_found")
    end
    return 200, account_view(account)
end

return M
