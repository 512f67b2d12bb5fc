--- How often an API key may ask and an address may notify, counted for all workers together.
local limit = require "tael.limit"
local registry = require "tael.kernel.registry"
local source = require "tael.kernel.source"

local limits = {}

---@class tael.kernel.Taken
---@field allowed boolean
---@field remaining integer
---@field reset_ms integer
---@field rate tael.config.Rate

--- Takes one of the limit limits.<name> for somebody.
---@param name "key"|"notify_address"|"route_address"
---@param who string
---@return tael.kernel.Taken? taken nil: there is no such limit
function limits.take(name, who)
    local rate = registry.config.limits[name]
    if not rate then
        return nil
    end
    local allowed, remaining, reset_ms = limit.take(name .. ":" .. who, rate.count, rate.window_ms)
    return { allowed = allowed, remaining = remaining, reset_ms = reset_ms, rate = rate }
end

--- May this address notify once more? This machine always may.
---@param address string
---@return boolean allowed
---@return integer? retry_s
function limits.notify(address)
    if source.is_loopback(address) then
        return true
    end
    local taken = limits.take("notify_address", source.group(address))
    if not taken or taken.allowed then
        return true
    end
    return false, limits.seconds(taken.reset_ms)
end

--- Whole seconds to wait, at least one.
---@param ms integer
---@return integer
function limits.seconds(ms)
    return math.max(1, (ms + 999) // 1000)
end

return limits
