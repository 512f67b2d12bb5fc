--- tael jobs: the operator's jobs in a running engine, and one run now.
local exits = require "tael.cli.exits"
local json = require "tael.json"
local listing = require "tael.cli.listing"
local screen = require "tael.cli.screen"
local task = require "tael.task"
local text = require("tael.cli.texts").of
local words = require "tael.cli.words"

local jobs = { name = "jobs" }

local PATH = "/v1/system/jobs"
local LOOK_MS = 250

local function get_all(call)
    local page, failure = call.client:request("GET", PATH, { any_merchant = true })
    return page and page.data, failure
end

local function merchants_of(job)
    if job.merchants == json.null then
        return "-"
    end
    return type(job.merchants) == "table" and table.concat(job.merchants, " ") or job.merchants
end

local STATES = { done = "ok", failed = "fail", running = "warn" }

local function row(job)
    local last = job.last ~= json.null and job.last or nil
    return { job.name, job.schedule, merchants_of(job), last and last.slot or "-",
        last and screen.state(STATES[last.state] or "warn", last.state) or "", job.next }
end

local function list(call)
    local found, failure = get_all(call)
    if not found then
        return nil, failure
    elseif #found == 0 and not call.json then
        return exits.fail(exits.no, text "jobs.none", text "jobs.none.next")
    end
    listing.print(call, found, "columns.jobs", row)
    return exits.done
end

--- How the slot ended; nil without failure: another one was begun meanwhile.
local function end_of(call, name, slot)
    while true do
        local found, failure = get_all(call)
        if not found then
            return nil, failure
        end
        local last
        for _, job in ipairs(found) do
            last = job.name == name and job.last or last
        end
        if not last or last == json.null or last.slot ~= slot then
            return nil
        elseif last.state ~= "running" then
            return last.state
        end
        task.wait("cli.jobs", LOOK_MS)
    end
end

local function run(call)
    local name = call.rest[1]
    local begun, failure = call.client:request("POST", call.client.path(PATH .. "/{}/run", name),
        { body = { again = call.flags.again or nil }, any_merchant = true })
    local state
    if begun then
        state, failure = end_of(call, name, begun.slot)
    elseif failure.exit == exits.no then
        failure.next = failure.next or "tael jobs list"
    end
    if failure then
        return nil, failure
    elseif call.json then
        begun.state = state or json.null
        screen.object(begun)
    else
        screen.line(text("jobs.ran", { name = name, slot = begun.slot,
            state = text("jobs.state." .. (state or "unknown")) }))
        if state == "failed" then
            screen.hint(text("jobs.failed.hint", { name = name }))
        end
    end
    return state == "failed" and exits.no or exits.done
end

jobs.commands = {
    { name = "list", usage = "", min = 0, max = 0, run = list, asks = true, options = words.with_asking {} },
    { name = "run", usage = "NAME", min = 1, max = 1, run = run, asks = true,
        options = words.with_asking { again = { doc = "jobs_again" } } },
}

return jobs
