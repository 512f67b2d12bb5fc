--- The id key is one with the store: with another one each payment had another name, here and at the channel,
--- and what the channel says of the orders that there are would be about none. So the store keeps a proof of
--- the key it began with, and no engine starts with another.
local crypto = require "tael.crypto"
local secrets = require "tael.kernel.secrets"
local store = require "tael.store"

local id_key = {}

local NAME, SAID = "ids.proof", "tael.ids.proof.1"

local function proof()
    return crypto.hmac("sha256", secrets.get "ids", SAID)
end

--- Is the key in the folder the store's? Scope 0. Raises where the store does not answer.
---@return boolean? fits nil: the store began with none
function id_key.fits()
    local rows, err = store.query("setting.get", { name = NAME })
    if not rows then
        error("store: " .. tostring(err.code), 0)
    elseif not rows[1] then
        return nil
    end
    return crypto.equal(rows[1].value, proof())
end

--- Worker 1, at start, scope 0. Raises {code, message} with another key than the store's.
function id_key.hold()
    local fits = id_key.fits()
    if fits == false then
        error({ code = "configuration_invalid", message = "the engine's secret 'ids' is not the one that "
            .. "this store began with: its payments would have other ids, here and at the channels" }, 0)
    elseif fits == nil then
        local done, err = store.commit { { "setting.put", { name = NAME, value = proof() } } }
        if not done then
            error("store: " .. tostring(err.code), 0)
        end
    end
end

return id_key
