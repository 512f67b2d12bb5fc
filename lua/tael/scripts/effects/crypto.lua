--- Effects that use what scripts must not see: the merchant's secrets, by the names that its configuration
--- gives them. Digests and comparisons are here, too, for they belong to them.
local crypto = require "tael.crypto"
local shown = require "tael.shown"

local M = {}

M["crypto.sha256"] = function(_, text)
    return crypto.hex.encode(crypto.digest("sha256", text))
end

M["crypto.hmac_sha256"] = function(run, secret, text)
    local handle = run.merchant.secrets[secret]
    if not handle then
        return nil, ("there is no secret '%s' in merchants.%s.secrets"):format(shown(secret, 40),
            run.merchant.slug)
    end
    return crypto.hex.encode(crypto.hmac("sha256", handle, text))
end

M["crypto.equal"] = function(_, one, other)
    return crypto.equal(one, other)
end

return M
