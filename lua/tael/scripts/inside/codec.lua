--- tael.codec, in isolates: bytes as text. decode gives nil where the text is none of its kind.
local codec = { hex = {}, base64 = {} }

function codec.hex.encode(bytes)
    return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

function codec.hex.decode(text)
    if #text % 2 ~= 0 or text:find("%X") then
        return nil
    end
    return (text:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
end

local LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local values = {}
for i = 1, 64 do
    values[LETTERS:byte(i)] = i - 1
end

function codec.base64.encode(bytes)
    local text = bytes:gsub("..?.?", function(part)
        local a, b, c = part:byte(1, 3)
        local all = a << 16 | (b or 0) << 8 | (c or 0)
        local out = ""
        for i = 0, #part do
            local value = all >> 18 - 6 * i & 63
            out = out .. LETTERS:sub(value + 1, value + 1)
        end
        return out
    end)
    return text .. ("="):rep(-#bytes % 3)
end

function codec.base64.decode(text)
    local body = text:match("^([%w+/]*)=?=?$")
    if not body or #text % 4 ~= 0 then
        return nil
    end
    local bytes = body:gsub("..?.?.?", function(part)
        local all = 0
        for i = 1, 4 do
            all = all << 6 | (values[part:byte(i)] or 0)
        end
        return string.char(all >> 16 & 255, all >> 8 & 255, all & 255):sub(1, #part - 1)
    end)
    if codec.base64.encode(bytes) ~= text then -- bits beyond the end, padding that is none
        return nil
    end
    return bytes
end

return codec
