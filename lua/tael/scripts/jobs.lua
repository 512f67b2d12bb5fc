--- When the operator's jobs run: each slot of a schedule once, whoever takes it first; what was missed while
--- no engine ran, once.
--- 1 A slot is taken in the store before anything is done. One that was cut off by a crash is taken again
--- when its time is over. 2 A job that fails is told to a person, and comes again with its next slot. 3 What
--- runs ends on the files that it began with. 4 A stop waits for what runs, until its deadline, and
--- nothing begins any more.
local alarms = require "tael.kernel.alarms"
local generations = require "tael.scripts.generations"
local job_files = require "tael.scripts.job_files"
local log = require "tael.log"
local metrics = require "tael.kernel.metrics"
local nearest = require "tael.nearest"
local shown = require "tael.shown"
local registry = require "tael.kernel.registry"
local running = require "tael.scripts.running"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local workers = require "tael.kernel.workers"

local jobs = {}

local KEY = "/jobs" -- of scripts/owners
local LOOK_MS = 1000
local STEPS = 100000000 -- some half a second
local SLACK_MS = 5000
local NEAR = 4 -- with fewer the last of hundreds came too late under load: their leases run
local ASTRAY_MS = 86400000 -- so far ahead no clock of ours is: a row that says so is of one that went wrong

local here = false -- jobs run on this worker
local active ---@type tael.scripts.JobGeneration?
local under_way = {} ---@type table<string, boolean> by name

local count = metrics.by_two("tael_jobs_total", "job", "result")

local function look()
    active = generations.of(KEY)
end

-- ---- one slot ----

---@return boolean done
---@return boolean? taken when not done: the store was there, and a guard said no
local function commit(statement, params)
    local done, err = store.commit { { statement, params } }
    local taken = not done and err.code == "guard"
    if not done and not taken then
        log.error("job.store", { statement = statement, code = err.code })
    end
    return done ~= nil, taken
end

local function fail(job, slug, kind, detail)
    alarms.raise("job_failed", { job = job.name, merchant = slug, failure = kind, detail = detail })
end

local line, numbers = {}, 0 -- who begins next, in the order in which they came

--- To be closed: whoever is cut off while he waits is in nobody's way.
local function place_in_line()
    numbers = numbers + 1
    local place = "jobs.turn." .. numbers
    line[#line + 1] = place
    return setmetatable({ key = place }, { __close = function()
        local at = 1
        while line[at] ~= place do
            at = at + 1
        end
        table.remove(line, at)
    end })
end

local function is_near(place)
    for i = 1, NEAR do
        if line[i] == place then
            return true
        end
    end
    return false
end

--- Many are due in one moment, and each takes what a script may take of a turn. Few of them wait to be the
--- last at the same time: a payment that is signed next stands behind those, not behind all.
local function wait_for_turn()
    do
        local place <close> = place_in_line()
        while not is_near(place.key) do
            task.wait(place.key, LOOK_MS)
        end
        task.last()
    end
    if line[NEAR] then
        task.wake(line[NEAR])
    end
end

--- For one merchant, or for nobody.
local function run_for(generation, job, slot, merchant)
    local slug = merchant and merchant.slug
    wait_for_turn()
    task.set_scope(merchant and merchant.id or 0)
    local run = running.new(merchant, generation, "job", { wall_ms = job.timeout, steps = STEPS })
    local ran, told = pcall(running.call, run, job_files.ENTRY, { "run", 1, 2 },
        { job.name, job_files.given(job, slot, slug) })
    task.set_scope(0)
    if not ran then
        fail(job, slug, "internal", tostring(told))
        return false
    end
    if told[1] == "failed" then
        fail(job, slug, told[2], told[3])
        return false
    end
    return true
end

--- Those for whom it runs, each once however often it stands there; a slug that nobody has is told.
local function merchants_of(job)
    if job.merchants == "all" then
        return registry.merchants()
    end
    local list, all, seen = {}, true, {}
    for _, slug in ipairs(job.merchants) do
        local merchant = registry.merchant(slug)
        if merchant then
            list[#list + 1] = not seen[merchant] and merchant or nil
            seen[merchant] = true
        else
            fail(job, slug, "no_such_merchant", "jobs/" .. job.name .. ".lua: there is no such merchant")
            all = false
        end
    end
    return list, all
end

--- Nobody takes it before the next one, for whom it runs, has had its time.
local function lease_of(job)
    return time.now() + job.timeout + SLACK_MS
end

--- Nobody else has it, and nobody takes it meanwhile.
local function claim(job, slot, again)
    return commit(again and "job.again" or "job.claim",
        { name = job.name, slot = slot, lease = lease_of(job), now = time.now() })
end

local function run_all(generation, job, slot)
    if not job.merchants then
        return run_for(generation, job, slot, nil)
    end
    local list, good = merchants_of(job)
    good = good ~= false
    for i, merchant in ipairs(list) do
        if i > 1 and not commit("job.renew", { name = job.name, slot = slot, lease = lease_of(job) }) then
            fail(job, merchant.slug, "taken", "the lease of this slot is lost: it does not go on here")
            return false
        end
        good = run_for(generation, job, slot, merchant) and good
    end
    return good
end

local function run_claimed(generation, job, slot)
    local begun = time.monotonic()
    log.info("job.begun", { job = job.name, slot = time.rfc3339(slot), generation = generation.id })
    local good = run_all(generation, job, slot)
    commit("job.end", { name = job.name, slot = slot, state = good and "done" or "failed" })
    count(job.name, good and "done" or "failed")
    log.info("job.ended", { job = job.name, slot = time.rfc3339(slot), result = good and "done" or "failed",
        ms = time.monotonic() - begun })
end

-- ---- when ----

--- The job's last slot. One that a clock far ahead has left would keep the job from its next ones until that
--- time: it ends now.
---@return table|false|nil last row; false: it was never seen; nil: the store cannot be read
local function last_of(job, now)
    local rows = store.query("job.get", { name = job.name })
    local last = rows and (rows[1] or false)
    if not last or last.slot <= now + ASTRAY_MS and last.lease <= lease_of(job) + ASTRAY_MS then
        return last
    end
    log.warn("job.clock_was_ahead", { job = job.name, slot = last.slot, lease = last.lease })
    local slot = math.min(last.slot, now)
    commit("job.astray", { name = job.name, slot = slot, slot_was = last.slot, lease_was = last.lease })
    return { state = last.state, slot = slot, lease = 0 }
end

--- The newest slot since one. When the next one comes is worked out once, and not with every look.
local function newest_since(job, from, now)
    if job.from ~= from then
        job.from, job.next = from, job.schedule:next(from)
    end
    return now >= job.next and job.schedule:last(from, now) or nil
end

--- The slot that is due: the newest since the last one, or the last one when it was cut off.
local function due_slot(job, now)
    local last = last_of(job, now)
    if last == nil then
        return nil
    elseif not last then
        commit("job.first", { name = job.name, slot = now })
        return nil
    elseif last.state == "running" then
        return last.lease < now and (newest_since(job, last.slot, now) or last.slot) or nil
    end
    return newest_since(job, last.slot, now)
end

--- Has fn do a job's work in a task of its own, for which a stop waits. Nil when a stop has begun.
local function work(job, fn)
    under_way[job.name] = true
    task.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() under_way[job.name] = nil end })
        local held <close> = task.hold()
        if not held then -- a stop has begun
            return
        end
        task.set_scope(0)
        local ran, raised = pcall(fn)
        if not ran then
            log.error("job.raised", { job = job.name, error = tostring(raised) })
        end
    end)
end

local function begin(generation, job, slot)
    work(job, function()
        if active == generation and claim(job, slot) then
            run_claimed(generation, job, slot)
        end
    end)
end

local function pass()
    look()
    local generation, now = active, time.now()
    for _, job in ipairs(generation and generation.jobs or {}) do
        local slot = not under_way[job.name] and due_slot(job, now)
        if active ~= generation then -- another one came while the store was read
            return
        elseif slot then
            begin(generation, job, slot)
        end
    end
end

-- ---- what an operator wants ----

local WISH_MS = 10000 -- how long somebody asks what came of a wish

--- What came of each wish: slot when it was begun, else code and detail; neither until that is known. As long
--- as somebody may ask, it is there: one that is forgotten would be fulfilled once more.
local wishes = {} ---@type table<integer, { at: integer, slot: integer?, code: string?, detail: string? }>
local wished = {} ---@type integer[] numbers of wishes, the oldest first

local BUSY = { code = "state_conflict",
    detail = "The job is running, or was cut off and its time is not over." }

local UNREAD = { code = "store_unavailable", detail = "The job's last slot cannot be read; ask again." }
local UNTAKEN = { code = "store_unavailable", detail = "The job's slot cannot be stored; ask again." }
local NO_SLOT = { code = "state_conflict", detail = "The job has had no slot yet that could run again." }

--- This moment, or, where the clock went back, the first one after its last slot.
---@return integer? slot
---@return { code: string, detail: string }? why there is none
local function slot_wanted(job, again)
    local now = time.now()
    local last = last_of(job, now)
    if last == nil then
        return nil, UNREAD
    elseif again then
        return last and last.slot or nil, NO_SLOT
    elseif not last then
        return commit("job.first", { name = job.name, slot = now - 1 }) and now or nil, UNTAKEN
    end
    return math.max(now, last.slot + 1)
end

local function fulfil(generation, job, wish, again)
    local slot, why = slot_wanted(job, again)
    local claimed, taken
    if slot then
        claimed, taken = claim(job, slot, again)
        why = taken and BUSY or UNTAKEN
    end
    if not claimed then
        wish.code, wish.detail = why.code, why.detail
    else
        wish.slot = slot
        run_claimed(generation, job, slot)
    end
end

local function find(name)
    local names = {}
    for _, job in ipairs(active and active.jobs or {}) do
        if job.name == name then
            return job
        end
        names[job.name] = true
    end
    local near = nearest(name, names)
    return nil, ("There is no job '%s'%s"):format(shown(name, 64),
        near and "; did you mean '" .. near .. "'?" or ".")
end

local function forget_old(now)
    while wished[1] and now - wishes[wished[1]].at > 2 * WISH_MS do
        wishes[table.remove(wished, 1)] = nil
    end
end

local function begin_wish(asked)
    local wish, job, unknown = { at = time.monotonic() }, find(asked.name)
    forget_old(wish.at)
    wishes[asked.number], wished[#wished + 1] = wish, asked.number
    if not job then
        wish.code, wish.detail = "not_found", unknown
    elseif under_way[job.name] then
        wish.code, wish.detail = BUSY.code, BUSY.detail
    else
        local generation = active
        work(job, function() fulfil(generation, job, wish, asked.again) end)
    end
    return wish
end

--- Only the worker that runs jobs answers.
workers.answer("jobs.run", function(asked)
    return here and (wishes[asked.number] or begin_wish(asked)) or nil
end)

workers.answer("jobs.list", function()
    local list = {}
    for i, job in ipairs(active and active.jobs or {}) do
        list[i] = { name = job.name, when = job.when, merchants = job.merchants,
            next = job.schedule:next(time.now()) }
    end
    return here and { jobs = list } or nil
end)

--- Those that there are. Waits.
---@return { name: string, when: string, merchants: "all"|string[]|nil, next: integer }[]
function jobs.list()
    local answer = workers.ask("jobs.list", nil, true)[1]
    return answer and answer.jobs or {}
end

--- Runs a job now, for this moment, or (again) its last slot once more; whoever else would take it at the
--- same time does not. Waits until it has begun.
---@param name string
---@param again boolean?
---@return integer? slot
---@return { code: string, detail: string? }? err not_found, state_conflict, draining, store_unavailable
function jobs.run(name, again)
    local asked, ends = { number = store.next_id(), name = name, again = again }, time.monotonic() + WISH_MS
    local pauses = 0
    repeat
        local wish = workers.ask("jobs.run", asked, true)[1]
        if wish and wish.slot then
            return wish.slot
        elseif wish and wish.code then
            return nil, { code = wish.code, detail = wish.detail }
        end
        pauses = workers.pause(pauses)
    until time.monotonic() >= ends
    return nil, { code = "overloaded" }
end

workers.answer("jobs.taken", function()
    if not here then
        return nil
    end
    local known = generations.settled(KEY)
    if not known then
        task.spawn(look)
    end
    return { known = known }
end)

--- Others were activated: waits until none begins any more of those before.
---@return boolean known false: the worker that runs jobs does not answer, or cannot read the store
function jobs.taken()
    local pauses, ends = 0, time.monotonic() + WISH_MS
    repeat
        local answer = workers.ask("jobs.taken", nil, true)[1]
        if answer and answer.known then
            return true
        end
        pauses = workers.pause(pauses)
    until time.monotonic() >= ends
    return false
end

--- Has the folder read again. Waits until none begins any more of what it held before.
function jobs.reload()
    generations.reread(KEY)
    jobs.taken()
end

--- Starts looking. Worker 1, scope 0.
function jobs.start()
    here = true
    task.keep("jobs", LOOK_MS, pass)
end

return jobs
