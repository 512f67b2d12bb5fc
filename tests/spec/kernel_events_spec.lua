-- A merchant's events in the order of commits, from a store that fails in between: nothing is left out.
local support = require "tests.spec.kernel_support"
local seals

local world

package.loaded["tael.store"] = {
    query = function(name, params)
        world.reads = world.reads + 1
        world.at_once = world.at_once + 1
        world.most_at_once = math.max(world.most_at_once, world.at_once)
        if world.reads == world.fails_at then
            return nil, { code = "unavailable" }
        elseif name == "event.get" then
            return { world.events[params.event] }
        elseif name == "payment.get" then
            return { { id = 1, last_event = world.last_event } }
        elseif name == "setting.get" then
            return { world.sealed and { value = (">i8"):pack(world.sealed) } }
        elseif name == "seal.after_event" or name == "seal.by_number" or name == "seal.last" then
            local seal = (params and params.number or 1) == 1 and world.seal
            return { seal and { number = 1, events = seals.encode(seal) } or nil }
        elseif name == "event.tail_back" or name == "event.tail" then
            world.tails[#world.tails + 1] = params.after
            local rows = {}
            local first = math.max(params.after, 10) + 1
            local last = math.min(params.before or math.maxinteger, world.newest + 1) - 1
            local back = name == "event.tail_back"
            for id = back and last or first, back and first or last, back and -1 or 1 do
                rows[#rows + 1] = #rows < params.n and { id = id } or nil
            end
            return rows
        end
        return {}
    end,
    id_ms = function() return support.now end,
}
package.loaded["tael.task"] = setmetatable({ last = function() world.at_once = 0 end },
    { __index = package.loaded["tael.task"] })
package.loaded["tael.kernel.registry"] = {
    merchant = function() return { slug = "acme", livemode = false } end,
    account = function() return { slug = "spec", channel = "spec" } end,
}
package.loaded["tael.kernel.context"] = {}

local events = require "tael.kernel.events"
local ids = require "tael.kernel.ids"
seals = require "tael.kernel.seals"

before_each(function()
    world = { reads = 0, events = {}, last_event = 13, tails = {}, newest = 13, at_once = 0,
        most_at_once = 0 }
    for version = 1, 3 do
        world.events[10 + version] = { id = 10 + version, merchant = 3, payment = 1, object = 1,
            version = version, prev = version > 1 and 9 + version or nil, type = "payment.updated",
            actor = "key_1", at = support.now, hash = "h", data = version == 1
                and '{"payment":{"state":"pending","amount":5,"currency":"CNY","expires_at":9},"details":{}}'
                or '{"payment":{"closing":"merchant"}}' }
    end
end)

local lists = {
    ["from an event on"] = { limit = 10, after = 11 },
    ["newest first"] = { limit = 10 },
    ["of one payment"] = { limit = 10, payment = 1 },
}

for name, filters in pairs(lists) do
    local function is_whole_or_none()
        local function list()
            local copy = {}
            for key, value in pairs(filters) do
                copy[key] = value
            end
            world.reads = 0
            return events.list(copy)
        end
        local whole = assert(list())
        assert.are.equal(filters.after and 2 or 3, #whole)
        local reads = world.reads
        for fails_at = 1, reads do
            world.fails_at = fails_at
            local some, err = list()
            if some then
                assert.are.same(whole, some, "read " .. fails_at)
            else
                assert.are.equal("store_unavailable", err.code)
            end
        end
    end

    it("a list " .. name .. " is whole, or none", is_whole_or_none)

    it("a list " .. name .. " is so too when all is sealed", function()
        world.seal, world.sealed = { 11, 12, 13 }, 13
        is_whole_or_none()
    end)
end

it("an event of which the seal cannot be read is not shown as one without", function()
    world.seal, world.sealed = { 11, 12, 13 }, 13
    local whole = assert(events.get(ids.encode("evt", 12)))
    assert.are.equal(1, whole.chain.seal)
    for fails_at = 1, world.reads do
        world.reads, world.fails_at = 0, fails_at
        local event, err = events.get(ids.encode("evt", 12))
        assert.is_nil(event)
        assert.are.equal("store_unavailable", err.code)
    end
end)

it("what is sealed of all merchants is not looked through for one that was quiet", function()
    world.seal, world.sealed = { 11 }, 12
    for _, filters in ipairs { { limit = 10 }, { limit = 10, after = 11 } } do
        local list = assert(events.list(filters))
        assert.are.equal(filters.after and 1 or 2, #list)
        assert.are.same({ 12 }, world.tails)
        world.tails = {}
    end
end)

it("what is not sealed is read from its end, as far as it is asked for", function()
    local many = 5000
    for id = 14, 10 + many do
        world.events[id] = setmetatable({ id = id, payment = id }, { __index = world.events[11] })
    end
    world.newest = 10 + many
    local list, following = events.list { limit = 10 }
    assert.are.equal(10, #assert(list))
    assert.are.equal(1, #world.tails)
    local seen = 10
    while following do
        list, following = events.list { limit = 100, before = following }
        seen = seen + #assert(list)
    end
    assert.are.equal(many, seen)
end)

it("of a long chain each event has its object as of then, and the chain is read once", function()
    local long = 1000
    for version = 4, long do
        local data = ('{"details":{"metadata":{"version":"%d"}}}'):format(version)
        world.events[10 + version] = setmetatable({ id = 10 + version, version = version, prev = 9 + version,
            data = data }, { __index = world.events[13] })
    end
    world.last_event = 10 + long
    local list = assert(events.list { limit = long, payment = 1 })
    assert.are.equal(long, #list)
    for i, event in ipairs(list) do
        local version = long + 1 - i
        assert.are.equal(version, event.data.version)
        assert.are.equal(version > 3 and tostring(version) or nil, (event.data.metadata or {}).version)
        assert.are.equal(version > 1, event.data.closing)
    end
    assert.is_true(world.reads < 6 * long, world.reads .. " reads")
    assert.is_true(world.most_at_once <= 128, world.most_at_once .. " reads while others wait")
end)
