--- The record of a notification's checks: which passed, which failed and why, and how long each took.
--- Stored in short form, and only when something failed; shown in full.
local json = require "tael.json"

local verdict = {}
verdict.__index = verdict

--- In the order in which they are made: cheapest first.
verdict.ORDER = {
    "source", "size", "decode", "form", "algorithm", "window", "identity", "signature", "decrypt", "order",
    "amount", "state", "commit",
}

local DETAIL_MAX = 200

--- A detail may quote an anonymous sender: it is cut, and bytes that are no text do not get into JSON.
local function shown(detail)
    local text = detail and detail:sub(1, DETAIL_MAX)
    if text and not utf8.len(text) then
        text = text:gsub("[\128-\255]", "?")
    end
    return text
end

---@param clock fun(): integer microseconds
function verdict.new(clock)
    return setmetatable({ clock = clock, since = clock(), checks = {} }, verdict)
end

function verdict:record(name, word, detail)
    local now = self.clock()
    self.checks[#self.checks + 1] = { name = name, verdict = word, detail = shown(detail),
        micros = now - self.since }
    self.since = now
end

function verdict:pass(name, detail)
    self:record(name, "pass", detail)
end

function verdict:skip(name, detail)
    self:record(name, "skipped", detail)
end

--- Marks the failed check; the ones that come before it in the order and were not made yet have passed.
function verdict:fail(name, detail)
    local made = {}
    for _, check in ipairs(self.checks) do
        made[check.name] = true
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

--- Short form for the row: [["source","pass",3],["size","fail",1,"why"]]
---@return string
function verdict:encode()
    local list = json.array {}
    for i, check in ipairs(self.checks) do
        list[i] = json.array { check.name, check.verdict, check.micros, check.detail }
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
