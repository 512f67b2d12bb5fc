--- What people and programs read: answers on stdout, problems on stderr with one line `next:`.
--- Colours are only for terminals, and only where they say what a word says too.
local json = require "tael.json"
local plain = require "tael.cli.plain"
local text = require("tael.cli.texts").of

local screen = {}

local out, problems = io.stdout, io.stderr
local coloured, quiet = false, false
local in_terminal = false
local unwritten ---@type { reason: string, code: integer }? the first answer that did not arrive
-- what was named on the command line
local config ---@type string? a file
local engine = {} ---@type { url: string?, merchant: string? }

--- For specs.
---@param answers file*
---@param complaints file*
function screen.write_to(answers, complaints)
    out, problems, unwritten = answers, complaints, nil
end

---@param how { terminal: boolean?, colours: boolean?, quiet: boolean?, config: string? }
function screen.set(how)
    coloured, quiet, config = how.colours or false, how.quiet or false, how.config
    in_terminal, engine = how.terminal or false, {}
end

--- Of whom this command asks, and for whom: as it was named.
---@param named { url: string?, merchant: string? }
function screen.set_engine(named)
    engine = named
end

---@return boolean
function screen.has_colours()
    return coloured
end

---@return boolean
function screen.is_quiet()
    return quiet
end

-- ---- colours ----

local COLOURS = { green = "32", yellow = "33", red = "31", dim = "2", bold = "1" }

local COLOUR_OF = {
    ok = "green", warn = "yellow", fail = "red",
    paid = "green", succeeded = "green", closed = "dim", failed = "red", declined = "red", review = "yellow",
    unknown = "yellow", abnormal = "red", pass = "green", refused = "red", error = "red",
}

---@param colour string? "green" "yellow" "red" "dim" "bold"; nil: none
---@param word string
---@return string
function screen.paint(colour, word)
    if not coloured or not COLOURS[colour] then
        return word
    end
    return ("\27[%sm%s\27[0m"):format(COLOURS[colour], word)
end

--- A state or verdict in its colour.
---@param word string
---@param shown string? when more than the word is shown
---@return string
function screen.state(word, shown)
    return screen.paint(COLOUR_OF[word], shown or word)
end

-- ---- lines ----

local function noted(done, reason, code)
    if not done and not unwritten then
        unwritten = { reason = reason, code = code }
    end
end

local function put(...)
    noted(out:write(...))
end

--- Before waiting: what was said is to be seen.
function screen.flush()
    noted(out:flush())
end

local EPIPE = 32

--- Has an answer not arrived? Whoever closed a pipe has read what was wanted: that is no failure.
---@return "closed"|"failed"|nil how
---@return string? reason
function screen.broken()
    if unwritten then
        return unwritten.code == EPIPE and "closed" or "failed", unwritten.reason
    end
end

---@param line string
function screen.line(line)
    put(plain.lines(line, coloured), "\n")
end

--- The beginning of a line that is still to end.
---@param part string
function screen.part(part)
    put(plain.lines(part, coloured))
    screen.flush()
end

--- A file's text: as it is for whoever keeps it, to be read in a terminal.
---@param content string
function screen.file(content)
    put(in_terminal and plain.lines(content, false) or content)
end

---@param value any one object, on one line
function screen.object(value)
    put(plain.json(json.encode(value)), "\n")
end

--- A path as a shell reads one word.
---@param path string
---@return string
function screen.word(path)
    return path:find("^[%w_./+-]+$") and path or "'" .. path:gsub("'", "'\\''") .. "'"
end

-- What asks an engine wherever it is, for a merchant; others are of this machine.
local ASKS = { pay = true, refund = true, payments = true, refunds = true, events = true,
    notifications = true, explain = true, trigger = true, scripts = true }

local function option(name, value)
    return value and (" --%s %s"):format(name, screen.word(value)) or ""
end

--- A text whose commands name what this one was given: the file, which init does not read, the engine, the
--- merchant. A key is not shown again.
---@param said string
---@return string
function screen.with_given(said)
    return (said:gsub("%f[%w]tael (%l+)", function(command)
        local asked = ASKS[command] and engine or {}
        return "tael" .. option("config", command ~= "init" and config or nil) .. option("url", asked.url)
            .. option("merchant", asked.merchant) .. " " .. command
    end))
end

--- A text beside the answer, as it is; programs that read stdout do not see it.
---@param said string
function screen.aside(said)
    if not quiet then
        screen.flush()
        problems:write(plain.lines(said, false), "\n")
    end
end

--- A hint beside the answer.
---@param line string
function screen.hint(line)
    screen.aside(screen.with_given(line))
end

local function next_line(step)
    return text("label.next", { step = screen.with_given(step) })
end

--- A hint on what to do next, after an answer that is not a failure.
---@param step string
function screen.next(step)
    screen.aside(next_line(step))
end

---@param failure tael.cli.Failure
function screen.problem(failure)
    screen.flush()
    problems:write("tael: ", plain.lines(failure.message, false), "\n")
    for _, line in ipairs(failure.more or {}) do
        problems:write("  ", plain.lines(line, false), "\n")
    end
    local step = failure.next or text("next.exit." .. failure.exit)
    problems:write(plain.lines(next_line(step), false), "\n")
end

-- ---- values and columns ----

--- A value for people; null and nil are "-".
---@param value any
---@return string
function screen.text(value)
    if value == nil or value == json.null or value == "" then
        return "-"
    end
    return tostring(value)
end

--- Chinese characters and full-width marks take two columns of a terminal.
local function is_wide(code)
    return code >= 0x1100 and (code <= 0x115f or code >= 0x2e80 and code <= 0xa4cf
        or code >= 0xac00 and code <= 0xd7a3 or code >= 0xf900 and code <= 0xfaff
        or code >= 0xfe30 and code <= 0xfe6f or code >= 0xff00 and code <= 0xff60
        or code >= 0xffe0 and code <= 0xffe6 or code >= 0x1f300 and code <= 0x1faff
        or code >= 0x20000 and code <= 0x3fffd)
end

--- Columns of a terminal that a text takes.
---@param value string
---@return integer
function screen.width(value)
    local shown = value:gsub("\27%[[%d;]*m", "")
    if not utf8.len(shown) then
        return #shown
    end
    local width = 0
    for _, code in utf8.codes(shown) do
        width = width + (is_wide(code) and 2 or 1)
    end
    return width
end

--- With blanks up to a width.
---@param value string
---@param width integer
---@return string
function screen.pad(value, width)
    return value .. (" "):rep(width - screen.width(value))
end

--- A value as it stands in its column: on one line.
local function cell_of(value)
    return (plain.lines(screen.text(value), coloured):gsub("[\n\t]", { ["\n"] = "\\n", ["\t"] = "\\t" }))
end

--- Rows as columns of one width each, without blanks at the end of a line.
---@param rows any[][]
---@param indent string?
function screen.columns(rows, indent)
    local widths, all = {}, {}
    for r, row in ipairs(rows) do
        all[r] = {}
        for i, value in ipairs(row) do
            all[r][i] = cell_of(value)
            widths[i] = math.max(widths[i] or 0, screen.width(all[r][i]))
        end
    end
    for _, row in ipairs(all) do
        local cells = {}
        for i, cell in ipairs(row) do
            cells[i] = screen.pad(cell, widths[i])
        end
        screen.line((indent or "") .. (table.concat(cells, "  "):gsub("%s+$", "")))
    end
end

--- A table for people: heads, then rows; without heads when quiet.
---@param heads string[]
---@param rows any[][]
---@param indent string?
function screen.table(heads, rows, indent)
    local all = {}
    if not quiet then
        all[1] = {}
        for i, head in ipairs(heads) do
            all[1][i] = screen.paint("dim", head)
        end
    end
    table.move(rows, 1, #rows, #all + 1, all)
    screen.columns(all, indent)
end

return screen
