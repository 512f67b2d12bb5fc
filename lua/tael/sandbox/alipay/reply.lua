--- How the levers read and answer.
local json = require "tael.json"

local reply = {}

---@param status integer
---@param value any
---@return table response
function reply.json(status, value)
    return {
        status = status,
        headers = { ["content-type"] = "application/json", ["cache-control"] = "no-store" },
        body = json.encode(value),
    }
end

---@param status integer
---@param text string
---@return table response
function reply.refuse(status, text)
    return reply.json(status, { error = text })
end

--- Was it sent by a page of somebody else's that a browser shows? Browsers say whose it is, nobody else does.
---@param request table
---@return boolean
function reply.is_foreign(request)
    local site, origin = request.headers["sec-fetch-site"], request.headers.origin
    if site and site ~= "same-origin" and site ~= "none" then
        return true
    end
    local own = "://" .. (request.headers.host or "")
    return origin ~= nil and origin ~= "http" .. own and origin ~= "https" .. own
end

--- The body as an object; an empty one is empty.
---@param request table
---@return table? nil: not an object
function reply.read(request)
    if request.body == "" then
        return {}
    end
    local body = json.decode(request.body)
    return type(body) == "table" and not json.is_array(body) and body or nil
end

--- A parameter of the query: letters, digits, _ and -.
---@param request table
---@param name string
---@return string?
function reply.parameter(request, name)
    for given, value in (request.query or ""):gmatch("([%w_]+)=([%w_%-]+)") do
        if given == name then
            return value
        end
    end
end

return reply
