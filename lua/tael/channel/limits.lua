--- The limits that a manifest sets for an order: product, currency, amount, texts, life. A refusal names the
--- channel and the field, so that whoever sent it can put it right.
local limits = {}

--- What a build that cannot be made answers.
---@return nil
---@return tael.channel.BuildError err
function limits.refusal(package, code, field, detail)
    detail = package.name .. ": " .. detail
    return nil, { code = code, channel = package.name, field = field, detail = detail }
end

local refusal = limits.refusal
local NONE = {}

--- The characters of a text, each as a text; made once, a manifest has few of them.
local characters = setmetatable({}, { __index = function(known, text)
    local list = {}
    for _, code in utf8.codes(text) do
        list[#list + 1] = utf8.char(code)
    end
    known[text] = list
    return list
end })

local function check_text(package, field, text, limit)
    if limit == nil or text == nil then
        return true
    end
    local max = type(limit) == "table" and limit.max or limit
    local refuse = type(limit) == "table" and limit.refuse or ""
    local length = utf8.len(text)
    if not length then
        return refusal(package, "invalid_field", field, field .. " is not UTF-8")
    elseif length > max then
        return refusal(package, "invalid_field", field,
            ("%s must not be longer than %d characters"):format(field, max))
    end
    for _, character in ipairs(characters[refuse]) do
        if text:find(character, 1, true) then
            return refusal(package, "invalid_field", field,
                ("%s must not hold '%s'"):format(field, character))
        end
    end
    return true
end

local function check_needs(package, product, ctx)
    for _, path in ipairs(product.needs or NONE) do
        local value = ctx.payment
        for name in path:gmatch("[^.]+") do
            value = type(value) == "table" and value[name] or nil
        end
        if value == nil then
            return refusal(package, "missing_field", path, path .. " is needed")
        end
    end
    return true
end

-- between the request, which says how long, and the order's number, which says when, some ms pass
local life_slack_ms = 1000

local function check_life(package, product, ctx)
    local life = ctx.attempt.expires_at and ctx.attempt.expires_at - ctx.now
    local shortest = product.expires_ms[1] - life_slack_ms
    local longest = product.expires_ms[2] + life_slack_ms
    if life and (life < shortest or life > longest) then
        return refusal(package, "invalid_field", "expires_in",
            ("an order must live %s to %s"):format(product.expires[1], product.expires[2]))
    end
    return true
end

--- The manifest's limits of the product that is being created.
---@param package tael.channel.Package
---@param ctx tael.channel.Context
---@return true?
---@return tael.channel.BuildError? err
function limits.check(package, ctx)
    local attempt = ctx.attempt
    local product = package.products[attempt.product]
    if not product then
        return refusal(package, "product_not_supported", "product",
            "product '" .. tostring(attempt.product) .. "' is not supported")
    elseif not product.currencies[attempt.currency] then
        return refusal(package, "currency_not_supported", "currency",
            "currency " .. tostring(attempt.currency) .. " is not supported")
    elseif attempt.amount < product.min or attempt.amount > product.max then
        return refusal(package, "amount_out_of_range", "amount",
            ("amount must lie in %d … %d minor units"):format(product.min, product.max))
    end
    local fits, err = check_text(package, "subject", ctx.payment.subject, product.subject)
    if fits then
        fits, err = check_text(package, "description", ctx.payment.description, product.description)
    end
    if fits then
        fits, err = check_needs(package, product, ctx)
    end
    if fits then
        fits, err = check_life(package, product, ctx)
    end
    return fits, err
end

return limits
