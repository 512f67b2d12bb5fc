--- Runs in the isolate of the operator's jobs, beside them: says what a job's file gives, and runs one.
local job = {}

local FIELDS = { schedule = true, zone = true, timeout = true, merchants = true }

--- What stands there; the host judges.
---@param name string of the file, without .lua
---@return table? told {run = its type, schedule?, …}
---@return string? what is wrong
function job.describe(name)
    local given = require(name)
    if type(given) ~= "table" then
        return nil, "must return {schedule = \"15 3 * * *\", run = function(job) … end}"
    end
    local told = { run = type(given.run) }
    for field, value in pairs(given) do
        if field ~= "run" then
            told.unknown = not FIELDS[field] and tostring(field) or told.unknown
            told[field] = FIELDS[field] and value or told[field]
        end
    end
    return told
end

---@param name string
---@param about { name: string, slot: integer, merchant: string? }
function job.run(name, about)
    require(name).run(about)
end

return job
