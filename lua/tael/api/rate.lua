--- How often a key may ask, and what every answer says of it: RateLimit-Policy: "key";q=500;w=1 and
--- RateLimit: "key";r=499;t=1 (requests, seconds).
local limits = require "tael.kernel.limits"
local problem = require "tael.api.problem"

local rate = {}

--- The policy as its header says it, made once: a configuration has few.
local policies = setmetatable({}, { __mode = "k", __index = function(made, limit)
    local text = ('"key";q=%d;w=%d'):format(limit.count, limit.window_ms // 1000)
    made[limit] = text
    return text
end })

---@param taken tael.kernel.Taken
---@return table<string, string>
function rate.headers(taken)
    return {
        ["ratelimit-policy"] = policies[taken.rate],
        ["ratelimit"] = '"key";r=' .. taken.remaining .. ";t=" .. limits.seconds(taken.reset_ms),
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
