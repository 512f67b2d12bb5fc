--- The names that levers answer to. A page of somebody else's whose name is made to lead to this machine is
--- of our origin in a browser's eyes. So on loopback only such names count as that nobody else can give out:
--- addresses, localhost, and what the configuration calls us.
local hosts = {}

local LOOPBACK = { "^127%.", "^localhost$", "^%[::1%]$" }
local NOBODYS = { "^[%d%.]+$", "^%[[%x:%.]+%]$", "^localhost$", "%.localhost$" }

local function is_one_of(host, patterns)
    for _, pattern in ipairs(patterns) do
        if host:find(pattern) then
            return true
        end
    end
    return false
end

--- The host of "host:port".
local function host_of(authority)
    return (authority:match("^%[[^%]]*%]") or authority:match("^[^:]*")):lower()
end

--- What is ours by configuration; nil: we are not on loopback and may be called anything.
---@param address string where we listen, "127.0.0.1:8090"
---@param apps { gateway: string? }[]
---@return table<string, true>? own
function hosts.own(address, apps)
    local host = host_of(address)
    if not is_one_of(host, LOOPBACK) then
        return nil
    end
    local own = {}
    for _, app in ipairs(apps) do
        local authority = app.gateway and app.gateway:match("^https?://([^/?#]+)")
        if authority then
            own[host_of(authority)] = true
        end
    end
    return own
end

--- Is this name one that somebody else may have led here?
---@param own table<string, true>? of hosts.own
---@param authority string? of the request: its Host
---@return boolean
function hosts.is_foreign(own, authority)
    local host = own and authority and host_of(authority)
    return host ~= nil and not own[host] and not is_one_of(host, NOBODYS)
end

return hosts
