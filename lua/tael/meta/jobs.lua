---@meta

--- The operator's jobs: scripts/jobs/NAME.lua gives back one of these. It runs in an isolate, with the
--- effects of tael.* for the merchant that it runs for; one that runs for nobody has those that need none
--- (tael.now, tael.date, tael.random, tael.id, tael.log, tael.metric).
---@class tael.Job
---@field schedule string "15 3 * * *": minute, hour, day of the month, month, day of the week, as in crontab
---@field zone string? "+08:00", the clock of the schedule; "UTC" without it
---@field timeout string? "10m", for each merchant, 1 second to 1 hour; 1 minute without it
---@field merchants "all"|string[]|nil slugs for which it runs, once for each; without it once, for nobody
---@field run fun(job: tael.JobRun)

--- What a job is given.
---@class tael.JobRun
---@field name string of its file
---@field slot integer ms since 1970 UTC: the moment of the schedule; the same when it has to run once more
---@field merchant string? slug; nil: for nobody
