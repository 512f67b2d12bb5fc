--- Somebody else's text, to be quoted in an answer or a message: it is cut between two characters, never in
--- one, and what is not UTF-8 gets into no JSON.

---@param text string
---@param max integer? bytes; as many as there are
---@return string
local function shown(text, max)
    if not utf8.len(text) then
        text = text:gsub("[\128-\255]", "?")
    end
    if max and #text > max then
        text = text:sub(1, utf8.offset(text, 0, max + 1) - 1)
    end
    return text
end

return shown
