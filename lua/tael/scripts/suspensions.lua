--- Scripts whose calls had to be ended again and again rest for a while (threats.md R42): the rules of a
--- generation, and its routes, each for themselves, so that who can make a route fail has not switched off
--- the rules.
local alarms = require "tael.kernel.alarms"
local time = require "tael.time"

local suspensions = {}

local KILLS_MAX, KILLS_MS, REST_MS = 5, 60000, 60000

--- Failures of a call that count: its budget was used up, or its process is gone.
suspensions.KILLS = { spent = true, memory = true, crashed = true }

---@class tael.scripts.Suspension
---@field rests fun(generation: tael.scripts.Generation): boolean? is it not to be asked now
---@field note fun(merchant: string, generation: tael.scripts.Generation) one more call had to be ended

---@param what string "rules", "routes"
---@return tael.scripts.Suspension
function suspensions.new(what)
    ---@type table<tael.scripts.Generation, { first: integer, count: integer, rests_until: integer? }>
    local kills = setmetatable({}, { __mode = "k" })

    local function rests(generation)
        local killed = kills[generation]
        return killed and killed.rests_until and time.monotonic() < killed.rests_until
    end

    --- One that ends while they rest had begun before, and neither ends nor prolongs that.
    local function note(merchant, generation)
        local killed, now = kills[generation], time.monotonic()
        if rests(generation) then
            return
        elseif not killed or killed.rests_until or now - killed.first > KILLS_MS then
            killed = { first = now, count = 0 }
            kills[generation] = killed
        end
        killed.count = killed.count + 1
        if killed.count == KILLS_MAX then
            killed.rests_until = now + REST_MS
            alarms.raise("scripts_suspended", { merchant = merchant, generation = generation.id,
                detail = ("%d calls in a minute had to be ended: its %s are not asked for %d s"):format(
                    KILLS_MAX, what, REST_MS // 1000) })
        end
    end

    return { rests = rests, note = note }
end

return suspensions
