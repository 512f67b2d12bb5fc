--- The operator's jobs: scripts/jobs/NAME.lua, all of them one generation, with what they require. What a
--- job's file may say is judged here.
local cron = require "tael.scripts.cron"
local durations = require "tael.config.durations"
local effects = require "tael.effects"
local files_of = require "tael.scripts.files"
local globals = require "tael.scripts.globals"
local isolate = require "tael.isolate"
local nearest = require "tael.nearest"
local own = require "tael.scripts.own"
local specs = require "tael.scripts.specs"

local job_files = {}

local ENTRY = "tael/job.lua"
local LOAD_STEPS = 2000000
local TIMEOUT_MS, TIMEOUT_MAX_MS = 60000, 3600000
local MERCHANTS_MAX = 1000
local FIELDS = { schedule = true, zone = true, timeout = true, merchants = true, run = true }

job_files.ENTRY, job_files.FIELDS = ENTRY, FIELDS

---@class tael.scripts.Job
---@field name string
---@field schedule tael.scripts.Schedule
---@field when string the schedule as it is written, with its zone
---@field timeout integer ms
---@field merchants "all"|string[]|nil for whom it runs, once for each; nil: once, for nobody
---@field from integer? slot since which a next one was looked for
---@field next integer? that next one

---@class tael.scripts.JobGeneration: tael.scripts.Generation
---@field jobs tael.scripts.Job[] by name

local function timeout_of(value)
    if value == nil then
        return TIMEOUT_MS
    end
    local ms = type(value) == "string" and durations.parse(value)
    return ms and ms >= 1000 and ms <= TIMEOUT_MAX_MS and ms or nil
end

local function is_merchants(value)
    if value == nil or value == "all" then
        return true
    elseif type(value) ~= "table" or #value == 0 or #value > MERCHANTS_MAX then
        return false
    end
    for _, slug in ipairs(value) do
        if type(slug) ~= "string" then
            return false
        end
    end
    return true
end

---@param name string
---@param told table
---@return tael.scripts.Job?
---@return string? wrong
local function judge(name, told)
    if told.unknown then
        local near = nearest(told.unknown, FIELDS)
        return nil, ("there is no field '%s'%s"):format(told.unknown,
            near and ": did you mean '" .. near .. "'?" or "")
    elseif told.run ~= "function" then
        return nil, "run must be a function"
    end
    local schedule, wrong = cron.read(told.schedule, told.zone)
    local timeout = timeout_of(told.timeout)
    if not schedule then
        return nil, wrong
    elseif not timeout then
        return nil, "timeout is a text such as \"10m\": 1 second to 1 hour"
    elseif not is_merchants(told.merchants) then
        return nil, "merchants is \"all\" or a list of 1 to 1000 slugs"
    end
    return { name = name, schedule = schedule, timeout = timeout, merchants = told.merchants,
        when = told.schedule .. (told.zone and " " .. told.zone or "") }
end

--- What is wrong with it, with the place of its file.
local function describe(unit, name)
    local answers, used = unit:ask(ENTRY, { { "describe", 1 } }, { name }, LOAD_STEPS)
    local answer = answers[1]
    if not answer[1] then
        return nil, answer[3], answer[2], used
    end
    local job, wrong
    if type(answer[2]) == "table" then
        job, wrong = judge(name, answer[2])
    else
        wrong = tostring(answer[3])
    end
    return job, wrong and ("jobs/%s.lua: %s"):format(name, wrong), wrong and "contract", used
end

--- What a job is given: tael.JobRun of lua/tael/meta/jobs.lua.
---@param job tael.scripts.Job
---@param slot integer
---@param slug string?
---@return tael.JobRun
function job_files.given(job, slot, slug)
    return { name = job.name, slot = slot, merchant = slug }
end

--- Loads them, and judges what each says of itself.
---@param files table<string, string> of the folder scripts/jobs
---@return tael.scripts.JobGeneration?
---@return string? why not, with file and line where there is one
---@return string? kind of failure, of those that asking knows; "contract", "shape"
---@return integer used steps
function job_files.load(files)
    local wrong, path = files_of.wrong(files)
    if wrong then
        return nil, ("jobs%s: %s"):format(path and "/" .. path or "", wrong), "shape", 0
    end
    local id, jobs, all = files_of.digest(files):sub(1, 16), {}, 0
    local unit = isolate.generation { name = "jobs", key = "jobs@" .. id, files = own.beside(files),
        effects = effects.names }
    for _, file in ipairs(files_of.paths(files)) do
        local name = file:match("^([%l%d_]+)%.lua$")
        if name then
            local job, why, kind, used = describe(unit, name)
            all = all + used
            if not job then
                return nil, why, kind, all
            end
            jobs[#jobs + 1] = job
        end
    end
    return { id = id, unit = unit, jobs = jobs }, nil, nil, all
end

--- The same, no name in them is nobody's, and their own specs pass: before they run for the first time.
---@param files table<string, string> of the folder scripts/jobs
---@return tael.scripts.JobGeneration?
---@return string? why not, with file and line where there is one
---@return tael.scripts.Specs? specs nil: they were not run
---@return string? kind of failure
---@return integer used steps
function job_files.check(files)
    local generation, why, kind, used = job_files.load(files)
    if not generation then
        return nil, why, nil, kind, used
    end
    local wrong, more = globals.wrong("jobs", files)
    used = used + more
    if wrong then
        return nil, wrong, nil, "contract", used
    end
    local result = specs.run("jobs", files, "state")
    why = specs.why(result)
    return not why and generation or nil, why, result, nil, used + result.used
end

return job_files
