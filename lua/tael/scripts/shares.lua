--- What each merchant's scripts take of this worker's time, in steps (tael.isolate), as an account that
--- empties with time: who puts in more than its share for a while is over it until enough has run out. So a
--- merchant whose scripts burn all that a call may take slows nobody down for long.
local alarms = require "tael.kernel.alarms"
local metrics = require "tael.kernel.metrics"
local time = require "tael.time"

local shares = {}

local STEPS_PER_MS = 150000
local WINDOW_MS = 1000 -- so much of its share may be taken at once
local TOLD_MS = 60000

local percent = 100
local accounts = {} ---@type table<string, { level: number, at: integer, told: integer? }> by merchant

local function rate()
    return STEPS_PER_MS * percent / 100
end

local function run_out(account, now)
    account.level = math.max(0, account.level - (now - account.at) * rate())
    account.at = now
end

--- At the start of a worker.
---@param of_a_worker integer percent; 100: no bound
function shares.open(of_a_worker)
    percent, accounts = of_a_worker, {}
end

---@param merchant string slug
---@param steps integer that its scripts have used
function shares.charge(merchant, steps)
    local account, now = accounts[merchant], time.monotonic()
    if not account then
        account = { level = 0, at = now }
        accounts[merchant] = account
    end
    run_out(account, now)
    account.level = account.level + steps
end

local function tell(merchant, account, now)
    if account.told and now - account.told < TOLD_MS then
        return
    end
    account.told = now
    local text = "its scripts take more than %d %% of a worker: its rules have their defaults meanwhile"
    alarms.raise("scripts_over_share", { merchant = merchant, detail = text:format(percent) })
end

--- Is the merchant over its share, so that its scripts are not to be asked now?
---@param merchant string slug
---@param kind string "rules", "routes"
---@return boolean
function shares.over(merchant, kind)
    local account = accounts[merchant]
    if not account or percent >= 100 then
        return false
    end
    local now = time.monotonic()
    run_out(account, now)
    if account.level <= rate() * WINDOW_MS then
        return false
    end
    metrics.count("tael_scripts_over_share_total", { kind = kind })
    tell(merchant, account, now)
    return true
end

return shares
