--- merchants.<slug>.… : merchants, their accounts and policies.
local place = require "tael.config.place"
local schema = require "tael.config.schema"
local values = require "tael.config.values"

local merchants = {}

local child, refuse, sorted_names = place.child, place.refuse, place.sorted_names

local function known_names(rows)
    local known = {}
    for _, row in ipairs(rows) do
        known[row.name] = row
    end
    return known
end

--- Checks the rows of a schema in one table; other names are given back when `open`, refused otherwise.
local function check_rows(context, given, rows, path, open)
    if type(given) ~= "table" then
        return refuse(context, "config_wrong_value", path, "must be a table")
    end
    local out, known = {}, known_names(rows)
    for _, name in ipairs(sorted_names(given)) do
        if not known[name] and not open then
            return place.refuse_unknown(context, child(path, name), known)
        elseif not known[name] then
            out[name] = given[name]
        end
    end
    for _, row in ipairs(rows) do
        local value = given[row.name]
        if value == nil then
            value = row.default
        end
        if value == nil and row.required then
            return refuse(context, "config_missing_key", path, row.name .. " is missing: " .. row.doc)
        elseif value ~= nil then
            local normal, wrong = values.check(row, value, context)
            if normal == nil then
                return refuse(context, "config_wrong_value", child(path, row.name), wrong)
            end
            out[row.name] = normal
        end
    end
    return out
end

local function check_accounts(context, accounts, path)
    local out = {}
    for _, slug in ipairs(sorted_names(accounts)) do
        local at = child(path, slug)
        if type(slug) ~= "string" or not values.is_account(slug) then
            return refuse(context, "config_wrong_value", at,
                "is not a slug of an account, such as acme-main")
        end
        local account, err = check_rows(context, accounts[slug], schema.account, at, true)
        if not account then
            return nil, err
        end
        out[slug] = account
    end
    return out
end

--- Names of secrets in the key folder, by the names that scripts use.
local function check_secrets(context, secrets, path)
    for _, name in ipairs(sorted_names(secrets)) do
        local at = child(path, name)
        if type(name) ~= "string" or not name:find("^[a-z][a-z0-9_]*$") or #name > 40 then
            return refuse(context, "config_wrong_value", at, "is not a name such as erp")
        end
        local normal, wrong = values.check({ type = "text", max = 64 }, secrets[name], context)
        if not normal then
            return refuse(context, "config_wrong_value", at, wrong)
        end
    end
    return secrets
end

--- Checks all of them.
---@param context table
---@param given table<string, table>
---@return table? merchants
---@return table? err
function merchants.check(context, given)
    local out = {}
    for _, slug in ipairs(sorted_names(given)) do
        local at = { "merchants", tostring(slug) }
        if type(slug) ~= "string" or not values.is_merchant(slug) then
            return refuse(context, "config_wrong_value", at,
                "is not a slug of a merchant, such as acme or acme.test")
        end
        local merchant, err = check_rows(context, given[slug], schema.merchant, at)
        if not merchant then
            return nil, err
        end
        merchant.accounts, err = check_accounts(context, merchant.accounts, child(at, "accounts"))
        if not merchant.accounts then
            return nil, err
        end
        merchant.secrets, err = check_secrets(context, merchant.secrets, child(at, "secrets"))
        if not merchant.secrets then
            return nil, err
        end
        merchant.policies, err = check_rows(context, merchant.policies, schema.policies,
            child(at, "policies"))
        if not merchant.policies then
            return nil, err
        end
        merchant.name = merchant.name or slug
        out[slug] = merchant
    end
    return out
end

return merchants
