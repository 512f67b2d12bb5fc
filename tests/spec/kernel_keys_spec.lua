-- API keys in a real SQLite: whom they let in, until they are revoked; what is said of them.
require "tests.spec.kernel_support"
local kernel_store = require "tests.spec.kernel_store"

local MINE, OTHERS = 3, 4
local USUAL = "payments:read payments:write refunds:write"
local START = 1764374400000 -- 2025-11-29T00:00:00Z

describe("an API key", function()
    local store, task, time = require "tael.store", require "tael.task", require "tael.time"
    local keys, db, now, forgotten, broken, last_id, kept

    --- A module made from stand-ins of what needs an engine.
    local function load_keys()
        local stand_ins = {
            ["tael.kernel.secrets"] = { get = function() return ("p"):rep(32) end },
            ["tael.kernel.registry"] = { merchant = function(id) return { id = id, mode = "test" } end },
            ["tael.kernel.key_memory"] = { forget = function(id) forgotten[#forgotten + 1] = id end },
        }
        local real = {}
        for name, stand_in in pairs(stand_ins) do
            real[name], package.loaded[name] = package.loaded[name] or false, stand_in
        end
        package.loaded["tael.kernel.keys"] = nil
        keys = require "tael.kernel.keys"
        package.loaded["tael.kernel.keys"] = nil
        for name, module in pairs(real) do
            package.loaded[name] = module or nil
        end
    end

    before_each(function()
        now, forgotten, broken, last_id = START, {}, nil, 0
        db = kernel_store.new(0, function() return now end)
        kept = { store.next_id, store.query, store.commit, task.scope, task.set_scope, time.now }
        store.next_id = function()
            last_id = math.max(last_id + 1, now - 1577836800000 << 22)
            return last_id
        end
        store.query = function(name, params) return db:query(name, params) end
        store.commit = function(list)
            if broken then
                return nil, broken
            end
            return db:commit(list)
        end
        task.scope = function() return db.merchant end
        task.set_scope = function(number) db.merchant = number end
        time.now = function() return now end
        load_keys()
    end)
    after_each(function()
        store.next_id, store.query, store.commit, task.scope, task.set_scope, time.now = table.unpack(kept)
        db:remove()
    end)

    local function made(merchant, note)
        local text = assert(keys.create(merchant, { note = note }))
        return text, keys.parse(text).id
    end

    it("lets its merchant in until it is revoked, and no longer", function()
        local text, id = made(MINE)
        assert.are.equal(MINE, keys.authenticate(text).merchant)
        now = now + 5000
        local row, err, changed = keys.revoke(MINE, id)
        assert.are.same({ START + 5000, nil, true }, { row.revoked_at, err, changed })
        assert.are.same({ id }, forgotten)
        assert.are.same({ nil, { code = "key_revoked" } }, { keys.authenticate(text) })
    end)

    it("is revoked once: the moment stays, and it is forgotten again", function()
        local _, id = made(MINE)
        keys.revoke(MINE, id)
        now = now + 60000
        local row, err, changed = keys.revoke(MINE, id)
        assert.are.same({ START, nil, false }, { row.revoked_at, err, changed })
        assert.are.same({ id, id }, forgotten)
    end)

    it("is revoked by its own merchant alone", function()
        local text, id = made(OTHERS)
        keys.revoke(MINE, id)
        assert.are.equal(OTHERS, keys.authenticate(text).merchant)
    end)

    it("is forgotten even when nobody knows whether the store has it, and that is said", function()
        local _, id = made(MINE)
        broken = { code = "unavailable", message = "the disk" }
        assert.are.same({ nil, { code = "store_unavailable" } }, { keys.revoke(MINE, id) })
        assert.are.same({ id }, forgotten)
    end)

    it("is listed with its merchant's, newest first, without what is secret", function()
        local _, first = made(MINE, "till 1")
        made(OTHERS)
        local _, second = made(MINE)
        keys.revoke(MINE, first)
        local list = keys.list(MINE, nil, 10)
        assert.are.same({
            { id = second, merchant = MINE, mode = "test", scopes = USUAL },
            { id = first, merchant = MINE, mode = "test", scopes = USUAL, note = "till 1",
                revoked_at = START },
        }, list)
        assert.are.same({ first }, { keys.list(MINE, second, 10)[1].id })
        assert.are.equal(1, #keys.list(MINE, nil, 1))
        assert.are.equal(0, db.merchant, "the task is about what it was about")
        assert.is_nil(keys.find(first).hash)
    end)

    it("is named by its id or by what of it is no secret", function()
        local text, id = made(MINE)
        local part = keys.public_part(text)
        assert.are.equal(text:sub(1, 22), part)
        assert.are.same({ id, "test" }, { keys.named(part) })
        assert.are.equal(id, (keys.named(require("tael.kernel.ids").encode("key", id))))
        for _, wrong in ipairs { text, part .. "0", part:sub(1, -2), "tael_test_", "pay_1", "" } do
            assert.is_nil((keys.named(wrong)), wrong)
        end
        for _, wrong in ipairs { part, text:sub(1, -2), text:sub(1, -2) .. "!", "tael_" } do
            assert.is_nil(keys.public_part(wrong), wrong)
        end
    end)
end)
