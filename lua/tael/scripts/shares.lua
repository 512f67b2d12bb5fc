--- What each merchant's scripts take of this worker's time, in steps (tael.isolate), as an account that
--- empties with time: who puts in more than its share for a while is over it until enough has run out. So a
--- merchant whose scripts burn all that a call may take slows nobody down for long. Rules, routes and checks
--- of what is pushed have an account each, so that who can make a route work has not switched off the rules.
local alarms = require "tael.kernel.alarms"
local budgets = require "tael.scripts.budgets"
local metrics = require "tael.kernel.metrics"
local time = require "tael.time"

local shares = {}

local STEPS_PER_MS = budgets.STEPS_PER_MS
local TOLD_MS = 60000

local KINDS = { -- window: ms of its share that may be taken at once: a route may take much more in one call
    rules = { window = 1000, meanwhile = "its rules have their defaults meanwhile" },
    routes = { window = 10000, meanwhile = "its routes answer 503 meanwhile" },
    checks = { window = 20000, meanwhile = "what it pushes and activates is answered 429 meanwhile" },
}

local percent = 100
---@type table<string, table<string, { level: number, at: integer, told: integer? }>> by kind and merchant
local accounts = {}

local function rate()
    return STEPS_PER_MS * percent / 100
end

local function run_out(account, now)
    local level = account.level - (now - account.at) * rate()
    account.level = level > 0 and level or 0
    account.at = now
end

--- At the start of a worker.
---@param of_a_worker integer percent; 100: no bound
function shares.open(of_a_worker)
    percent, accounts = of_a_worker, { rules = {}, routes = {}, checks = {} }
end

---@param kind "rules"|"routes"|"checks"
---@param merchant string slug
---@param steps integer that its scripts have used
function shares.charge(kind, merchant, steps)
    local account, now = accounts[kind][merchant], time.monotonic()
    if not account then
        account = { level = 0, at = now }
        accounts[kind][merchant] = account
    end
    run_out(account, now)
    account.level = account.level + steps
end

--- The same of a call that was cut off: nobody can say what it used, and it could not use more than this.
---@param kind "rules"|"routes"|"checks"
---@param merchant string slug
---@param begun integer ms, monotonic
---@param most integer steps that it might use
function shares.charge_cut(kind, merchant, begun, most)
    shares.charge(kind, merchant, math.min(most, (time.monotonic() - begun + 1) * STEPS_PER_MS))
end

local function tell(kind, merchant, account, now)
    if account.told and now - account.told < TOLD_MS then
        return
    end
    account.told = now
    alarms.raise("scripts_over_share", { merchant = merchant, detail =
        ("its %s take more than %d %% of a worker: %s"):format(kind, percent, KINDS[kind].meanwhile) })
end

--- Is the merchant over its share, so that its scripts are not to be asked now?
---@param kind "rules"|"routes"|"checks"
---@param merchant string slug
---@return boolean
---@return integer? ms until it is not any more
function shares.over(kind, merchant)
    local account = accounts[kind][merchant]
    if not account or percent >= 100 then
        return false
    end
    local now = time.monotonic()
    run_out(account, now)
    local beyond = account.level - rate() * KINDS[kind].window
    if beyond <= 0 then
        return false
    end
    metrics.count("tael_scripts_over_share_total", { kind = kind })
    tell(kind, merchant, account, now)
    return true, math.ceil(beyond / rate())
end

return shares
