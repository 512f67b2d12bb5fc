-- The story of a payment to which very much has happened: it is put together in pieces.
local support = require "tests.spec.kernel_support"

local LONG = 1500 -- events, a third as many refunds with a call each, and notifications
local since, most = 0, 0 -- reads since others could go on

local function numbered(count, make)
    local list = {}
    for i = 1, count do
        list[i] = make(i)
    end
    return list
end

local query = {
    ["payment.get"] = function() return { { id = 1, last_event = LONG, attempt = 2 } } end,
    ["event.get"] = function(params)
        local id = params.event
        return { { id = id, payment = 1, object = 1, version = id, prev = id > 1 and id - 1 or nil,
            type = "payment.updated", actor = "key_1", at = support.now + id, hash = "h",
            data = '{"payment":{}}' } }
    end,
    ["attempt.get"] = function() return { { id = 2 } } end,
    ["call.of_object"] = function(params) return { { id = params.object, op = "refund", class = "ok" } } end,
    ["refund.of_payment"] = function(params)
        return params.after == 0 and numbered(LONG // 3, function(i) return { id = 10 + i } end) or {}
    end,
    ["notification.list_payment"] = function()
        return numbered(LONG // 3, function(i)
            return { id = 5000 - i, account = 7, at = support.now, verdict = "pass", effect = "none" }
        end)
    end,
}

package.loaded["tael.store"] = {
    query = function(name, params)
        since = since + 1
        most = math.max(most, since)
        return query[name](params)
    end,
    id_ms = function() return support.now end,
}
package.loaded["tael.task"] = setmetatable({ last = function() since = 0 end },
    { __index = package.loaded["tael.task"] })
package.loaded["tael.kernel.registry"] = {
    account = function() return { slug = "spec", channel = "spec" } end,
}

local ids = require "tael.kernel.ids"
local timeline = require "tael.kernel.timeline"

it("of a payment with thousands of entries is whole, and others go on while it is read", function()
    local view = assert(timeline.of(ids.encode("pay", 1)))
    assert.are.equal(LONG + LONG // 3 + 1 + LONG // 3, #view.entries)
    assert.is_true(most <= 64, most .. " reads while others wait")
end)
