--- Cursors: where a list goes on. 8 bytes position, 8 bytes end of validity, 16 bytes of an HMAC over both
--- and over what the list was asked for and by whom: a cursor of another query or merchant is none.
local crypto = require "tael.crypto"

local cursor = {}

local FORMAT = ">i8 i8"
local MAC_BYTES = 16
local VALID_MS = 24 * 3600 * 1000

local function mac(key, about, position)
    return crypto.hmac("sha256", key, (">s4 s4"):pack("tael.cursor.1", about) .. position):sub(1, MAC_BYTES)
end

-- Neither where the page begins nor how long it is, nor how long it may be waited for.
local NOT_ABOUT = { cursor = true, limit = true, wait = true }

--- What a list is about, as text: route, merchant and filters.
---@param route string
---@param merchant integer
---@param query table accepted parameters
---@return string
function cursor.about(route, merchant, query)
    local names, parts = {}, { route, tostring(merchant) }
    for name in pairs(query) do
        if not NOT_ABOUT[name] then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local value = query[name]
        value = type(value) == "table" and table.concat(value, ",") or tostring(value)
        parts[#parts + 1] = name .. "=" .. value
    end
    return table.concat(parts, "\n")
end

---@param key userdata|string
---@param about string
---@param position integer
---@param now integer ms
---@return string
function cursor.make(key, about, position, now)
    local bytes = FORMAT:pack(position, now + VALID_MS)
    return crypto.base64url.encode(bytes .. mac(key, about, bytes))
end

---@param key userdata|string
---@param about string
---@param text string
---@param now integer ms
---@return integer? position nil: not one of ours, of another list, or too old
function cursor.read(key, about, text, now)
    local bytes = crypto.base64url.decode(text)
    if not bytes or #bytes ~= FORMAT:packsize() + MAC_BYTES then
        return nil
    end
    local signed = bytes:sub(1, -MAC_BYTES - 1)
    if not crypto.equal(mac(key, about, signed), bytes:sub(-MAC_BYTES)) then
        return nil
    end
    local position, valid_until = FORMAT:unpack(signed)
    return now < valid_until and position or nil
end

return cursor
