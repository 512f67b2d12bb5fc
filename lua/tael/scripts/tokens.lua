--- Lua's text in tokens, for what is looked for in scripts before they run: names, texts and signs, each with
--- its line. Comments, numbers and long texts are passed over; what is wrong the compiler has said before.
local tokens = {}

---@alias tael.scripts.Token "name"|"text"|"sign"

--- Behind the long bracket that opens at `at`; nil: none does.
local function skip_long(source, at)
    local level = source:match("^%[(=*)%[", at)
    if not level then
        return nil
    end
    local _, stop = source:find("]" .. level .. "]", at, true)
    return (stop or #source) + 1
end

local function skip_comment(source, at)
    return skip_long(source, at + 2) or source:find("\n", at, true) or #source + 1
end

local QUOTED = { ["'"] = "['\\]", ['"'] = '["\\]' } -- what may end it, or what hides its end

--- Behind the quoted text that opens at `at`, or in it when it takes more looks, and how many it took.
local function skip_text(source, at, most)
    local ends, stop, looks = QUOTED[source:sub(at, at)], at + 1, 0
    repeat
        stop, looks = source:find(ends, stop) or #source, looks + 1
        local escape = source:sub(stop, stop) == "\\"
        stop = stop + (escape and 2 or 1)
    until not escape or stop > #source or looks > most
    return stop, looks
end

--- The token at `at`, which is no blank: its kind, nil for what is passed over, where the next may begin, and
--- how many looks that took.
local function token_at(source, at, most)
    local word = source:match("^[%a_][%w_]*", at)
    if word then
        return "name", word, at + #word, 1
    elseif source:find("^%-%-", at) then
        return nil, "", skip_comment(source, at), 1
    elseif source:find("^['\"]", at) then
        local stop, looks = skip_text(source, at, most)
        return "text", source:sub(at + 1, stop - 2), stop, looks
    end
    local number = source:match("^%.?%d[%w.]*", at)
    local stop = number and at + #number or skip_long(source, at)
    if stop then
        return nil, "", stop, 1
    end
    return "sign", source:sub(at, at), at + 1, 1
end

---@param source string
---@param most integer looks, one for each token and each escape in a text
---@return { [1]: tael.scripts.Token, [2]: string, [3]: integer }[]? list kind, text, byte where it begins;
--- nil: there is more
---@return integer used looks
function tokens.of(source, most)
    local list, used, at = {}, 0, source:find("%S")
    while at do
        local kind, text, stop, looks = token_at(source, at, most - used)
        used = used + looks
        if used > most then
            return nil, used
        elseif kind then
            list[#list + 1] = { kind, text, at }
        end
        at = source:find("%S", stop)
    end
    return list, used
end

---@param source string
---@param at integer byte
---@return integer line
function tokens.line(source, at)
    local _, breaks = source:sub(1, at - 1):gsub("\n", "")
    return breaks + 1
end

---@param token { [1]: tael.scripts.Token, [2]: string }? nil: behind the last
---@param sign string
---@return boolean
function tokens.is_sign(token, sign)
    return token ~= nil and token[1] == "sign" and token[2] == sign
end

return tokens
