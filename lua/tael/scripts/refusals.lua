--- Scripts that were refused and do not run, as any worker has met them: for /readyz and the log. What ran
--- before goes on.
local log = require "tael.log"
local workers = require "tael.kernel.workers"

local refusals = {}

local known = {} ---@type table<string, string> why, by owner

workers.answer("scripts.refused", function(note)
    known[note.owner] = note.error or nil
end)

--- Waits, for the other workers.
---@param owner string "merchants/acme", "channels"
---@param why string with file and line where there is one
---@param runs string? what goes on
function refusals.note(owner, why, runs)
    if not utf8.len(why) then
        why = why:gsub("[\128-\255]", "?")
    end
    workers.ask("scripts.refused", { owner = owner, error = why })
    log.error("scripts.refused", { owner = owner, error = why, runs = runs or "nothing" })
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
