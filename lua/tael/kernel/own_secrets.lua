--- The engine's secrets are one with the store: with other ones its payments had other names, its API keys
--- were unknown, its seals false and its messages shut, and none of it would look like a wrong key. So the
--- store keeps a proof of each that it began with, and no engine starts with another. In the scope 0.
local crypto = require "tael.crypto"
local secrets = require "tael.kernel.secrets"
local store = require "tael.store"

local own_secrets = {}

--- What another one would do to the store, by secret.
local PROVED = {
    { name = "ids", harm = "its payments would have other ids, here and at the channels" },
    { name = "pepper", harm = "none of its API keys would be known" },
    { name = "audit", harm = "the seals of its events would be called false" },
    { name = "raw", harm = "the messages that it keeps could not be opened" },
}

local function said(name)
    return ("tael.%s.proof.1"):format(name)
end

local function hmac(name)
    return crypto.hmac("sha256", secrets.get(name), said(name))
end

--- A key that encrypts proves itself by that.
local function make(name)
    return name == "raw" and secrets.seal(name, said(name)) or hmac(name)
end

local function holds(name, proof)
    if name == "raw" then
        return secrets.open(proof, said(name)) == name
    end
    return crypto.equal(proof, hmac(name))
end

local function setting(name)
    return name .. ".proof"
end

--- The first secret in the folder that is not the store's, and those of which the store has no proof. Raises
--- where the store does not answer.
---@return {name: string, harm: string}? other
---@return string[] unproved
function own_secrets.compare()
    local unproved = {}
    for _, one in ipairs(PROVED) do
        local rows, err = store.query("setting.get", { name = setting(one.name) })
        if not rows then
            error("store: " .. tostring(err.code), 0)
        elseif not rows[1] then
            unproved[#unproved + 1] = one.name
        elseif not holds(one.name, rows[1].value) then
            return one, unproved
        end
    end
    return nil, unproved
end

--- Worker 1, at start. Raises {code, message} with another secret than the store's.
function own_secrets.hold()
    local other, unproved = own_secrets.compare()
    if other then
        error({ code = "configuration_invalid", message = ("the engine's secret '%s' is not the one that "
            .. "this store began with: %s"):format(other.name, other.harm) }, 0)
    end
    for _, name in ipairs(unproved) do
        local put = { "setting.put", { name = setting(name), value = make(name) } }
        local done, err = store.commit { put }
        if not done then
            error("store: " .. tostring(err.code), 0)
        end
    end
end

return own_secrets
