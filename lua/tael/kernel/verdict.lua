--- The record of a notification's checks: which passed, which failed and why, and how long each took.
--- Stored in short form, and only when something failed; shown in full.
local json = require "tael.json"
local shown = require "tael.shown"

local verdict = {}
verdict.__index = verdict

--- In the order in which they are made: cheapest first.
verdict.ORDER = {
    "source", "size", "decode", "form", "algorithm", "window", "identity", "signature", "decrypt", "order",
    "amount", "state", "commit",
}

local DETAIL_MAX = 200

--- A detail may quote an anonymous sender: it is cut, and bytes that are no text do not get into JSON.
local function quoted(detail)
    return detail and shown(detail, DETAIL_MAX)
end

--- A record is a flat list of name, word and microseconds, three for each check; what has a detail is in
--- `details` by name. Nearly all records are thrown away unread.
---@param clock fun(): integer microseconds
function verdict.new(clock)
    return setmetatable({ clock = clock, since = clock(), count = 0, marks = nil, marked = nil }, verdict)
end

local function add(self, name, word, now, detail)
    local count = self.count
    self[count + 1], self[count + 2], self[count + 3] = name, word, now - self.since
    self.since, self.count = now, count + 3
    if detail then
        self.details = self.details or {}
        self.details[name] = quoted(detail)
    end
end

--- These checks have passed, now, or do not apply: written out when somebody wants to read it.
---@param names { [integer]: string, word: string?, detail: string? } kept, not copied
function verdict:mark(names)
    local marks, count = self.marks, self.marked
    if not marks then
        -- room for eight steps
        marks = { nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil }
        self.marks, count = marks, 0
    end
    marks[count + 1], marks[count + 2] = names, self.clock()
    self.marked = count + 2
end

local function write_out(self)
    local marks, count = self.marks, self.marks and self.marked or 0
    self.marks = nil
    for i = 1, count, 2 do
        local made = marks[i]
        for _, name in ipairs(made) do
            add(self, name, made.word or "pass", marks[i + 1], made.detail)
        end
    end
end

function verdict:record(name, word, detail)
    write_out(self)
    add(self, name, word, self.clock(), detail)
end

function verdict:pass(name)
    self:record(name, "pass")
end

function verdict:skip(name, detail)
    self:record(name, "skipped", detail)
end

--- Marks the failed check; the ones that come before it in the order and were not made yet have passed.
function verdict:fail(name, detail)
    write_out(self)
    local made = {}
    for i = 1, self.count, 3 do
        made[self[i]] = true
    end
    for _, earlier in ipairs(verdict.ORDER) do
        if earlier == name then
            break
        elseif not made[earlier] then
            self:pass(earlier)
        end
    end
    self:record(name, "fail", detail)
end

--- A record that goes on from here by itself.
function verdict:copy()
    write_out(self)
    local copy = setmetatable({ clock = self.clock, since = self.since, count = self.count }, verdict)
    table.move(self, 1, self.count, 1, copy)
    for name, detail in pairs(self.details or {}) do
        copy.details = copy.details or {}
        copy.details[name] = detail
    end
    return copy
end

--- Short form for the row: [["source","pass",3],["size","fail",1,"why"]]
---@return string
function verdict:encode()
    write_out(self)
    local list = json.array {}
    for i = 1, self.count, 3 do
        list[#list + 1] = json.array { self[i], self[i + 1], self[i + 2],
            self.details and self.details[self[i]] }
    end
    return json.encode(list)
end

---@param text string
---@return table[] checks
function verdict.decode(text)
    local checks = {}
    for i, row in ipairs(json.decode(text) or {}) do
        checks[i] = { name = row[1], verdict = row[2], micros = row[3], detail = row[4] }
    end
    return checks
end

--- All thirteen checks for people; what is not recorded passed before a success and was not made after a
--- failure.
---@param checks table[]? nil: all passed
---@param skipped table<string, string> check -> why it does not apply
---@return table[]
function verdict.view(checks, skipped)
    local by_name, failed = {}, false
    for _, check in ipairs(checks or {}) do
        by_name[check.name] = check
    end
    local list = json.array {}
    for _, name in ipairs(verdict.ORDER) do
        local check = by_name[name] or {}
        local word = check.verdict or (skipped[name] or failed) and "skipped" or "pass"
        failed = failed or word == "fail"
        list[#list + 1] = {
            name = name, verdict = word, detail = check.detail or skipped[name] or json.null,
            micros = check.micros or json.null,
        }
    end
    return list
end

return verdict
