--- One call of a merchant's script that may have effects: run to its end, each effect performed for this
--- merchant alone where the script waits for it.
--- 1 What the script says is checked here, whoever runs it: names, places, arguments. 2 The seconds of the
--- wall are counted where it waits; an effect under way is never cut short, for it may be moving money.
local arguments = require "tael.scripts.arguments"
local budgets = require "tael.scripts.budgets"
local effects = require "tael.effects"
local log = require "tael.log"
local shares = require "tael.scripts.shares"
local time = require "tael.time"

local running = {}

local FOR_NOBODY = { world = true } -- modules whose effects need no merchant

local performers = {}
local free = {} ---@type table<string, true> effects that need no merchant
for _, name in ipairs { "crypto", "http", "money", "state", "world" } do
    for effect, perform in pairs(require("tael.scripts.effects." .. name)) do
        performers[effect] = perform
        free[effect] = FOR_NOBODY[name]
    end
end
running.performers = performers

---@class tael.scripts.Run
---@field merchant table? of the registry; nil: it is for nobody
---@field generation tael.scripts.Generation
---@field kind "route"|"job"
---@field actor string of what it does
---@field ends integer ms, monotonic
---@field wall_ms integer
---@field steps integer
---@field asked integer? ms, monotonic: when the script was given the turn; nil: it has none
---@field lines integer? of the log, so far
---@field dropped integer? lines that were too many

---@param merchant table?
---@param generation tael.scripts.Generation
---@param kind "route"|"job"
---@param budget { wall_ms: integer, steps: integer }? another than a request's
---@return tael.scripts.Run
function running.new(merchant, generation, kind, budget)
    local wall_ms = budget and budget.wall_ms or budgets.wall_ms
    return { merchant = merchant, generation = generation, kind = kind,
        actor = "script:" .. generation.id, ends = time.monotonic() + wall_ms, wall_ms = wall_ms,
        steps = budget and budget.steps or budgets.call_steps }
end

--- What the effect comes to: its results, packed; or nil and the author's mistake, nothing for one of ours.
---@param run tael.scripts.Run
---@param name string
---@param given table packed
---@return table? results
---@return string? wrong
function running.results_of(run, name, given)
    local effect = effects.by_name[name]
    if not effect.where[run.kind] then
        return nil, "not allowed in a " .. run.kind
    elseif not run.merchant and not free[name] then
        return nil, "the job has to say for which merchants it runs: merchants = \"all\" or a list of slugs"
    end
    local wrong = arguments.wrong(effect, given)
    if wrong then
        return nil, wrong
    end
    local ran, results = pcall(function()
        return table.pack(performers[name](run, table.unpack(given, 1, given.n)))
    end)
    if not ran then -- a mistake of ours: nothing of it is the script's business
        log.error("effect.failed", { effect = name, merchant = run.merchant and run.merchant.slug,
            error = tostring(results) })
        return nil, nil
    elseif results[1] == nil and type(results[2]) == "string" then
        return nil, results[2]
    end
    return results
end

local function is_late(run)
    return time.monotonic() >= run.ends
end

local function late(run)
    local seconds = ("%.3f"):format(run.wall_ms / 1000):gsub("%.?0+$", "")
    return { "failed", "timeout", ("took longer than its %s seconds"):format(seconds), n = 3 }
end

--- A turn of the script.
local function go(run, opened, ...)
    run.asked = time.monotonic()
    local told = table.pack(opened:go(...))
    run.asked = nil
    return told
end

--- One effect, and the turn after it.
local function turn(run, opened, told)
    if is_late(run) then
        return late(run)
    end
    local name = told[2]
    local results, wrong = running.results_of(run, name, table.pack(table.unpack(told, 3, told.n)))
    if is_late(run) then
        return late(run)
    elseif not results and not wrong then
        return { "failed", "internal", "tael." .. name .. " failed in the engine", n = 3 }
    elseif not results then
        return table.pack(opened:raise(("tael.%s: %s"):format(name, wrong)))
    end
    local next_told = go(run, opened, table.unpack(results, 1, results.n))
    if next_told[1] then
        return next_told
    end
    return go(run, opened, nil, { code = "result_too_large", message = "tael." .. name
        .. " was performed, and what it came to is more than a script is given: " .. next_told[2] })
end

local OPEN_MAX = 64 -- of one merchant, on a worker: what waits takes memory

local open = {} ---@type table<string, integer> by merchant

--- However the call ends: what it took is counted, and another may begin. A turn that is cut off, because
--- whoever asked has gone, counts as long as it lasted. A job is the operator's: no merchant's share bears
--- it.
local function close_of(run, opened)
    local slug = run.kind == "route" and run.merchant and run.merchant.slug
    if not slug then
        return nil
    end
    open[slug] = (open[slug] or 0) + 1
    return setmetatable({}, { __close = function()
        open[slug] = open[slug] > 1 and open[slug] - 1 or nil
        shares.charge("routes", slug, opened:used())
        if run.asked then
            shares.charge_cut("routes", slug, run.asked, run.steps)
        end
    end })
end

--- Runs it. In a task.
---@param run tael.scripts.Run
---@param entry string path of a file
---@param call (string|integer)[] name and numbers of inputs
---@param inputs any[]
---@return table told {"done", results…} or {"failed", kind, text}; kind may be "timeout", "busy"
function running.call(run, entry, call, inputs)
    if run.kind == "route" and run.merchant and (open[run.merchant.slug] or 0) >= OPEN_MAX then
        return { "failed", "busy", "64 of its calls are under way", n = 3 }
    end
    local opened <close> = run.generation.unit:open(entry, call, inputs, run.steps, budgets.effects)
    local _ <close> = close_of(run, opened)
    local told = go(run, opened)
    while told[1] == "effect" do
        told = turn(run, opened, told)
    end
    if run.dropped then
        log.warn("script.lines_dropped", { merchant = run.merchant and run.merchant.slug,
            generation = run.generation.id, lines = run.dropped })
    end
    return told
end

return running
