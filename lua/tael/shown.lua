--- What others have written, as messages quote it: cut to so many bytes, never inside a character. Bytes that
--- are no text become question marks: a message goes out as JSON, which knows text alone.
---@param text string
---@param max integer bytes
---@return string
local function shown(text, max)
    local cut = text:sub(1, max)
    if utf8.len(cut) then
        return cut
    end
    local last = utf8.offset(cut, 0, #cut) -- where the character begins that the last byte belongs to
    local whole = cut:sub(1, last - 1)
    if #text > max and utf8.len(whole) then
        return whole
    end
    return (cut:gsub("[\128-\255]", "?"))
end

return shown
