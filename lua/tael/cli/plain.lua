--- What others have written, for a terminal: a notification that nobody has signed, a script, a subject. A
--- character that would move the cursor, hide or turn round what stands there is written as its code, as in
--- JSON.
local plain = {}

-- C1 controls, line separators, and what changes the direction of writing
local WIDE = { "\xc2[\x80-\x9f]", "\xe2\x80[\xa8-\xae]", "\xe2\x81[\xa6-\xa9]" }

-- what screen and code colour with
local OWN = { ["[0m"] = true, ["[1m"] = true, ["[2m"] = true, ["[31m"] = true, ["[32m"] = true,
    ["[33m"] = true, ["[30;107m"] = true }

local function code_of(character)
    return ("\\u%04x"):format(#character == 1 and character:byte() or utf8.codepoint(character))
end

--- JSON that has been written: what a JSON text may hold as it is, and a terminal may not.
---@param written string
---@return string
function plain.json(written)
    for _, pattern in ipairs(WIDE) do
        written = written:gsub(pattern, code_of)
    end
    return (written:gsub("\127", code_of))
end

--- A value within a line.
---@param value string
---@return string
function plain.value(value)
    return plain.json((value:gsub("[\0-\31]", code_of)))
end

--- Lines, with their breaks and tabs; coloured: with our own colours too.
---@param lines string
---@param coloured boolean
---@return string
function plain.lines(lines, coloured)
    local marked = coloured and lines:gsub("\27(%[[%d;]+m)", function(rest)
        return OWN[rest] and "\0" .. rest or nil
    end) or lines
    marked = marked:gsub("[\1-\8\11-\31]", code_of)
    marked = marked:gsub("\0(%[?[%d;]*m?)", function(rest)
        return (coloured and OWN[rest] and "\27" or code_of "\0") .. rest
    end)
    return plain.json(marked)
end

return plain
