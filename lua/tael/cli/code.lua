--- A QR code in a terminal: two modules a character, with the four light modules around it that scanners
--- need. With colours the code is black on white, whatever the terminal's own colours are. Without colours a
--- dark terminal is assumed: what is written is light, what is left out is dark.
local qr = require "tael.qr"
local screen = require "tael.cli.screen"

local code = {}

local QUIET = 4
local BLACK_ON_WHITE, PLAIN = "\27[30;107m", "\27[0m"

-- by what is written above and below
local HALVES = { ["00"] = " ", ["10"] = "▀", ["01"] = "▄", ["11"] = "█" }

--- Rows of "0" and "1" with the quiet zone, an even number of them.
local function framed(rows)
    local side = #rows + 2 * QUIET
    local blank, margin, all = ("0"):rep(side), ("0"):rep(QUIET), {}
    for _ = 1, QUIET do
        all[#all + 1] = blank
    end
    for _, row in ipairs(rows) do
        all[#all + 1] = margin .. row .. margin
    end
    for _ = 1, QUIET + side % 2 do
        all[#all + 1] = blank
    end
    return all
end

local function half_line(above, below, written)
    local parts = {}
    for i = 1, #above do
        local top, bottom = above:sub(i, i) == written, below:sub(i, i) == written
        parts[i] = HALVES[(top and "1" or "0") .. (bottom and "1" or "0")]
    end
    return table.concat(parts)
end

--- The lines that draw a text; nil when it is too long for a code.
---@param text string
---@param colours boolean
---@return string[]? lines
function code.lines(text, colours)
    local rows = qr.encode(text, { level = "M" })
    if not rows then
        return nil
    end
    local all, lines = framed(rows), {}
    for i = 1, #all, 2 do
        local line = half_line(all[i], all[i + 1], colours and "1" or "0")
        lines[#lines + 1] = colours and BLACK_ON_WHITE .. line .. PLAIN or line
    end
    return lines
end

--- Draws it, where it fits.
---@param text string
---@param columns integer? width of the terminal
---@return boolean drawn
function code.draw(text, columns)
    local lines = code.lines(text, screen.has_colours())
    if not lines or columns and screen.width(lines[1]) > columns then
        return false
    end
    for _, line in ipairs(lines) do
        screen.line(line)
    end
    return true
end

return code
