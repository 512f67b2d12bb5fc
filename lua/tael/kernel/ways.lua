--- The way that a payment goes: through which account, and in which of its channel's products. A request may
--- name them, the merchant's rule may, or there is only one.
local alarms = require "tael.kernel.alarms"
local registry = require "tael.kernel.registry"
local task = require "tael.task"

local ways = {}

local PRODUCT_OF_DEVICE = { desktop = "page", mobile = "wap", wallet = "jsapi", terminal = "qr" }

local function problem(code, detail, pointer)
    return nil, { code = code, detail = detail, pointer = pointer }
end

local function own_account(slug, merchant)
    local account = registry.account(slug)
    return account and account.merchant == merchant and account.fields and account or nil
end

--- The first way of the rule's that there is.
local function choose_by_rule(order, input, merchant)
    for _, way in ipairs(order) do
        local account
        if way.account then
            account = own_account(way.account, merchant)
        else
            account = registry.default_account(merchant, way.channel)
        end
        local package = account and (not way.channel or account.channel == way.channel)
            and registry.package(account)
        local product = input.product or way.product or PRODUCT_OF_DEVICE[input.device or "desktop"]
        if package and package.products[product] then
            return account, product
        end
    end
end

--- Which account the payment goes through, and who decided.
local function choose_account(input, merchant)
    local channel = input.channel
    if input.account then
        local account = own_account(input.account, merchant)
        if not account then
            return problem("invalid_field", "account '" .. input.account .. "' is not one of yours",
                "/account")
        elseif channel and account.channel ~= channel then
            return problem("invalid_field", ("account '%s' is of the channel '%s'"):format(account.slug,
                account.channel), "/account")
        end
        return account, "request"
    end
    local account = registry.default_account(merchant, channel)
    if account then
        return account, channel and "request" or "default"
    elseif channel then
        return problem("invalid_field", "you have no account of the channel '" .. channel .. "'", "/channel")
    end
    return problem("missing_field", "channel is needed: you have several accounts, or none", "/channel")
end

local function choose_product(input, package)
    local product = input.product or PRODUCT_OF_DEVICE[input.device or "desktop"]
    if not product or not package.products[product] then
        return problem("product_not_supported", ("%s: product '%s' is not supported"):format(package.name,
            tostring(product or input.device)), "/product")
    end
    return product
end

--- The way that a request names, the first possible one of the merchant's rule, or the one that there is.
---@param input { channel: string?, account: string?, product: string?, device: string? }
---@param verdict tael.scripts.Verdict? of the rule `route`
---@return table? account
---@return string|table product, or problem
---@return "request"|"rule"|"default"? by who decided
function ways.choose(input, verdict)
    local merchant = task.scope()
    if verdict and verdict.ways then
        local account, product = choose_by_rule(verdict.ways, input, merchant)
        if account then
            return account, product, "rule"
        end
        alarms.raise("rule_failed", { merchant = registry.merchant(merchant).slug, rule = "route",
            failure = "no_such_way", generation = verdict.generation,
            detail = "none of the ways that the rule names is one of the merchant's" })
    end
    local account, by = choose_account(input, merchant)
    if not account then
        return nil, by
    end
    local product, err = choose_product(input, registry.package(account))
    if not product then
        return nil, err
    end
    return account, product, by
end

return ways
