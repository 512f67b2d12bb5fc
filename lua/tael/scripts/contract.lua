--- The rules that a merchant's rules.lua may hold: what each is given, what it may give back, and what holds
--- when it is absent or fails. One table, for asking, for checking and for the reference.
local nearest = require "tael.nearest"
local shown = require "tael.shown"

local contract = {}

-- What a check gives is a table of its own, with room for who said it: one that grows costs more than
-- all that is in it.

local REASON_MAX = 200 -- bytes
local SHOWN_MAX = 40

--- What came in place of what is said before: ', not "reveiw": did you mean …'.
local function not_this(value, words)
    if value == nil then
        return ", not nil (is a return missing?)"
    elseif type(value) == "table" then
        return ", not a table"
    elseif type(value) ~= "string" then
        return ", not " .. tostring(value)
    end
    local near = words and nearest(value, words)
    local word = shown(value, SHOWN_MAX):gsub("%c", " ")
    return (', not "%s"%s'):format(word, near and (': did you mean "%s"?'):format(near) or "")
end

local function check_reason(reason)
    if reason ~= nil and (type(reason) ~= "string" or #reason > REASON_MAX or not utf8.len(reason)) then
        return nil, "the second result is a reason: a text of at most 200 bytes in UTF-8, or nil"
            .. (type(reason) ~= "string" and not_this(reason) or "")
    end
    return true
end

local RISKS = { allow = true, review = true, deny = true }

local function check_risk(risk, reason)
    if not RISKS[risk] then
        return nil, 'the first result is "allow", "review" or "deny"' .. not_this(risk, RISKS)
    end
    if reason ~= nil then
        local fits, why = check_reason(reason)
        if not fits then
            return nil, why
        end
    end
    return { risk = risk, reason = reason, by = nil, generation = nil }
end

local LIMITS = { max_amount = true, max_day_amount = true, max_day_count = true }
local LIMIT_MAX = 100000000000000000 -- far below what an integer holds

local function check_limits(limits)
    if limits == nil then
        return {}
    elseif type(limits) ~= "table" then
        return nil, "the result is a table of limits, or nil" .. not_this(limits)
    end
    for name, value in pairs(limits) do
        if not LIMITS[name] then
            return nil, "there is no limit '" .. shown(tostring(name), SHOWN_MAX)
                .. "': there are max_amount, max_day_amount and max_day_count"
        elseif math.type(value) ~= "integer" or value < 1 or value > LIMIT_MAX then
            return nil, ("%s is an integer%s, at least 1%s"):format(name,
                name ~= "max_day_count" and " of minor units" or "", not_this(value))
        end
    end
    return { max_amount = limits.max_amount, max_day_amount = limits.max_day_amount,
        max_day_count = limits.max_day_count, by = nil, generation = nil }
end

local FEE_MAX = 100000000000000 -- of every amount

local function check_price(price)
    if price == nil then
        return {}
    elseif type(price) ~= "table" or next(price) ~= "fee" or next(price, "fee") ~= nil then
        return nil, "the result is {fee = minor units}, or nil"
            .. (type(price) ~= "table" and not_this(price) or "")
    elseif math.type(price.fee) ~= "integer" or price.fee < 0 or price.fee > FEE_MAX then
        return nil, "fee is an integer of minor units, at least 0" .. not_this(price.fee)
    end
    return { fee = price.fee, by = nil, generation = nil }
end

local WAY_MAX = 16
local WAY = { channel = true, account = true, product = true }

local function check_way(way)
    if type(way) == "string" then
        return { channel = way }
    elseif type(way) ~= "table" then
        return nil
    end
    for name, value in pairs(way) do
        if not WAY[name] or type(value) ~= "string" then
            return nil
        end
    end
    return next(way) ~= nil and way or nil
end

local function check_route(order, reason)
    if type(order) ~= "table" or #order < 1 or #order > WAY_MAX then
        return nil, "the first result is a list of 1 to 16 channels"
            .. (type(order) ~= "table" and not_this(order) or "")
    end
    local ways = {}
    for i = 1, #order do
        ways[i] = check_way(order[i])
        if not ways[i] then
            return nil, "entry " .. i .. " is a channel's name or {channel=, account=, product=} of texts"
                .. not_this(order[i])
        end
    end
    local fits, why = check_reason(reason)
    return fits and { ways = ways, reason = reason, by = nil, generation = nil }, why
end

--- A rule that gives one of some words.
local function one_of(...)
    local words, list = {}, { ... }
    for _, word in ipairs(list) do
        words[word] = true
    end
    local told = ('the result is "%s"'):format(table.concat(list, '" or "'))
    return function(wish)
        if not words[wish] then
            return nil, told .. not_this(wish, words)
        end
        return { wish = wish, by = nil, generation = nil }
    end
end

---@class tael.scripts.Rule
---@field args string[] names of the inputs, in order
---@field check fun(...): table?, string? what it gave, in its final form; else what is wrong with it
---@field absent table what holds when the merchant has no such rule
---@field failed table what holds when it fails

---@type table<string, tael.scripts.Rule>
contract.rules = {
    limits = { args = { "payment", "history" }, check = check_limits, absent = {}, failed = {} },
    risk = {
        args = { "payment", "history" }, check = check_risk, absent = { risk = "allow" },
        failed = { risk = "review", reason = "the rule failed" },
    },
    price = { args = { "payment" }, check = check_price, absent = {}, failed = {} },
    on_late_paid = { args = { "payment" }, check = one_of("accept", "refund", "review"), absent = {},
        failed = {} },
    on_duplicate_paid = { args = { "payment", "attempt" }, check = one_of("refund", "review"), absent = {},
        failed = {} },
    route = { args = { "payment", "channels", "history" }, check = check_route, absent = {}, failed = {} },
}

--- What is wrong with what rules.lua gave back.
---@param given table<string, string> types by name
---@return string? what
function contract.wrong(given)
    for name, kind in pairs(given) do
        if not contract.rules[name] then
            local meant = nearest(name, contract.rules)
            return ("there is no rule '%s'%s"):format(name, meant and ": did you mean '" .. meant .. "'?"
                or ": keep functions of your own local")
        elseif kind ~= "function" then
            return ("rule '%s' is a %s: it must be a function"):format(name, kind)
        end
    end
end

return contract
