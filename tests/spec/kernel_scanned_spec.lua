-- Lists that no index serves, from a store of many rows: all that fits is found once, in pieces that nobody
-- waits long for, and one piece at a time.
local world

package.loaded["tael.store"] = {
    query = function(name, params)
        world.asked[#world.asked + 1] = name
        if world.fails_at == #world.asked then
            return nil, { code = "unavailable" }
        end
        if world.during then
            world.during()
        end
        local ids = {}
        for id = math.min(params.before - 1, world.rows), math.max(params.since, 1), -1 do
            if #ids == params.n then
                break
            elseif name == "piece" or id % world.every == 0 then
                ids[#ids + 1] = id
            end
        end
        if name == "piece" then
            world.largest = math.max(world.largest, #ids)
            return { { low = ids[#ids], seen = #ids } }
        end
        local rows = {}
        for i, id in ipairs(ids) do
            rows[i] = { id = id }
        end
        return rows
    end,
}
package.loaded["tael.task"] = {
    worker = function() return 1 end,
    wait = function() return coroutine.yield() end,
    last = function() return coroutine.yield() end,
    wake = function() world.wakes = world.wakes + 1 end,
}

local scanned = require "tael.kernel.scanned"

local SCAN = { piece = "piece", list = "list" }

local function page(before, wanted, since)
    return scanned.list(SCAN, { before = before, since = since or 0 }, wanted)
end

before_each(function()
    world = { rows = 200000, every = 1, asked = {}, largest = 0, wakes = 0 }
end)

it("a page of what is everywhere is had with one small piece", function()
    local rows, rest = page(math.maxinteger, 21)
    assert.are.equal(21, #rows)
    assert.are.equal(200000, rows[1].id)
    assert.is_nil(rest)
    assert.are.same({ "piece", "list" }, world.asked)
    assert.is_true(world.largest <= 256)
end)

for every, name in pairs { [7] = "often", [1999] = "seldom", [60000] = "hardly ever", [300000] = "never" } do
    it("page by page all that fits is found once: " .. name, function()
        world.every = every
        local found, before, pages = {}, math.maxinteger, 0
        repeat
            world.asked = {}
            local rows, rest = page(before, 21)
            pages = pages + 1
            for i = 1, math.min(#rows, 20) do
                found[#found + 1] = rows[i].id
            end
            assert.is_true(#world.asked <= 60, #world.asked)
            before = #rows > 20 and rows[20].id or rest
        until not before
        local expected = {}
        for id = world.rows - world.rows % every, 1, -every do
            expected[#expected + 1] = id
        end
        assert.are.same(expected, found)
        assert.is_true(world.largest <= 2048)
        assert.is_true(pages <= #expected // 20 + 5)
    end)
end

it("nothing is looked at below the end that was named", function()
    world.every = 1000
    local rows, rest = page(150001, 1000, 148000)
    assert.are.same({ { id = 150000 }, { id = 149000 }, { id = 148000 } }, rows)
    assert.is_nil(rest)
end)

it("a store that fails gives no page", function()
    world.every = 1999
    assert(page(math.maxinteger, 21))
    for fails_at = 1, #world.asked do
        world.asked, world.fails_at = {}, fails_at
        local rows, err = page(math.maxinteger, 21)
        assert.is_nil(rows)
        assert.are.equal("unavailable", err.code)
    end
    world.fails_at = nil
    assert(page(math.maxinteger, 21))
end)

-- ---- turns ----

--- A list in a task of its own, which stops in the midst of each piece.
local function begin()
    local one = {}
    one.thread = coroutine.create(function() one.rows, one.err = page(math.maxinteger, 21) end)
    assert(coroutine.resume(one.thread))
    return one
end

it("one piece is looked through at a time, and who was cut off gives its turn back", function()
    world.during = coroutine.yield
    local first, second = begin(), begin()
    assert.are.same({ "piece" }, world.asked)
    assert(coroutine.resume(second.thread))
    assert.are.same({ "piece" }, world.asked)
    assert.is_true(coroutine.close(first.thread))
    assert.are.equal(1, world.wakes)
    assert(coroutine.resume(second.thread))
    assert.are.same({ "piece", "piece" }, world.asked)
    world.during = nil
    assert(coroutine.resume(second.thread))
    assert.are.equal(21, #second.rows)
end)

it("who waits comes before the next piece of who has just had one", function()
    world.every, world.rows = 300000, 1000
    local pieces, threads = {}, {}
    world.during = function()
        pieces[#pieces + 1] = threads[coroutine.running()]
        coroutine.yield()
    end
    local first, second = begin(), begin()
    threads[first.thread], threads[second.thread] = "first", "second"
    repeat
        for _, one in ipairs { first, second } do
            if coroutine.status(one.thread) == "suspended" then
                assert(coroutine.resume(one.thread))
            end
        end
    until coroutine.status(first.thread) == "dead" and coroutine.status(second.thread) == "dead"
    assert.are.equal("first second second first first", table.concat(pieces, " ", 1, 5))
end)

it("too many that want a turn are told so, and one that waits no more frees its place", function()
    world.during = coroutine.yield
    local first, waiting = begin(), {}
    for i = 1, 64 do
        waiting[i] = begin()
    end
    local refused = begin()
    assert.are.equal("busy", refused.err.code)
    assert.is_true(coroutine.close(waiting[1].thread))
    assert.is_nil(begin().err)
    assert.are.equal("busy", begin().err.code)
    world.during = nil
    assert(coroutine.resume(first.thread))
    assert.are.equal(21, #first.rows)
end)
