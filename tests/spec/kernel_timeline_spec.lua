-- The story of a payment to which very much has happened: it is put together in pieces.
local support = require "tests.spec.kernel_support"

local LONG = 1500 -- events, a third as many refunds with a call each, and notifications
local since, most = 0, 0 -- reads since others could go on
local received -- notifications, the oldest first

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
    ["notification.list_payment"] = function(params)
        local rows = {}
        for i = math.min(#received, params.before - 1), 1, -1 do
            rows[#rows + 1] = #rows < params.n and received[i] or nil
        end
        return rows
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

--- So many that came one after another.
local function arrived(count, make)
    received = numbered(count, function(i)
        local row = make(i)
        row.id, row.account, row.at, row.verdict = i, 7, support.now + 100000 + i, "pass"
        return row
    end)
end

it("of a payment with thousands of entries is whole, and others go on while it is read", function()
    arrived(LONG // 3, function() return { effect = "none" } end)
    local view = assert(timeline.of(ids.encode("pay", 1)))
    assert.are.equal(LONG + LONG // 3 + 1 + LONG // 3, #view.entries)
    assert.is_true(most <= 64, most .. " reads while others wait")
end)

--- What the channel sent, as the story tells it.
local function told()
    local list = {}
    for _, entry in ipairs(assert(timeline.of(ids.encode("pay", 1))).entries) do
        list[#list + 1] = (entry.kind == "notification" or entry.kind == "repeat") and entry or nil
    end
    return list
end

it("has the notification that paid, and counts all that only repeat it", function()
    arrived(5001, function(i) return i == 1 and { effect = "applied" } or { effect = "none", first = 1 } end)
    local list = told()
    assert.are.equal(2, #list)
    assert.are.same({ "notification", ids.encode("ntf", 1), "applied" },
        { list[1].kind, list[1].id, list[1].facts.effect })
    assert.are.same({ "repeat", ids.encode("ntf", 2), 5000 },
        { list[2].kind, list[2].id, list[2].facts.count })
    assert.are.equal(require("tael.time").rfc3339(received[5001].at), list[2].facts.last_at)
end)

it("has the notification that paid, however many others changed nothing", function()
    arrived(2500, function(i) return { effect = i == 1 and "applied" or "none" } end)
    local list = told()
    assert.are.equal(1001, #list)
    assert.are.same({ ids.encode("ntf", 1), ids.encode("ntf", 1501), ids.encode("ntf", 2500) },
        { list[1].id, list[2].id, list[1001].id })
end)
