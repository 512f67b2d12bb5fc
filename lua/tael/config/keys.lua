--- Opens the key folder that a configuration names, with its master secret.
local config_of = require "tael.config"
local crypto = require "tael.crypto"

local keys = {}

--- The secrets that every engine needs, by name.
keys.SECRETS = { "ids", "pepper", "audit", "raw" }

---@param config table
---@return true?
---@return table? err {code, message}
function keys.open(config)
    local master
    if config.keys.master then
        local err
        master, err = config_of.secret(config.keys.master)
        if not master then
            return nil, err
        end
    end
    return crypto.keys(config.keys.folder, master)
end

--- Are the engine's own secrets there and readable? Without one of them payments could be taken and not be
--- sealed, or stored and not be read.
---@return true?
---@return table? err {code, message}
function keys.check()
    for _, name in ipairs(keys.SECRETS) do
        local secret, err = crypto.secret(name)
        if not secret then
            return nil, { code = err.code, message = ("the engine's secret '%s': %s"):format(name,
                err.message or err.code) }
        end
    end
    return true
end

return keys
