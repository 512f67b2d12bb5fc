--- What of the past a merchant's rules want to know: the counters that its source names, found before
--- anything runs, so that only these are written and read, and nothing for whom names none.
--- 1 A counter is named where its name stands, as a field or as a text; one that is put together while a
--- rule runs is nil there. 2 What a function asks of its parameter `history`, or a rule of the one that is
--- history, under a name that no counter has, is refused with file and line.
local contract = require "tael.scripts.contract"
local counters = require "tael.scripts.inside.counters"
local files_of = require "tael.scripts.files"
local nearest = require "tael.nearest"
local tokens = require "tael.scripts.tokens"

local counting = {}

---@class tael.scripts.Counting
---@field names string[] sorted
---@field day_count boolean the limit is named: all payments of a day count, whatever a limit says of one
---@field day_amount boolean

local HISTORY = "history"
local LOOKS_MAX = 10000 -- of all files: some 10 ms, in which nobody else goes on
local STEPS = 100 -- of an isolate that one look is worth
local DAY = { max_day_amount = "day_amount", max_day_count = "day_count" }

--- Which argument of each rule is history.
local PLACE = {} ---@type table<string, integer>
for rule, about in pairs(contract.rules) do
    for place, arg in ipairs(about.args) do
        if arg == HISTORY then
            PLACE[rule] = place
        end
    end
end

local WORDS = { HISTORY, "max_day_", "_today", "_1h", "_1d", "_7d", "_30d" }
local TIMES_MAX, NEAR = 20, 200 -- bytes

--- Is this what stands behind the name of a function with a parameter at this place? No pattern here can try
--- one byte twice.
local function has_parameter(text, place)
    local at = text:match("^%s*=?()")
    at = text:match("^%s*()", at)
    at = text:match("^%l*()", at)
    at = text:match("^%s*()", at)
    return text:find("^%(" .. ("[^,)]*,"):rep(place - 1), at) ~= nil
end

--- Does the text define this rule with a parameter for history? Where its name stands very often it may.
local function takes_history(text, rule, place)
    local at = 1
    for _ = 1, TIMES_MAX do
        local _, stop = text:find(rule, at, true)
        if not stop or has_parameter(text:sub(stop + 1, stop + NEAR), place) then
            return stop ~= nil
        end
        at = stop + 1
    end
    return true
end

--- May there be anything in this text? A file in which there cannot is not read.
local function is_promising(text)
    for _, word in ipairs(WORDS) do
        if text:find(word, 1, true) then
            return true
        end
    end
    for rule, place in pairs(PLACE) do
        if takes_history(text, rule, place) then
            return true
        end
    end
    return false
end

--- Behind names with one of these signs between each two, from `at` on.
local function skip_names(list, at, signs)
    local names = {}
    while list[at] and list[at][1] == "name" do
        names[#names + 1] = list[at][2]
        at = at + 1
        if not list[at] or list[at][1] ~= "sign" or not signs[list[at][2]] then
            break
        end
        at = at + 1
    end
    return at, names
end

local FIELD, NEXT = { ["."] = true, [":"] = true }, { [","] = true }

--- The names of a function's parameters and where these open; its word stands at `at`. What fits no function
--- ends the look: no token is looked at for more than one.
local function parameters(list, at)
    local open = skip_names(list, at + 1, FIELD)
    if not tokens.is_sign(list[open], "(") then
        return {}, open
    end
    local _, names = skip_names(list, open + 1, NEXT)
    return names, open
end

--- What history is called in the function whose word stands at `at`; nil: it has none.
local function name_of_history(list, at)
    local names, open = parameters(list, at)
    local named = tokens.is_sign(list[at - 1], "=") and list[at - 2] or open > at + 1 and list[open - 1]
    local place = named and named[1] == "name" and PLACE[named[2]]
    for _, name in ipairs(names) do
        if name == HISTORY then
            return name
        end
    end
    return place and names[place]
end

local OPENS = { ["function"] = true, ["do"] = true, ["if"] = true, ["repeat"] = true }
local CLOSES = { ["end"] = true, ["until"] = true }

---@class tael.scripts.Blocks the blocks in each other around a token
---@field names (string|false)[] what history is called, of functions that have it
---@field active table<string, integer> how many of them call it so

local function enter(blocks, name)
    blocks.names[#blocks.names + 1] = name or false
    if name then
        blocks.active[name] = (blocks.active[name] or 0) + 1
    end
end

local function leave(blocks)
    local name = table.remove(blocks.names)
    if name then
        blocks.active[name] = blocks.active[name] - 1
    end
end

--- Is the token at `i` what somebody asks of history?
local function asked_of(list, i, blocks)
    local sign, of = list[i - 1], list[i - 2]
    local opened = tokens.is_sign(sign, ".") and list[i][1] == "name"
        or tokens.is_sign(sign, "[") and list[i][1] == "text" and tokens.is_sign(list[i + 1], "]")
    return opened and of and of[1] == "name" and (blocks.active[of[2]] or 0) > 0
        and not tokens.is_sign(list[i - 3], ".")
end

--- Adds what the tokens name; gives the first name that no counter has, and where it stands.
local function look(list, found)
    local blocks = { names = {}, active = {} }
    for i, token in ipairs(list) do
        local kind, word = token[1], token[2]
        if counters.known[word] then
            if not found.known[word] then
                found.known[word] = true
                table.insert(found.counting.names, word)
            end
        elseif DAY[word] then
            found.counting[DAY[word]] = true
        elseif kind ~= "sign" and asked_of(list, i, blocks) then
            return word, token[3]
        elseif kind == "name" and OPENS[word] then
            enter(blocks, word == "function" and name_of_history(list, i))
        elseif kind == "name" and CLOSES[word] then
            leave(blocks)
        end
    end
end

--- Rules are no specs and no routes; what they require may be any other file.
local function has_rules(path)
    return path ~= "routes.lua" and not path:find("^spec/")
end

local function unknown(path, line, name)
    local meant = nearest(name, counters.known)
    return ("%s:%d: history has no counter '%s'%s"):format(path, line, name, meant and ": did you mean '"
        .. meant .. "'?" or ": names are like ip_attempts_1h, payer_paid_30d, " .. counters.TODAY)
end

--- Where something of the past may be named.
local function promising(files)
    local paths = {}
    for _, path in ipairs(files["rules.lua"] and files_of.paths(files) or {}) do
        if has_rules(path) and is_promising(files[path]) then
            paths[#paths + 1] = path
        end
    end
    return paths
end

--- What the rules of these files name.
---@param files table<string, string> texts by path, each of which compiles
---@return tael.scripts.Counting? counting nil: nothing, and nothing speaks of history
---@return string? wrong path:line: what
---@return integer used steps that the same work would take in an isolate
function counting.of(files)
    local paths, looks = promising(files), 0
    local found = { known = {}, counting = { names = {}, day_count = false, day_amount = false } }
    for _, path in ipairs(paths) do
        local list, used = tokens.of(files[path], LOOKS_MAX - looks)
        looks = looks + used
        if not list then
            return nil, path .. ": files that speak of history have at most 10,000 words and signs together: "
                .. "keep other code in files that do not", looks * STEPS
        end
        local name, at = look(list, found)
        if name then
            return nil, unknown(path, tokens.line(files[path], at), name), looks * STEPS
        end
    end
    table.sort(found.counting.names)
    return #paths > 0 and found.counting or nil, nil, looks * STEPS
end

return counting
