--- The products of a manifest: what a channel takes, for how much, how long, and what the payer gets.
local durations = require "tael.config.durations"
local faults = require "tael.channel.faults"

local products = {}

local set, add, expect, known = faults.set, faults.add, faults.expect, faults.known

local next_actions = set {
    "redirect", "form", "qr_code", "app", "jsapi", "mini_program", "wait", "confirm_transfer", "sdk",
}
local names = set {
    "page", "wap", "app", "qr", "barcode", "jsapi", "mini_program", "agreement",
}
local not_found_words = set { "waiting", "closed", "unknown" }
local members = set {
    "next_action", "currencies", "min", "max", "expires", "query_after", "not_found", "capture", "needs",
    "subject", "description", "expires_ms", "query_after_ms",
}

--- A list of durations as people write them, in ms.
---@param list table[] faults
---@param at string
---@param texts any
---@param count integer? exactly so many
---@return integer[]
function products.durations(list, at, texts, count)
    local out = {}
    if not expect(list, at, texts, "table") then
        return out
    end
    for i, text in ipairs(texts) do
        out[i] = type(text) == "string" and durations.parse(text) or nil
        if not out[i] then
            add(list, at .. "." .. i, "'" .. tostring(text) .. "' is not a duration such as \"15m\"")
        end
    end
    if count and #texts ~= count or #texts == 0 then
        add(list, at, "must hold " .. (count or "some") .. " durations")
    end
    return out
end

--- One duration.
---@param list table[] faults
---@param at string
---@param text any
---@return integer?
function products.duration(list, at, text)
    local ms = type(text) == "string" and durations.parse(text) or nil
    if not ms then
        add(list, at, "'" .. tostring(text) .. "' is not a duration such as \"15m\"")
    end
    return ms
end

local function check_text(list, at, limit)
    if limit == nil then
        return
    end
    local max, refuse = limit, nil
    if type(limit) == "table" then
        known(list, at, limit, set { "max", "refuse" })
        max, refuse = limit.max, limit.refuse
    end
    if math.type(max) ~= "integer" or max < 1 then
        add(list, at, "must be a number of characters, or {max=, refuse=}")
    elseif refuse ~= nil and (type(refuse) ~= "string" or not utf8.len(refuse)) then
        add(list, at .. ".refuse", "must be a text of the characters that are refused")
    end
end

local function check_currencies(list, at, currencies)
    if not expect(list, at, currencies, "table") then
        return
    end
    for currency, flag in pairs(currencies) do
        if type(currency) ~= "string" or not currency:find("^%u%u%u$") or flag ~= true then
            add(list, at .. "." .. tostring(currency), "must read CNY = true")
        end
    end
end

local function check_needs(list, at, needs)
    if needs == nil or not expect(list, at, needs, "table") then
        return
    end
    for i, path in ipairs(needs) do
        expect(list, at .. "." .. i, path, "string")
    end
end

local function check_product(list, at, product)
    if not expect(list, at, product, "table") then
        return
    end
    known(list, at, product, members)
    if not next_actions[product.next_action] then
        add(list, at .. ".next_action", "unknown action '" .. tostring(product.next_action) .. "'")
    end
    check_currencies(list, at .. ".currencies", product.currencies)
    for _, name in ipairs { "min", "max" } do
        if math.type(product[name]) ~= "integer" or product[name] < 1 then
            add(list, at .. "." .. name, "must be a positive integer of minor units")
        end
    end
    if not not_found_words[product.not_found] then
        add(list, at .. ".not_found", "must be 'waiting', 'closed' or 'unknown'")
    end
    check_text(list, at .. ".subject", product.subject)
    check_text(list, at .. ".description", product.description)
    check_needs(list, at .. ".needs", product.needs)
    product.expires_ms = products.durations(list, at .. ".expires", product.expires, 2)
    product.query_after_ms = products.durations(list, at .. ".query_after", product.query_after)
end

--- Checks them and fills in expires_ms and query_after_ms.
---@param list table[] faults
---@param entries any
function products.check(list, entries)
    if not expect(list, "products", entries, "table") then
        return
    end
    for name, entry in pairs(entries) do
        if names[name] then
            check_product(list, "products." .. name, entry)
        else
            add(list, "products." .. tostring(name), "unknown product")
        end
    end
end

return products
