-- Another generation of a channel's package, for very many accounts: others go on while they are readied, and
-- each is put in its place once.
require "tests.spec.kernel_support"

local MERCHANTS = 1000
local owner = {} -- of an account; without an entry a merchant of its own
local since, most = 0, 0 -- accounts readied since others could go on

local function generation()
    local package = {}
    return { root = "scripts/channels", digests = {}, get = function() return package end,
        differing = function() return { "spec" } end }
end

local function rows_of(make)
    return function(params)
        local rows = {}
        for id = params.after + 1, math.min(params.after + params.n, MERCHANTS) do
            rows[#rows + 1] = make(id)
        end
        return rows
    end
end

local query = {
    ["merchant.all"] = rows_of(function(id)
        return { id = id, slug = "m" .. id, name = "m", mode = "test" }
    end),
    ["account.all"] = rows_of(function(id)
        return { id = id, merchant = owner[id] or id, slug = "a" .. id, channel = "spec",
            environment = "sandbox" }
    end),
}

package.loaded["tael.store"] = { query = function(name, params) return query[name](params) end }
package.loaded["tael.task"] = { last = function() since = 0 end }
package.loaded["tael.crypto"] = {}
package.loaded["tael.kernel.ids"] = { open = function() end }
package.loaded["tael.kernel.workers"] = { serve = function() end }
package.loaded["tael.scripts.versions"] = { running = function() return nil, nil, 0 end }
package.loaded["tael.channel.packages"] = { open = generation, again = generation }
package.loaded["tael.channel.account"] = {
    fields_of = function(configured) return configured end,
    check = function() return {} end,
    prepare = function()
        since = since + 1
        most = math.max(most, since)
        return {}
    end,
}
package.loaded["tael.kernel.registry"] = nil
local registry = require "tael.kernel.registry"

local function load()
    local merchants = {}
    for i = 1, MERCHANTS do
        merchants["m" .. i] = { accounts = {} }
    end
    for i = 1, MERCHANTS do
        merchants["m" .. (owner[i] or i)].accounts["a" .. i] = { channel = "spec" }
    end
    registry.load { merchants = merchants, http = {}, scripts = { channels = "scripts/channels" } }
end

it("readies few accounts of a changed channel in one turn, and all of them", function()
    load()
    local before = registry.account(MERCHANTS)
    since, most = 0, 0
    local prepared = assert(registry.prepare_channels())
    assert.is_true(most <= 16, most .. " accounts while others wait")
    assert.are.equal(before, registry.account("a" .. MERCHANTS))
    registry.take_channels(prepared)
    for i = 1, MERCHANTS do
        assert.are.equal(prepared.accounts[i], registry.account(i))
        assert.are.equal(prepared.accounts[i], registry.merchant(i).accounts[1])
    end
end)

it("puts each of a merchant's many accounts in its place without looking through all of them", function()
    for i = 1, MERCHANTS do
        owner[i] = 1
    end
    load()
    local list, looked = registry.merchant(1).accounts, 0
    registry.merchant(1).accounts = setmetatable({}, { __newindex = list, __index = function(_, i)
        looked = looked + 1
        return list[i]
    end })
    local prepared = assert(registry.prepare_channels())
    registry.take_channels(prepared)
    assert.is_true(looked <= 2 * MERCHANTS, looked .. " looked at")
    for i = 1, MERCHANTS do
        assert.are.equal(prepared.accounts[i], list[i])
    end
end)
