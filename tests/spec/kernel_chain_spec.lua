require "tests.spec.kernel_support"
local chain = require "tael.kernel.chain"
local crypto = require "tael.crypto"
local seals = require "tael.kernel.seals"

local function link(changed)
    local out = { payment = 1, version = 2, type = "payment.paid", actor = "key_1", at = 3, data = "{}" }
    for name, value in pairs(changed or {}) do
        out[name] = value
    end
    return out
end

describe("chain.hash", function()
    it("is SHA-256 over length-prefixed fields in a fixed order", function()
        local before = ("\7"):rep(32)
        local function counted(text)
            local n = #text
            return string.char(n >> 24 & 255, n >> 16 & 255, n >> 8 & 255, n & 255) .. text
        end
        local zeros = ("\0"):rep(7)
        local bytes = counted "tael.event.1" .. counted(before) .. zeros .. "\1" .. zeros .. "\2"
            .. counted "payment.paid" .. counted "key_1" .. zeros .. "\3" .. counted "{}"
        assert.are.equal(crypto.digest("sha256", bytes), chain.hash(before, link()))
    end)

    for name, changed in pairs {
        payment = { payment = 9 }, version = { version = 9 }, type = { type = "payment.closed" },
        actor = { actor = "key_2" }, time = { at = 9 }, data = { data = "[]" },
    } do
        it("covers the " .. name, function()
            assert.are_not.equal(chain.hash("x", link()), chain.hash("x", link(changed)))
        end)
    end

    it("covers the hash before", function()
        assert.are_not.equal(chain.hash("x", link()), chain.hash("y", link()))
        assert.are_not.equal(chain.hash("x", link()), chain.hash(nil, link()))
    end)

    it("cannot take a border between fields for another", function()
        assert.are_not.equal(chain.hash("", link { type = "ab", actor = "c" }),
            chain.hash("", link { type = "a", actor = "bc" }))
        assert.are_not.equal(chain.hash("", link { actor = "a", data = "b" }),
            chain.hash("", link { actor = "ab", data = "" }))
    end)
end)

describe("a seal's list of ids", function()
    for _, ids in ipairs {
        {}, { 1 }, { 127, 128, 129 }, { 1, math.maxinteger }, { 780000000000000001, 780000000000000002 },
    } do
        it("comes back whole: " .. table.concat(ids, " "), function()
            assert.are.same(ids, seals.decode(seals.encode(ids)))
        end)
    end

    it("is short for ids of one second", function()
        local ids = {}
        for i = 1, 1000 do
            ids[i] = 780000000000000000 + i * 4194304
        end
        assert.is_true(#seals.encode(ids) < 5000)
    end)
end)

describe("a seal", function()
    local key = ("k"):rep(32)
    local events = { { id = 5, hash = ("a"):rep(32) }, { id = 6, hash = ("b"):rep(32) } }
    local function mac(changed, before)
        local seal = { merchant = 3, number = 2, count = 2, digest = seals.digest(events) }
        for name, value in pairs(changed or {}) do
            seal[name] = value
        end
        return seals.mac(key, seal, before or "m")
    end

    it("covers merchant, number, count, digest and the seal before", function()
        for _, changed in ipairs { { merchant = 4 }, { number = 3 }, { count = 3 },
            { digest = ("z"):rep(32) } } do
            assert.are_not.equal(mac(), mac(changed))
        end
        assert.are_not.equal(mac(), mac({}, "n"))
        assert.are_not.equal(mac(), seals.mac(("l"):rep(32), { merchant = 3, number = 2, count = 2,
            digest = seals.digest(events) }, "m"))
    end)

    it("covers ids, hashes and their order", function()
        local digest = seals.digest(events)
        assert.are_not.equal(digest, seals.digest { events[2], events[1] })
        assert.are_not.equal(digest, seals.digest { events[1] })
        assert.are_not.equal(digest, seals.digest { events[1], { id = 7, hash = events[2].hash } })
    end)
end)
