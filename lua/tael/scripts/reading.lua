--- When the folders of merchants' scripts are read: all of them at the start, those that have changed on a
--- reload, and in development again and again, so that an author hears at once. What is read is compiled when
--- it is first asked for; that of the first hundred merchants at once.
local generations = require "tael.scripts.generations"
local log = require "tael.log"
local registry = require "tael.kernel.registry"
local task = require "tael.task"
local time = require "tael.time"

local reading = {}

local WATCH_MS, TRIED_MAX = 250, 100
local AT_ONCE = 128 -- without a pause

local function try_first()
    for i, merchant in ipairs(registry.merchants()) do
        if i > TRIED_MAX then
            break
        end
        generations.of(merchant.slug)
    end
end

--- What runs is what was there at the start, whenever it is first asked for.
local function read_all()
    local begun, merchants = time.monotonic(), registry.merchants()
    for i, merchant in ipairs(merchants) do
        generations.find(merchant.slug)
        if i % AT_ONCE == 0 then
            task.wait("scripts.read_all", 1)
        end
    end
    try_first()
    log.info("scripts.read", { merchants = #merchants, ms = time.monotonic() - begun })
end

--- Begins. Worker 1, at its start.
---@param development boolean
function reading.start(development)
    if development then
        task.keep("scripts.watch", WATCH_MS, try_first)
    else
        task.spawn(read_all)
    end
end

---@class tael.scripts.Reloaded
---@field owner string "merchants/acme"
---@field generation string? nil: it has no scripts any more

--- Reads what has changed, and has it run on every worker. What is wrong is among the refusals. In a task;
--- waits.
---@return tael.scripts.Reloaded[] what runs from now on and did not before
function reading.again()
    local list, merchants = {}, registry.merchants()
    for first = 1, #merchants, AT_ONCE do
        local slugs = {}
        for i = first, math.min(first + AT_ONCE - 1, #merchants) do
            slugs[#slugs + 1] = merchants[i].slug
        end
        for _, slug in ipairs(generations.doubtful(slugs)) do
            local changed, generation, owner = generations.read_again(slug)
            if changed then
                list[#list + 1] = { owner = owner, generation = generation and generation.id }
            end
        end
        task.last()
    end
    return list
end

return reading
