--- What people and programs read: answers on stdout, problems on stderr with one line `next:`.
local json = require "tael.json"

local screen = {}

local out, problems = io.stdout, io.stderr

--- For specs.
---@param answers file*
---@param complaints file*
function screen.write_to(answers, complaints)
    out, problems = answers, complaints
end

---@param text string
function screen.line(text)
    out:write(text, "\n")
end

---@param value any one object, on one line
function screen.object(value)
    out:write(json.encode(value), "\n")
end

--- A hint beside the answer; programs that read stdout do not see it.
---@param text string
function screen.hint(text)
    out:flush()
    problems:write(text, "\n")
end

---@param failure tael.cli.Failure
function screen.problem(failure)
    out:flush()
    problems:write("tael: ", failure.message, "\n")
    if failure.next then
        problems:write("next: ", failure.next, "\n")
    end
end

--- A value for people; null and nil are "-".
---@param value any
---@return string
function screen.text(value)
    if value == nil or value == json.null or value == "" then
        return "-"
    end
    return tostring(value)
end

local function width(text)
    return utf8.len(text) or #text
end

--- Rows as columns of one width each, without blanks at the end of a line.
---@param rows any[][]
---@param indent string?
function screen.columns(rows, indent)
    local widths = {}
    for _, row in ipairs(rows) do
        for i, cell in ipairs(row) do
            widths[i] = math.max(widths[i] or 0, width(screen.text(cell)))
        end
    end
    for _, row in ipairs(rows) do
        local cells = {}
        for i, cell in ipairs(row) do
            local text = screen.text(cell)
            cells[i] = text .. (" "):rep(widths[i] - width(text))
        end
        screen.line((indent or "") .. (table.concat(cells, "  "):gsub("%s+$", "")))
    end
end

return screen
