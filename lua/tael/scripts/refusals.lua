--- Scripts that were refused and do not run, as any worker has met them: for /readyz and the log. What ran
--- before goes on.
local log = require "tael.log"
local shown = require "tael.shown"
local task = require "tael.task"
local workers = require "tael.kernel.workers"

local refusals = {}

local WHY_MAX = 4096 -- bytes

local known = {} ---@type table<string, string> why, by owner

---@type (fun(why: string): string)? as the author wants to see it, in development
refusals.report = nil

local heard -- owners of which was told since this worker began to ask what it had missed; nil: it does not

workers.answer("scripts.refused", function(note)
    known[note.owner] = note.error or nil
    if heard then
        heard[note.owner] = true
    end
end)

workers.answer("scripts.refusals", function()
    return next(known) and known or nil
end)

--- What was told before this worker could hear. Waits.
local function catch_up()
    heard = {}
    for _, others in ipairs(workers.ask "scripts.refusals") do
        for owner, why in pairs(others) do
            if not heard[owner] then
                known[owner] = why
            end
        end
    end
    heard = nil
end

--- At the start of a worker, which may be long after the others'.
function refusals.open()
    task.spawn(catch_up)
end

--- Waits, for the other workers.
---@param owner string "merchants/acme", "channels"
---@param why string with file and line where there is one
---@param runs string? what goes on
function refusals.note(owner, why, runs)
    why = shown(why, WHY_MAX)
    local told = known[owner] == why -- by another worker
    workers.ask("scripts.refused", { owner = owner, error = why })
    if not told then
        log.error("scripts.refused", { owner = owner, error = why, runs = runs or "nothing",
            report = refusals.report and refusals.report(why) })
    end
end

--- What was refused has been put right. Waits, if there was anything.
---@param owner string
function refusals.clear(owner)
    if known[owner] then
        workers.ask("scripts.refused", { owner = owner, error = false })
    end
end

--- In the order of their owners.
---@return { owner: string, error: string }[]
function refusals.list()
    local list = {}
    for owner, why in pairs(known) do
        list[#list + 1] = { owner = owner, error = why }
    end
    table.sort(list, function(a, b) return a.owner < b.owner end)
    return list
end

return refusals
