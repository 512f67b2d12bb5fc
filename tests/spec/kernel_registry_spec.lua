-- Another generation of a channel's package, for very many accounts: others go on while they are readied.
require "tests.spec.kernel_support"

local MERCHANTS = 1000
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
        return { id = id, merchant = id, slug = "a" .. id, channel = "spec", environment = "sandbox" }
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
    check = function() return {} end,
    prepare = function()
        since = since + 1
        most = math.max(most, since)
        return {}
    end,
}
package.loaded["tael.kernel.registry"] = nil
local registry = require "tael.kernel.registry"

it("readies few accounts of a changed channel in one turn, and all of them", function()
    local merchants = {}
    for i = 1, MERCHANTS do
        merchants["m" .. i] = { accounts = { ["a" .. i] = { channel = "spec" } } }
    end
    registry.load { merchants = merchants, http = {}, scripts = { channels = "scripts/channels" } }
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
