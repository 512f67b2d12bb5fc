--- What the key folder holds, as far as it may be shown: names, public halves, fingerprints.
local loader = require "tael.channel.loader"
local crypto = require "tael.crypto"
local key_folder = require "tael.config.keys"
local settings = require "tael.cli.settings"
local text = require("tael.cli.texts").of

local keyring = {}

keyring.OWN = key_folder.SECRETS

--- Opens the folder of the configuration.
---@param config table
---@return true?
---@return table? err {code, message}
function keyring.open(config)
    local ran, opened, err = pcall(key_folder.open, config)
    if not ran then
        local message = tostring(opened):gsub("^[^:]+:%d+: ", "")
        return nil, { code = "invalid", message = "keys.master: " .. message }
    end
    return opened, err
end

--- A key pair, or a public key alone.
---@param name string
---@return table? about {kind, name, fingerprint, bits, private, public_pem, public_base64}
---@return table? err
function keyring.pair(name)
    local pem, err = crypto.public_pem(name)
    if not pem then
        return nil, err
    end
    local handle
    handle, err = crypto.key_from_pem(pem, { use = "verify", weak = true })
    if not handle then
        return nil, err
    end
    return {
        kind = "key", name = name, fingerprint = handle:id(), bits = handle:bits(),
        private = crypto.exists(name, "key"), public_pem = pem, public_base64 = crypto.public_base64(name),
    }
end

---@param name string
---@return table? about {kind, name, fingerprint}
---@return table? err
function keyring.secret(name)
    local handle, err = crypto.secret(name)
    if not handle then
        return nil, err
    end
    return { kind = "secret", name = name, fingerprint = tostring(handle):match("%((.-)%)") }
end

--- Gives fingerprints by kind and name; each file is read once, however many accounts name it.
local function fingerprints()
    local known = { secret = {}, key = {} }
    return function(kind, name)
        local of_kind = known[kind]
        if of_kind[name] == nil then
            local about = (kind == "secret" and keyring.secret or keyring.pair)(name)
            of_kind[name] = about and about.fingerprint or false
        end
        return of_kind[name] or nil
    end
end

--- Names that an account's fields hold, by its channel's manifest.
local function names_of(package, account)
    local list = {}
    for name, field in pairs(package and package.fields or {}) do
        if (field.type == "key" or field.type == "secret") and type(account[name]) == "string" then
            list[#list + 1] = { field = name, kind = field.type == "secret" and "secret" or "key",
                use = field.use, name = account[name] }
        end
    end
    table.sort(list, function(a, b) return a.field < b.field end)
    return list
end

--- The keys that an account needs; nothing for a channel that cannot be loaded.
---@param account table
---@param packages table<string, tael.channel.Package>
---@return { field: string, kind: string, use: string, name: string }[]
function keyring.of_account(account, packages)
    local ran, package = pcall(function() return packages[account.channel] end)
    return names_of(ran and package or nil, account)
end

--- All that the configuration names. The folder must be open.
---@param config table
---@return { name: string, kind: string, fingerprint: string?, used_by: string, account: string? }[]
function keyring.list(config)
    local rows, fingerprint_of, packages = {}, fingerprints(), loader.load(config.scripts.channels)
    for _, name in ipairs(keyring.OWN) do
        rows[#rows + 1] = { name = name, kind = "secret", fingerprint = fingerprint_of("secret", name),
            used_by = text("keys.own." .. name) }
    end
    for _, found in ipairs(settings.accounts(config)) do
        for _, key in ipairs(keyring.of_account(found.account, packages)) do
            local account = found.account.channel .. "/" .. found.slug
            rows[#rows + 1] = { name = key.name, kind = key.kind, account = account,
                fingerprint = fingerprint_of(key.kind, key.name),
                used_by = account .. " " .. key.field }
        end
    end
    return rows
end

return keyring
