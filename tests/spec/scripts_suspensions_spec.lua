-- When scripts whose calls have to be ended rest, and for how long.
local real = {}
local world

local suspensions

setup(function()
    for name, module in pairs {
        ["tael.kernel.alarms"] = { raise = function(kind) world.alarms[#world.alarms + 1] = kind end },
        ["tael.time"] = { monotonic = function() return world.now end },
    } do
        real[name] = package.loaded[name] or false
        package.loaded[name] = module
    end
    package.loaded["tael.scripts.suspensions"] = nil
    suspensions = require "tael.scripts.suspensions"
end)

teardown(function()
    for name, module in pairs(real) do
        package.loaded[name] = module or nil
    end
    package.loaded["tael.scripts.suspensions"] = nil
end)

local suspension
local generation = { id = "one" }

local function end_at(...)
    for _, moment in ipairs { ... } do
        world.now = moment
        suspension.note("acme", generation)
    end
end

local function rests_at(moment)
    world.now = moment
    return suspension.rests(generation) or false
end

before_each(function()
    world = { now = 0, alarms = {} }
    suspension = suspensions.new "routes"
end)

describe("scripts whose calls have to be ended", function()
    it("rest for a minute after five within one", function()
        end_at(0, 1, 2, 60000)
        assert.is_false(rests_at(60000))
        end_at(60000)
        assert.is_true(rests_at(119999))
        assert.is_false(rests_at(120000))
        assert.same({ "scripts_suspended" }, world.alarms)
    end)

    it("do not when it takes longer", function()
        end_at(0, 1, 2, 3, 60001, 60002, 60003, 60004)
        assert.is_false(rests_at(60004))
    end)

    it("rest as long when a call that had begun before has to be ended meanwhile", function()
        end_at(0, 1, 2, 3, 59000, 60001, 60002)
        assert.is_true(rests_at(118999))
        assert.is_false(rests_at(119000))
    end)

    it("rest again when that has not helped", function()
        end_at(0, 0, 0, 0, 0)
        assert.is_false(rests_at(60000))
        end_at(60000, 60000, 60000, 60000)
        assert.is_false(rests_at(60000))
        end_at(60000)
        assert.is_true(rests_at(60000))
        assert.equal(2, #world.alarms)
    end)
end)
