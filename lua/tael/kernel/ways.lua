--- The way that a payment goes: through which account, and in which of its channel's products. A request may
--- name them, the merchant's rule may, or there is only one.
local alarms = require "tael.kernel.alarms"
local nearest = require "tael.nearest"
local registry = require "tael.kernel.registry"
local shown = require "tael.shown"
local sorted = require "tael.sorted"
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

-- ---- what a person is told where the rule names no way that there is ----

local SHOWN_MAX, WAYS_SHOWN = 40, 4

local function word(text)
    return (shown(text, SHOWN_MAX):gsub("%c", " "))
end

--- A way as a rule gives it: 'alipai', {account = 'two'}.
local function written(way, known)
    local parts = {}
    for _, name in ipairs { "channel", "account", "product" } do
        local names = way[name] and known[name]
        local near = names and not names[way[name]] and nearest(way[name], names)
        parts[#parts + 1] = way[name] and ("%s = '%s'%s"):format(name, word(way[name]),
            near and " (did you mean '" .. near .. "'?)" or "")
    end
    return "{" .. table.concat(parts, ", ") .. "}"
end

--- The merchant's own: "alipay/one (page qr)".
local function all_of(merchant)
    local list, known = {}, { channel = {}, account = {} }
    for _, account in ipairs(registry.merchant(merchant).accounts) do
        local package = account.fields and registry.package(account)
        if package then
            known.channel[account.channel], known.account[account.slug] = true, true
            list[#list + 1] = ("%s/%s (%s)"):format(account.channel, account.slug,
                table.concat(sorted(package.products), " "))
        end
    end
    if #list > WAYS_SHOWN then
        list = table.move(list, 1, WAYS_SHOWN, 1, {})
        list[#list + 1] = "…"
    end
    return list, known
end

local function none_of(order, merchant)
    local list, known = all_of(merchant)
    local given = {}
    for i = 1, math.min(#order, WAYS_SHOWN) do
        given[i] = written(order[i], known)
    end
    return ("merchants/%s/rules.lua: route: no way of the merchant's is %s%s; there %s"):format(
        registry.merchant(merchant).slug, table.concat(given, ", "), #order > WAYS_SHOWN and ", …" or "",
        #list > 0 and "are " .. table.concat(list, ", ") or "is none")
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
            detail = none_of(verdict.ways, merchant) })
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
