-- The sealer against a store in memory: every event is in one seal of its merchant, whatever the pages, and a
-- pass that was cut off is taken up where it ended.
require "tests.spec.kernel_support"
local crypto = require "tael.crypto"

local world -- of one example
local seals
local KEY = ("k"):rep(32)

local function last_seal()
    local list = world.seals[world.scope] or {}
    return { list[#list] }
end

local query = {
    ["setting.get"] = function() return { world.position and { value = world.position } } end,
    ["seal.last"] = last_seal,
    ["seal.after_event"] = function(params)
        for _, seal in ipairs(world.seals[world.scope]) do
            if seal.id > params.event then
                return { seal }
            end
        end
        return {}
    end,
    ["seal.by_number"] = function(params)
        world.reads = world.reads + 1
        return { world.seals[world.scope][params.number] }
    end,
    ["event.hashes"] = function(params)
        assert(params.n <= 64, "others wait for so many")
        local rows = {}
        for _, event in ipairs(world.events) do
            if event.id > params.after and #rows < params.n then
                rows[#rows + 1] = event
            end
        end
        return rows
    end,
}

local apply = {
    ["seal.insert"] = function(seal)
        local list = world.seals[seal.merchant] or {}
        assert.are.equal(#list + 1, seal.number)
        assert(world.scope == 0 and seal.id > seals.decode(seal.events)[seal.count])
        world.seals[seal.merchant], list[#list + 1] = list, seal
    end,
    ["setting.put"] = function(params) world.position = params.value end,
}

local function commit(list)
    for _, statement in ipairs(list) do
        if world.fails_for and statement[2].merchant == world.fails_for then
            return nil, { code = "unavailable" }
        end
    end
    world.units = world.units + 1
    for _, statement in ipairs(list) do
        apply[statement[1]](statement[2])
    end
    return {}
end

local function next_id()
    local newest = world.events[#world.events]
    return newest.id + world.units + 1
end

package.loaded["tael.store"] = { commit = commit, next_id = next_id,
    query = function(name, params) return query[name](params) end }
package.loaded["tael.task"] = { set_scope = function(merchant) world.scope = merchant end }
package.loaded["tael.log"] = { info = function() end }
package.loaded["tael.kernel.registry"] = { merchant = function() return { slug = "shop" } end }
package.loaded["tael.kernel.secrets"] = { get = function() return KEY end }
seals = require "tael.kernel.seals"

--- Events of merchants 1 to `merchants` in turn, ids with distances of one to three bytes.
local function write(count, merchants)
    for _ = 1, count do
        local number = #world.events + 1
        local before = world.events[number - 1]
        world.events[number] = { merchant = number % merchants + 1, hash = ("%032d"):format(number),
            id = (before and before.id or 1 << 40) + ({ 1, 200, 70000 })[number % 3 + 1] }
    end
end

--- Every event of a merchant is in its seals, in order and once; digests and MACs are right.
local function verify(merchant)
    local at, mac = 0, nil
    local events = {}
    for _, event in ipairs(world.events) do
        events[#events + 1] = event.merchant == merchant and event or nil
    end
    for _, seal in ipairs(world.seals[merchant]) do
        local part = {}
        for i, id in ipairs(seals.decode(seal.events)) do
            part[i] = events[at + i]
            assert.are.equal(events[at + i].id, id)
        end
        at = at + #part
        assert.are.equal(#part, seal.count)
        assert.are.equal(seals.digest(part), seal.digest)
        mac = seals.mac(KEY, { merchant = merchant, number = seal.number, count = seal.count,
            digest = seal.digest }, mac)
        assert.are.equal(crypto.hex.encode(mac), crypto.hex.encode(seal.mac))
    end
    assert.are.equal(#events, at)
end

describe("the sealer", function()
    before_each(function()
        world = { events = {}, seals = {}, scope = 0, units = 0, reads = 0 }
    end)

    it("makes one seal a merchant of what is on many pages", function()
        write(300, 2)
        assert.are.equal(300, seals.pass())
        assert.are.equal(1, #world.seals[1])
        assert.are.equal(1, #world.seals[2])
        verify(1)
        verify(2)
        assert.are.equal(0, seals.pass())
        write(64, 2)
        assert.are.equal(64, seals.pass())
        verify(1)
        verify(2)
    end)

    it("makes several seals of very much", function()
        write(2500, 1)
        assert.are.equal(2500, seals.pass())
        assert.are.equal(3, #world.seals[1])
        verify(1)
    end)

    it("seals many merchants in few units", function()
        write(1000, 200)
        assert.are.equal(1000, seals.pass())
        for merchant = 1, 200 do
            assert.are.equal(1, #world.seals[merchant])
            verify(merchant)
        end
        assert.is_true(world.units < 8, world.units .. " units")
    end)

    it("seals nothing twice after a pass that was cut off between merchants", function()
        write(200, 100)
        world.fails_for = 100
        assert.is_nil(seals.pass())
        assert.is_nil(world.position)
        world.fails_for = nil
        write(200, 100)
        assert.are.equal(400, seals.pass())
        assert.are.equal(2, #world.seals[1])
        assert.are.equal(1, #world.seals[100])
        for merchant = 1, 100 do
            verify(merchant)
        end
    end)

    it("reads the end of a seal that it did not make itself", function()
        write(10, 1)
        seals.pass()
        write(10, 1)
        local events = world.events
        world.seals[1][2] = { number = 2, mac = "m", events = seals.encode { events[11].id, events[12].id } }
        write(5, 1)
        assert.are.equal(15, seals.pass())
        local ids = seals.decode(world.seals[1][3].events)
        assert.are.equal(13, #ids)
        assert.are.equal(events[13].id, ids[1])
    end)

    it("finds the seal of an event among all that were made after a long wait", function()
        write(300, 1)
        world.seals[1] = {}
        for number, event in ipairs(world.events) do
            world.seals[1][number] = number < 300 and { number = number, id = 1 << 50 | number,
                events = seals.encode { event.id } } or nil
        end
        world.scope = 1
        for number = 1, 299 do
            world.reads = 0
            assert.are.equal(number, seals.number_of(world.events[number].id))
            assert.is_true(world.reads <= 20, world.reads .. " reads")
        end
        assert.is_nil(seals.number_of(world.events[300].id))
        assert.is_nil(seals.number_of(world.events[151].id - 1))
    end)
end)
