--- How often a key may ask, and what every answer says of it: RateLimit-Policy: "key";q=500;w=1 and
--- RateLimit: "key";r=499;t=1 (requests, seconds).
local limits = require "tael.kernel.limits"
local problem = require "tael.api.problem"

local rate = {}

---@param taken tael.kernel.Taken
---@return table<string, string>
function rate.headers(taken)
    return {
        ["ratelimit-policy"] = ('"key";q=%d;w=%d'):format(taken.rate.count, taken.rate.window_ms // 1000),
        ["ratelimit"] = ('"key";r=%d;t=%d'):format(taken.remaining, limits.seconds(taken.reset_ms)),
    }
end

--- A step of the way of a request. Operators and hosts have no key and no limit.
---@param call tael.api.Call
---@return true?
---@return tael.api.Problem?
function rate.check(call)
    local key = call.caller.key_id
    local taken = key and limits.take("key", tostring(key))
    if not taken then
        return true
    end
    call.headers = rate.headers(taken)
    if taken.allowed then
        return true
    end
    return nil, problem.new("rate_limited", nil, {
        headers = { ["retry-after"] = tostring(limits.seconds(taken.reset_ms)) },
    })
end

return rate
