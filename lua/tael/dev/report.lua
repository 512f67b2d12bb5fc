--- A fault in a file as a person wants to see it: file:line:column, the line itself, a mark below the place,
--- and the word that was most likely meant.
---
---   scripts/channels/alipay/init.lua:14:8: syntax error near '1'
---   14 | retrun 1
---      |        ^   did you mean "return"?
local nearest = require "tael.nearest"
local plain = require "tael.cli.plain"
local screen = require "tael.cli.screen"
local shown = require "tael.shown"

local report = {}

local LINE_MAX, SOURCE_MAX = 200, 1048576

local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return "
    .. "then true until while"):gmatch("%a+") do
    KEYWORDS[word] = true
end

local function line_of(path, number)
    local file = io.open(path, "rb")
    local text = file and file:read(SOURCE_MAX)
    if file then
        file:close()
    end
    local at = 0
    for line in ((text or "") .. "\n"):gmatch("(.-)\r?\n") do
        at = at + 1
        if at == number then
            return shown(line)
        end
    end
end

--- What the word right before a place, or the one at it, was meant to be.
local function meant(line, byte)
    local before = line:sub(1, byte - 1):match("([%a_]+)%s*$")
    local here = line:sub(byte):match("^[%a_]+")
    for _, word in ipairs { before or "", here or "" } do
        local near = #word > 2 and not KEYWORDS[word] and nearest(word, KEYWORDS)
        if near then
            return near
        end
    end
end

--- Where a text stands in a line, a whole word if it is one.
local function place_of(line, text)
    local pattern = text:gsub("%W", "%%%0")
    return line:find(text:find("^[%w_]+$") and "%f[%w_]" .. pattern .. "%f[^%w_]" or pattern)
end

--- The byte of its line where a fault is: at what the message quotes, else where the text begins.
local function byte_of(line, message)
    if message:find("near <eof>", 1, true) then
        return #line + 1
    end
    local said = message:gsub(" %(spec '.*", "") -- the name of a test is no place in it
    local quoted = said:match("near '(.-)'") or said:match("'(.-)'")
    return quoted and quoted ~= "" and place_of(line, quoted) or line:find("%S") or 1
end

local function path_of(path, root)
    if root and path:sub(1, #root + 1) == root .. "/" then
        return path:sub(#root + 2)
    end
    return path
end

--- A piece of the line, for a terminal.
local function visible(piece)
    return plain.json((piece:gsub("%c", " ")))
end

local function marked(line, number, byte, message)
    local label = ("%d"):format(number)
    local blank = (" "):rep(#label)
    local near = message:find("near", 1, true) and meant(line, byte)
    local indent = (" "):rep(screen.width(visible(line:sub(1, byte - 1))))
    return ("  %s | %s\n  %s | %s^%s"):format(label, visible(line), blank, indent,
        near and ('   did you mean "%s"?'):format(near) or "")
end

--- The text, ended by a line break; without a place, the message alone.
---@param err { message: string, file: string?, line: integer? }
---@param root string? paths below it are shown from there
---@return string
function report.text(err, root)
    local first = shown(err.message):match("^[^\n]*")
    local file, number, message = first:match("^(.-):(%d+): (.*)")
    number = math.tointeger(tonumber(number))
    if not file then
        return "  " .. plain.value(first) .. "\n"
    end
    local line = line_of(err.file or file, number)
    if not line or #line > LINE_MAX then
        return ("  %s:%d: %s\n"):format(path_of(file, root), number, plain.value(message))
    end
    local byte = byte_of(line, message)
    local column = (utf8.len(line:sub(1, byte - 1)) or byte - 1) + 1
    return ("  %s:%d:%d: %s\n%s\n"):format(path_of(file, root), number, column, plain.value(message),
        marked(line, number, byte, message))
end

return report
