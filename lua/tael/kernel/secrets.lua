--- The engine's own secrets, by name: ids (names of objects), pepper (API keys), audit (seals), raw
--- (stored bytes). Handles only; the bytes stay in C. What is sealed here is bound to its place, so that
--- a row's bytes moved to another row do not open.
local crypto = require "tael.crypto"

local secrets = {}

local handles = {}

---@param name "ids"|"pepper"|"audit"|"raw"
---@return userdata
function secrets.get(name)
    if not handles[name] then
        local handle, err = crypto.secret(name)
        if not handle then
            error("secret '" .. name .. "': " .. tostring(err and (err.message or err.code)), 0)
        end
        handles[name] = handle
    end
    return handles[name]
end

---@param plain string
---@param place string what the bytes belong to, such as "ntf:123"
---@return string sealed
function secrets.seal(plain, place)
    return crypto.aes_gcm_seal(secrets.get("raw"), plain, place)
end

---@param sealed string
---@param place string
---@return string? plain nil when the bytes or their place were changed
function secrets.open(sealed, place)
    return (crypto.aes_gcm_open(secrets.get("raw"), sealed, place))
end

return secrets
