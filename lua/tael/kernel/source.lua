--- Who sends: the peer's address, or the one that a configured proxy names. Never a header alone.
--- Addresses are compared as 16 bytes, IPv4 in its mapped form.
local source = {}

local V4 = ("\0"):rep(10) .. "\255\255"

local function parse_v4(text)
    local a, b, c, d = text:match("^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$")
    if not a or text:find("%f[%d]0%d") then -- 010 is ten to some and eight to others
        return nil
    end
    local bytes = { tonumber(a), tonumber(b), tonumber(c), tonumber(d) }
    for _, byte in ipairs(bytes) do
        if byte > 255 then
            return nil
        end
    end
    return V4 .. string.char(table.unpack(bytes))
end

local function parse_groups(text)
    local bytes = {}
    for group in (text .. ":"):gmatch("(.-):") do
        if not group:find("^%x%x?%x?%x?$") then
            return nil
        end
        bytes[#bytes + 1] = (">I2"):pack(tonumber(group, 16))
    end
    return table.concat(bytes)
end

--- "::ffff:203.0.113.7" with its last four bytes as groups like the others.
local function in_groups(text)
    local before, last = text:match("^(.*:)([%d.]+)$")
    local bytes = last and parse_v4(last)
    return bytes and before .. ("%02x%02x:%02x%02x"):format(bytes:byte(13, 16)) or text
end

local function parse_v6(text)
    text = in_groups(text)
    local head, tail = text:match("^(.-)::(.*)$")
    if not head then
        local bytes = parse_groups(text)
        return bytes and #bytes == 16 and bytes or nil
    end
    head = head == "" and "" or parse_groups(head)
    tail = tail == "" and "" or parse_groups(tail)
    if not head or not tail or #head + #tail > 14 then
        return nil
    end
    return head .. ("\0"):rep(16 - #head - #tail) .. tail
end

--- "203.0.113.7", "2001:db8::1" -> 16 bytes; "::ffff:203.0.113.7", which a proxy with one socket for both
--- says of IPv4, is the former
---@param text string
---@return string? bytes
function source.address(text)
    return parse_v4(text) or parse_v6(text)
end

--- "10.0.0.0/8", "::1" -> { bytes, bits }
---@param text string
---@return table? network
function source.network(text)
    local address, bits = text:match("^([^/]+)/(%d+)$")
    local bytes = source.address(address or text)
    if not bytes then
        return nil
    end
    local v4 = bytes:sub(1, 12) == V4
    bits = bits and math.tointeger(tonumber(bits)) or (v4 and 32 or 128)
    if bits > (v4 and 32 or 128) then
        return nil
    end
    return { bytes = bytes, bits = v4 and bits + 96 or bits }
end

---@param network table
---@param bytes string
function source.within(network, bytes)
    local whole, rest = network.bits // 8, network.bits % 8
    if network.bytes:sub(1, whole) ~= bytes:sub(1, whole) then
        return false
    elseif rest == 0 then
        return true
    end
    local shift = 8 - rest
    return network.bytes:byte(whole + 1) >> shift == bytes:byte(whole + 1) >> shift
end

local LOOPBACK = { source.network("127.0.0.0/8"), source.network("::1") }

local function among(networks, bytes)
    for _, network in ipairs(networks) do
        if source.within(network, bytes) then
            return true
        end
    end
    return false
end

local function without_port(peer)
    return peer:match("^([%d%.]+):%d+$") or peer:match("^%[(.-)%]:%d+$") or peer
end

--- IPv4 in the clothes of IPv6 is shown as what it is.
local function plain(address)
    local bytes = address:find(":", 1, true) and source.address(address)
    if bytes and bytes:sub(1, 12) == V4 then
        return ("%d.%d.%d.%d"):format(bytes:byte(13, 16))
    end
    return address
end

---@param texts string[] CIDR
---@return table[]
function source.networks(texts)
    local out = {}
    for _, text in ipairs(texts) do
        out[#out + 1] = assert(source.network(text), "not a network: " .. tostring(text))
    end
    return out
end

--- The address that a request came from. X-Forwarded-For is read from its end, as far as each hop is a
--- proxy of ours.
---@param peer string "127.0.0.1:51234", "[::1]:51234", "unix"
---@param forwarded string? the header
---@param proxies table[] of source.networks
---@return string address
function source.of(peer, forwarded, proxies)
    local address = plain(without_port(peer))
    if not forwarded or #proxies == 0 then
        return address
    end
    local hops = {}
    for hop in forwarded:gmatch("[^,%s]+") do
        hops[#hops + 1] = hop
    end
    for i = #hops, 1, -1 do
        local bytes = source.address(address)
        if not bytes or not among(proxies, bytes) or not source.address(hops[i]) then
            break
        end
        address = hops[i]
    end
    return plain(address)
end

---@param address string
function source.is_loopback(address)
    if address == "127.0.0.1" then
        return true
    end
    local bytes = source.address(address)
    return bytes == nil or among(LOOPBACK, bytes) -- "unix" and in-process calls are this machine too
end

--- Who is counted as one sender: an IPv4 address, or the network of 64 bits that a host of IPv6 is given.
---@param address string
---@return string
function source.group(address)
    local bytes = source.address(address)
    if not bytes then
        return address
    end
    return bytes:sub(1, 12) == V4 and plain(address) or bytes:sub(1, 8)
end

local SHOWN_V6 = 6 -- bytes: what a site is given

--- The network of an address, which tells a person from none of many: 24 bits of IPv4, 48 of IPv6.
---@param address any
---@return string? network "203.0.113.0/24", "2001:db8:1::/48"; nil: it is no address
function source.hint(address)
    local bytes = type(address) == "string" and source.address(address)
    if not bytes then
        return nil
    elseif bytes:sub(1, 12) == V4 then
        return ("%d.%d.%d.0/24"):format(bytes:byte(13, 15))
    end
    local groups = {}
    for at = 1, SHOWN_V6, 2 do
        groups[#groups + 1] = ("%x"):format((">I2"):unpack(bytes, at))
    end
    while groups[#groups] == "0" do
        groups[#groups] = nil
    end
    return table.concat(groups, ":") .. "::/48"
end

--- Counts per source and second, forgotten with the second: what an anonymous sender can make us hold is
--- one number for each request of that second.
---@param per_second integer
function source.meter(per_second)
    local second, counts = nil, {}
    ---@param address string
    ---@param now integer ms
    ---@return boolean allowed
    return function(address, now)
        if now // 1000 ~= second then
            second, counts = now // 1000, {}
        end
        local count = (counts[address] or 0) + 1
        counts[address] = count
        return count <= per_second
    end
end

return source
