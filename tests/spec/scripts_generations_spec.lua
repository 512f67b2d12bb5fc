-- Which generation runs on a worker: what fails in passing is tried again, what was told during a look is
-- looked at afterwards. The world around is stood in for; loading is what the cases say.
local real = {}

local world -- {now, load = fun(files), active, waits, folder: files, others: answers by topic}
local answers = {} -- of this worker, by topic

local function stand_in(name, module)
    real[name] = package.loaded[name] or false
    package.loaded[name] = module
end

local function quiet()
end

local generations

setup(function()
    stand_in("tael.folder", { changed = function() return world.changed or false end, read = function()
        if not world.folder then
            return nil, { code = "not_found" }
        end
        return { files = world.folder, stamps = "" }
    end })
    stand_in("tael.isolate", { ceiling = quiet })
    stand_in("tael.kernel.ids", { encode = function(_, number) return number and "scr_" .. number end })
    stand_in("tael.kernel.registry", { merchant = function() return { id = 7, slug = "acme" } end,
        merchants = function() return {} end })
    stand_in("tael.kernel.workers", { answer = function(topic, fn) answers[topic] = fn end,
        ask = function(topic, body)
            local all = { answers[topic](body) }
            all[#all + 1] = world.others[topic]
            return all
        end })
    stand_in("tael.log", { info = quiet, error = quiet, debug = quiet, warn = quiet })
    stand_in("tael.task", { worker = function() return 1, 1 end,
        wait = function() world.wait() end, wake = quiet, keep = quiet })
    stand_in("tael.time", { monotonic = function() return world.now end })
    stand_in("tael.scripts.refusals", nil)
    stand_in("tael.scripts.owners", nil)
    stand_in("tael.scripts.job_files", {
        load = function(files) return world.load(files) end,
        check = function(files) return world.load(files) end,
    })
    stand_in("tael.scripts.versions", {
        keep = function() end, kept = function() return nil end,
        running = function(owner)
            world.asked = owner
            local found = world.active
            if world.waits then
                world.waits()
            end
            return found
        end,
    })
    stand_in("tael.scripts.loading", { open = quiet, id = function(files) return files.name or "none" end,
        PASSING = { crashed = true, memory = true },
        load = function(_, files) return world.load(files) end,
        check = function(_, files) return world.load(files) end })
    stand_in("tael.scripts.generations", nil)
    generations = require "tael.scripts.generations"
end)

teardown(function()
    for name, module in pairs(real) do
        package.loaded[name] = module or nil
    end
end)

before_each(function()
    world = { now = 1000, others = {}, wait = quiet }
    world.load = function(files) return { id = files.name, unit = {}, rules = {} } end
    generations.open { folder = "/nowhere", own = "/nowhere", channels = "/nowhere", lua_root = "lua",
        watch = false, memory = 1, isolation = "state", processes = 1 }
end)

describe("the generation that runs", function()
    it("is tried again when it failed in passing", function()
        local tries = 0
        world.active = { id = 1, files = { name = "one" } }
        world.load = function(files)
            tries = tries + 1
            if tries == 1 then
                return nil, "its process has died", "crashed"
            end
            return { id = files.name, unit = {}, rules = {} }
        end
        local generation, broken = generations.of "acme"
        assert.is_nil(generation)
        assert.is_true(broken)
        world.now = world.now + 999
        generations.of "acme"
        assert.equal(1, tries)
        world.now = world.now + 1
        generation, broken = generations.of "acme"
        assert.equal("one", generation.id)
        assert.is_false(broken)
    end)

    it("is not tried again when it is wrong", function()
        local tries = 0
        world.active = { id = 1, files = { name = "one" } }
        world.load = function()
            tries = tries + 1
            return nil, "rules.lua:1: wrong", "raised"
        end
        for _ = 1, 5 do
            world.now = world.now + 5000
            generations.of "acme"
        end
        assert.equal(1, tries)
    end)

    it("is what was activated last, though the look before had not ended", function()
        world.active = { id = 1, files = { name = "one" } }
        world.waits = function()
            world.waits, world.active = nil, { id = 2, files = { name = "two" } }
            generations.activated "acme"
        end
        generations.of "acme"
        assert.equal("two", (generations.of "acme").id)
        world.active = nil
        generations.activated "acme"
        assert.is_nil((generations.of "acme"))
    end)

    it("is what was found at the start, whatever is saved until it is asked for", function()
        world.folder = { name = "found" }
        generations.find "acme"
        world.folder = { name = "saved later" }
        assert.equal("found", (generations.of "acme").id)
        assert.same({ name = "found" }, answers["scripts.read"]("acme").files)
    end)

    it("is what was found at the start, though a look at that came to no end", function()
        world.folder = { name = "found" }
        generations.find "acme"
        world.folder = { name = "saved later" }
        world.load = coroutine.yield
        local asker = coroutine.create(function() generations.of "acme" end)
        assert(coroutine.resume(asker))
        coroutine.close(asker) -- who asked has gone away
        world.load = function() return nil, "no memory", nil, "memory" end
        assert.is_nil((generations.of "acme"))
        world.now = world.now + 1000
        world.load = function(files) return { id = files.name, unit = {}, rules = {} } end
        assert.equal("found", (generations.of "acme").id)
    end)

    it("is not what was found at the start when another worker has read it during a look", function()
        world.folder = { name = "found" }
        generations.find "acme"
        world.load = coroutine.yield
        local asker = coroutine.create(function() generations.of "acme" end)
        assert(coroutine.resume(asker))
        world.others["scripts.read"] = { at = 2000, files = { name = "reloaded" } }
        answers["scripts.activated"] { key = "acme" }
        coroutine.close(asker)
        world.load = function(files) return { id = files.name, unit = {}, rules = {} } end
        assert.equal("reloaded", (generations.of "acme").id)
    end)

    it("is the same for a worker that asks the first one before that has looked at all", function()
        world.folder = { name = "found" }
        assert.same({ at = 1000, files = { name = "found" }, untried = true }, answers["scripts.read"] "acme")
        world.folder = { name = "saved later" }
        assert.equal("found", (generations.of "acme").id)
    end)

    it("is what another worker has read later than this one has found", function()
        world.folder = { name = "found" }
        generations.find "acme"
        world.folder = { name = "saved later" }
        world.others["scripts.read"] = { at = 2000, files = { name = "reloaded" } }
        answers["scripts.activated"] { key = "acme" }
        assert.equal("reloaded", (generations.of "acme").id)
        world.others["scripts.read"] = { at = 3000 }
        answers["scripts.activated"] { key = "acme" }
        assert.is_nil((generations.of "acme"))
    end)

    it("is not what was saved after another worker has read, before the next reload", function()
        world.folder = { name = "found" }
        generations.find "acme"
        world.others["scripts.read"] = { at = 2000, files = { name = "reloaded" } }
        answers["scripts.activated"] { key = "acme" }
        world.now, world.folder = 3000, { name = "saved later" }
        assert.is_nil(answers["scripts.read"] "acme")
        generations.find "acme"
        assert.equal("reloaded", (generations.of "acme").id)
    end)

    it("is found by a reload to have changed since another worker has read it", function()
        world.others["scripts.read"] = { at = 2000, files = { name = "reloaded" } }
        answers["scripts.activated"] { key = "acme" }
        world.now, world.folder = 3000, { name = "saved later" }
        local changed, generation = generations.read_again "acme"
        assert.same({ true, "saved later" }, { changed, generation.id })
        assert.is_false((generations.read_again "acme"))
    end)

    it("is what was checked when the jobs' folder is activated, whatever is saved meanwhile", function()
        world.active = { id = 1, files = { name = "version" } }
        assert.equal("version", (generations.of "/jobs").id)
        world.active, world.folder = nil, { name = "saved later" }
        generations.activated("/jobs", { name = "checked" })
        assert.equal("checked", (generations.of "/jobs").id)
        generations.activated("/jobs", false)
        assert.is_nil((generations.of "/jobs"))
        generations.reread "/jobs"
        assert.equal("saved later", (generations.of "/jobs").id)
    end)

    it("is not the folder as it is, because one that was to run was overtaken by a version", function()
        world.active, world.folder = { id = 1, files = { name = "version" } }, { name = "saved later" }
        generations.activated("acme", { name = "overtaken" })
        assert.equal("version", (generations.of "acme").id)
        world.active, world.others["scripts.read"] = nil, { at = 2000, files = { name = "checked" } }
        answers["scripts.activated"] { key = "acme" }
        assert.equal("checked", (generations.of "acme").id)
    end)

    it("is in development what somebody is just looking at, if that does not take too long", function()
        generations.open { folder = "/nowhere", own = "/nowhere", channels = "/nowhere", lua_root = "lua",
            watch = true, memory = 1, isolation = "state", processes = 1 }
        world.folder = { name = "one" }
        assert.equal("one", (generations.of "acme").id)
        local asker = coroutine.create(function() return (generations.of "acme").id end)
        local impatient = coroutine.create(function() return (generations.of "acme").id end)
        world.now, world.changed, world.folder, world.wait = 2000, true, { name = "two" }, coroutine.yield
        local early
        world.load = function(files)
            assert(coroutine.resume(asker))
            for _ = 1, 11 do
                early = select(2, assert(coroutine.resume(impatient)))
            end
            return { id = files.name, unit = {}, rules = {} }
        end
        assert.equal("two", (generations.of "acme").id)
        assert.equal("one", early)
        assert.same({ true, "two" }, { coroutine.resume(asker) })
    end)

    it("is the operator's too, whatever merchants are called", function()
        world.active = { id = 1, files = { name = "one" } }
        generations.of "jobs"
        assert.same({ 7, "", "merchants/jobs" }, { world.asked.number, world.asked.part, world.asked.name })
        assert.equal("one", generations.of("/jobs").id)
        assert.same({ 0, "jobs", "jobs" }, { world.asked.number, world.asked.part, world.asked.name })
        assert.has_error(function() generations.of "/nothing" end)
        assert.is_true(generations.settled "/jobs")
        generations.activated "/jobs"
        assert.is_false(generations.settled "/jobs")
    end)
end)
