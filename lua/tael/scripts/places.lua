--- Where a merchant's rules.lua defines a rule, for messages about what it gave: by then it has ended.
local tokens = require "tael.scripts.tokens"

local places = {}

local LOOKS_MAX = 10000 -- of one file: some 10 ms, once for each rule of a generation that fails

--- The name of the function whose word stands at `i`, as in `function rules.risk(` and `risk = function(`.
local function name_at(list, i)
    local name = tokens.is_sign(list[i - 1], "=") and list[i - 2] or nil
    while not name and list[i + 1] and list[i + 1][1] == "name" do
        local ends = not tokens.is_sign(list[i + 2], ".")
        name = ends and list[i + 1] or nil
        i = i + 2
    end
    return name and name[1] == "name" and name[2]
end

--- The line of the last function of this name.
---@param source string
---@param name string
---@return integer? line nil: it is defined elsewhere, or not by its name
function places.line(source, name)
    local list = tokens.of(source, LOOKS_MAX) or {}
    for i = #list, 1, -1 do
        if list[i][1] == "name" and list[i][2] == "function" and name_at(list, i) == name then
            return tokens.line(source, list[i][3])
        end
    end
end

---@type table<tael.scripts.Generation, table<string, string>>
local known = setmetatable({}, { __mode = "k" })

--- "rules.lua:12" of a rule, as far as its line can be told.
---@param generation tael.scripts.Generation
---@param path string of the file that gives the rules
---@param rule string
---@return string
function places.of(generation, path, rule)
    local of = known[generation] or {}
    known[generation] = of
    if not of[rule] then
        local line = generation.source and places.line(generation.source, rule)
        of[rule] = line and path .. ":" .. line or path
    end
    return of[rule]
end

return places
