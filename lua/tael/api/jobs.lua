--- /v1/system/jobs, for the operator alone: the jobs that there are, and one run now.
local jobs = require "tael.scripts.jobs"
local json = require "tael.json"
local problem = require "tael.api.problem"
local store = require "tael.store"
local time = require "tael.time"

local M = {}

local ROWS_MAX = 1000

M.run_schema = {
    fields = { again = { type = "boolean", doc = "the last slot once more, instead of this moment" } },
}

--- What is known of each job's last slot, by name.
local function last_ones()
    local rows = store.query("job.all", { n = ROWS_MAX })
    local by_name = {}
    for _, row in ipairs(rows or {}) do
        by_name[row.name] = row
    end
    return rows and by_name
end

local function view_of(job, last)
    local ran = last and last.lease ~= 0 -- else it was only seen
    return {
        object = "job", name = job.name, schedule = job.when,
        merchants = type(job.merchants) == "table" and json.array(job.merchants) or job.merchants
            or json.null,
        last = ran and { slot = time.rfc3339(last.slot), state = last.state } or json.null,
        next = time.rfc3339(job.next),
    }
end

function M.list()
    local last = last_ones()
    if not last then
        return nil, problem.new "store_unavailable"
    end
    local views = json.array {}
    for i, job in ipairs(jobs.list()) do
        views[i] = view_of(job, last[job.name])
    end
    return 200, { object = "jobs", data = views }
end

---@param call tael.api.Call
function M.run(call)
    local slot, err = jobs.run(call.params.name, call.body.again)
    if not slot then
        return nil, err
    end
    return 202, { object = "job_run", name = call.params.name, slot = time.rfc3339(slot) }
end

return M
