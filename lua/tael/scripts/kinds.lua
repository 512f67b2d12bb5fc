--- What each kind of file must give: asked in the isolate when a generation is looked at, and judged here.
--- 1 rules.lua gives functions that are rules. 2 routes.lua gives handlers by method and path. 3 What is
--- asked of history has the name of a counter.
local contract = require "tael.scripts.contract"
local counting = require "tael.scripts.counting"
local route_contract = require "tael.scripts.route_contract"

local kinds = {}

local LOAD_STEPS = 2000000
kinds.RULES, kinds.ROUTES, kinds.ROUTE = "rules.lua", "routes.lua", "tael/route.lua"

---@class tael.scripts.Look
---@field unit tael.isolate.Generation
---@field used integer steps

local function ask(look, entry, name)
    local answers, used = look.unit:ask(entry, { { name } }, {}, LOAD_STEPS)
    local answer = answers[1]
    look.used = look.used + used
    if answer[1] then
        return answer[2], answer[3]
    end
    return nil, answer[3], answer[2]
end

local function rules_of(look)
    local described, why, kind = ask(look, kinds.RULES, "")
    if not described then
        return nil, why, kind
    end
    local wrong, rules = contract.wrong(described), {}
    if wrong then
        return nil, kinds.RULES .. ": " .. wrong, "contract"
    end
    for rule in pairs(described) do
        rules[rule] = true
    end
    return rules
end

local function routes_of(look)
    local list, why, kind = ask(look, kinds.ROUTE, "describe")
    if not list then
        return nil, kind and why or kinds.ROUTES .. " " .. why, kind or "contract"
    end
    local tree, wrong, keys = route_contract.read(list)
    if not tree then
        return nil, kinds.ROUTES .. ": " .. wrong, "contract"
    end
    return { tree = tree, keys = keys }
end

---@class tael.scripts.Given
---@field rules table<string, boolean> those that there are
---@field routes table? tree of paths; nil: there is no routes.lua
---@field route_keys string[] "POST /orders", sorted
---@field counting tael.scripts.Counting? what of the past the rules name

--- What a merchant's files give.
---@param unit tael.isolate.Generation
---@param name string "merchants/acme", in front of paths in messages
---@param files table<string, string> the merchant's own
---@return tael.scripts.Given?
---@return string? why not, with file and line where there is one
---@return string? kind of failure, of those that asking knows; "contract"
---@return integer used steps
function kinds.given(unit, name, files)
    local rules, routes, counted, why, kind = {}, nil, nil, nil, nil
    local look = { unit = unit, used = 0 }
    if files[kinds.RULES] then
        rules, why, kind = rules_of(look)
    end
    if rules and files[kinds.ROUTES] then
        routes, why, kind = routes_of(look)
    end
    if not kind then
        local steps
        counted, why, steps = counting.of(files)
        kind, look.used = why and "contract", look.used + steps
    end
    if kind then
        return nil, kind == "contract" and name .. "/" .. why or why, kind, look.used
    end
    return { rules = rules, routes = routes and routes.tree, route_keys = routes and routes.keys or {},
        counting = counted }, nil, nil, look.used
end

return kinds
