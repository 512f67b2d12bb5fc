-- What every worker holds is replaced on all of them or on none, and never by what was activated before it.
local real = {}

local world -- {now, next, used, others = fun(topic, body): any, versions}

local function stand_in(name, module)
    real[name] = package.loaded[name] or false
    package.loaded[name] = module
end

local function quiet()
end

local answers = {}
local renewal

setup(function()
    stand_in("tael.log", { info = quiet, error = quiet, warn = quiet })
    stand_in("tael.store", { next_id = function()
        world.next = world.next + 1
        return world.next
    end })
    stand_in("tael.task", {
        worker = function() return 1, 2 end, spawn = function(fn) fn() end,
    })
    stand_in("tael.time", { monotonic = function() return world.now end })
    stand_in("tael.kernel.workers", {
        answer = function(topic, fn) answers[topic] = fn end,
        ask = function(topic, body)
            return { answers[topic](body), world.others(topic, body) }
        end,
        pause = function(pauses)
            world.now = world.now + 5
            return pauses + 1
        end,
    })
    stand_in("tael.scripts.owners", { operator = function(part) return { number = 0, part = part } end })
    stand_in("tael.scripts.refusals", { note = function(owner, why) world.noted = owner .. ": " .. why end,
        clear = function() world.noted = nil end })
    stand_in("tael.scripts.versions", {
        get = function(_, id) return world.versions[id] and { id = id, files = world.versions[id] } end,
        running = function() return world.running, nil, world.activation end,
    })
    stand_in("tael.scripts.renewal", nil)
    renewal = require "tael.scripts.renewal"
end)

teardown(function()
    for name, module in pairs(real) do
        package.loaded[name] = module or nil
    end
end)

local function prepare(files)
    local name = files and files.name or "folder"
    if name == "wrong" then
        return nil, { message = "channels/a/init.lua:1: wrong" }
    end
    return { changed = name ~= world.used and { name } or {}, digests = { a = name }, name = name }
end

before_each(function()
    world = { now = 0, next = 100, used = "folder", activation = 0, versions = { { name = "one" },
        { name = "two" }, { name = "wrong" } } }
    world.others = function(topic) -- the other worker does as it is told
        return { done = true, digests = topic == "renewal.prepare" and {} or nil }
    end
    renewal.serve("channels", { prepare = prepare, take = function(ready) world.used = ready.name end }, 0)
end)

local function commits(number)
    return function() return number end
end

describe("what every worker holds", function()
    it("is replaced once all have readied it and the store says so", function()
        local done = renewal.run("channels", 1, 0, function()
            assert.equal("folder", world.used)
            return 7
        end)
        assert.same({ "one" }, done.changed)
        assert.equal(2, done.workers)
        assert.equal("one", world.used)
    end)

    it("stays where one worker cannot ready it, and the store never says it", function()
        world.others = function() return { done = true, error = "channels/a/init.lua:1: not here" } end
        local done, err = renewal.run("channels", 1, 0, function() error "said" end)
        assert.is_nil(done)
        assert.same({ "script_refused", "channels/a/init.lua:1: not here" }, { err.code, err.message })
        assert.equal("folder", world.used)
    end)

    it("stays where workers have read different texts", function()
        world.others = function() return { done = true, digests = { a = "another" } } end
        local _, err = renewal.run("channels", nil, 0)
        assert.equal("channels/a was written meanwhile: once more", err.message)
    end)

    it("stays where a worker says nothing", function()
        world.others = function() return nil end
        local _, err = renewal.run("channels", 1, 0, function() error "said" end)
        assert.equal("overloaded", err.code)
        assert.equal("folder", world.used)
    end)

    it("stays where the store refuses", function()
        local _, err = renewal.run("channels", 1, 0, function()
            return nil, { code = "generation_conflict" }
        end)
        assert.equal("generation_conflict", err.code)
        assert.equal("folder", world.used)
    end)

    it("is what was activated last, whoever is late", function()
        local late = { part = "channels", number = 50, activation = 0 } -- a reload that began before
        answers["renewal.prepare"](late)
        renewal.run("channels", 1, 0, commits(7))
        assert.is_true(answers["renewal.take"](late).done)
        assert.equal("one", world.used)
        local before = { part = "channels", number = 900, version = 2, activation = 6 }
        answers["renewal.prepare"](before)
        assert.is_true(answers["renewal.take"](before).done)
        assert.equal("one", world.used)
        renewal.run("channels", 2, 7, commits(8))
        assert.equal("two", world.used)
    end)

    it("is taken though nothing differs, when another activation says it", function()
        world.versions[1].name = "folder"
        local done = renewal.run("channels", 1, 0, commits(7))
        assert.same({}, done.changed)
        local late = { part = "channels", number = 999, activation = 0 }
        answers["renewal.prepare"](late)
        world.used = "untouched"
        answers["renewal.take"](late)
        assert.equal("untouched", world.used)
    end)

    it("is on a reload what the store says that runs, and else what the folder holds", function()
        world.running, world.activation = { id = 2 }, 7
        assert.same({ "two" }, renewal.again "channels")
        world.running, world.activation = nil, 8
        assert.same({ "folder" }, renewal.again "channels")
        world.running, world.activation = { id = 3 }, 9
        local changed, err = renewal.again "channels"
        assert.is_nil(changed)
        assert.equal("channels: channels/a/init.lua:1: wrong", world.noted)
        assert.equal("script_refused", err.code)
        assert.equal("folder", world.used)
    end)

    it("is no worker's that is only just starting", function()
        assert.is_nil(answers["renewal.prepare"] { part = "routes", number = 5 })
    end)
end)
