-- What an answer does to a refund: each answer in each state, and what no answer ever does.
local refund_decide = require "tael.kernel.refund_decide"
local states = require "tael.kernel.states"

local CLASSES = { "ok", "pending", "declined", "config", "abnormal", "conflict", "not_found", "unknown",
    "not_sent", "refused" }
local FROM = { "pending", "unknown", "abnormal" } -- what can be asked about
local WORDS = { "succeeded", "pending", "failed", "abnormal", "none" }

local function fact_of(class, word, changed)
    local fact = { code = "C", decline_code = class == "declined" and "merchant_limit" or nil }
    if class == "ok" then
        fact = { kind = "refund", state = word ~= "none" and word or nil, channel_state = "W", code = "W",
            total = 800, amount = 500, currency = "CNY", at = 77 }
    elseif class == "unknown" or class == "not_sent" or class == "refused" then
        fact = nil
    end
    for name, value in pairs(changed or {}) do
        fact[name] = value
    end
    return fact
end

local function case_of(changed)
    local case = { refund = { state = changed.state or "pending", amount = 500, currency = "CNY" },
        op = "refund", class = "ok", alone = true, given = 300, asked = 1000, reason = "why" }
    for name, value in pairs(changed) do
        if name ~= "state" and name ~= "word" and name ~= "fact" then
            case[name] = value
        end
    end
    case.fact = fact_of(case.class, changed.word or "succeeded", changed.fact)
    return case
end

local function decide(changed)
    return refund_decide.answer(case_of(changed))
end

--- Every case there is, but for the amounts.
local function each(fn)
    for _, op in ipairs { "refund", "refund_query" } do
        for _, class in ipairs(CLASSES) do
            for _, from in ipairs(FROM) do
                for _, word in ipairs(class == "ok" and WORDS or { "none" }) do
                    for bits = 0, 7 do
                        local changed = { op = op, class = class, state = from, word = word,
                            alone = bits & 1 > 0, fresh = bits & 4 > 0,
                            declined = bits & 2 > 0 and { code = "D", decline_code = "other" } or nil }
                        fn(changed, decide(changed))
                    end
                end
            end
        end
    end
end

describe("the answer to a refund", function()
    local expected = {
        { "with the money gone", {}, { to = "succeeded", code = "W", at = 77 } },
        { "that was repeated, with the money gone", { alone = false, state = "unknown" },
            { to = "succeeded", code = "W", at = 77 } },
        { "with another sum", { fact = { total = 500 } }, { to = nil } },
        { "with no sum", { fact = { total = 0 } }, { to = nil } },
        { "with as much as was asked for in all", { fact = { total = 1000 } }, { to = nil, alarm = nil } },
        { "with more than was ever asked for", { fact = { total = 1001 } },
            { to = nil, alarm = "foreign_refund" } },
        { "in another currency", { fact = { currency = "USD" } }, { to = nil } },
        { "that is under way", { word = "pending" }, { to = nil } },
        { "that says nothing of it", { word = "none" }, { to = nil } },
        { "that was unknown and is under way", { word = "pending", state = "unknown", alone = false },
            { to = "pending", code = "W" } },
        { "pending", { class = "pending" }, { to = nil } },
        { "declined", { class = "declined" },
            { to = "failed", code = "C", decline_code = "merchant_limit" } },
        { "that failed", { word = "failed" }, { to = "failed", code = "W", decline_code = "other" } },
        { "declined after another request", { class = "declined", alone = false },
            { ask = "query", declined = { code = "C", decline_code = "merchant_limit" } } },
        { "that failed after another request", { word = "failed", alone = false },
            { ask = "query", declined = { code = "W" } } },
        { "forbidden by the order's state", { class = "conflict" },
            { ask = "query", declined = { code = "C", decline_code = "other" } } },
        { "about an order that is not there", { class = "not_found" },
            { to = "abnormal", code = "C", alarm = "refund_abnormal" } },
        { "about an order that is not there, after silence",
            { class = "not_found", state = "unknown", alone = false },
            { to = "abnormal", code = "C", alarm = "refund_abnormal" } },
        { "that needs a person", { class = "abnormal" },
            { to = "abnormal", code = "C", alarm = "refund_abnormal" } },
        { "that is abnormal", { word = "abnormal" },
            { to = "abnormal", code = "W", alarm = "refund_abnormal" } },
        { "that our configuration is wrong", { class = "config" }, { to = nil } },
        { "that never left", { class = "not_sent" }, { to = nil } },
        { "that never came", { class = "unknown" }, { to = "unknown" } },
        { "that is somebody else's", { class = "refused" }, { to = "unknown" } },
        { "that never came, again", { class = "unknown", state = "unknown", alone = false }, { to = nil } },
    }
    for _, row in ipairs(expected) do
        it(row[1], function()
            local decision = decide(row[2])
            assert.is_string(decision.detail)
            decision.detail = nil
            assert.are.same(row[3], decision)
        end)
    end
end)

describe("the answer to a query of a refund", function()
    local function query(changed)
        changed.op = "refund_query"
        return decide(changed)
    end
    local no = { code = "D", decline_code = "merchant_limit" }
    local expected = {
        { "done", {}, { to = "succeeded", code = "W", at = 77 } },
        { "done, of what was unknown", { state = "unknown" }, { to = "succeeded", code = "W", at = 77 } },
        { "done, of what waited for a person", { state = "abnormal" },
            { to = "succeeded", code = "W", at = 77 } },
        { "done, after a no", { declined = no }, { to = "succeeded", code = "W", at = 77 } },
        { "done with another amount", { fact = { amount = 499 } }, { alarm = "refund_amount_differs" } },
        { "done in another currency", { fact = { currency = "USD" } }, { alarm = "refund_amount_differs" } },
        { "failed", { word = "failed" }, { to = "failed", code = "W", decline_code = "other" } },
        { "abnormal", { word = "abnormal" }, { to = "abnormal", code = "W", alarm = "refund_abnormal" } },
        { "under way", { word = "pending" }, {} },
        { "under way, of what was unknown", { word = "pending", state = "unknown" },
            { to = "pending", code = "W" } },
        { "of nothing", { word = "none" }, {} },
        { "not there", { class = "not_found" }, { ask = "send" } },
        { "not there, of what was unknown", { class = "not_found", state = "unknown" }, { ask = "send" } },
        { "not there, after a no", { class = "not_found", declined = no },
            { to = "failed", code = "D", decline_code = "merchant_limit" } },
        { "not there, after a no and something that may still come",
            { class = "not_found", declined = no, fresh = true }, {} },
        { "not there, of what waits for a person", { class = "not_found", state = "abnormal" }, {} },
        { "no answer", { class = "unknown" }, {} },
        { "no answer to what was unknown", { class = "unknown", state = "unknown" }, {} },
        { "declined itself", { class = "declined" }, {} },
        { "somebody else's", { class = "refused" }, {} },
    }
    for _, row in ipairs(expected) do
        it(row[1], function()
            local decision = query(row[2])
            assert.is_string(decision.detail)
            decision.detail = nil
            assert.are.same(row[3], decision)
        end)
    end
end)

describe("no answer", function()
    it("makes a move that the states do not know", function()
        each(function(changed, decision)
            if decision.to then
                assert.is_true(states.refund[changed.state][decision.to] == true
                    or changed.op == "refund" and changed.state == "abnormal", -- retry has made it pending
                    ("%s %s: %s -> %s"):format(changed.op, changed.class, changed.state, decision.to))
            end
        end)
    end)

    it("settles a refund when nothing was proved", function()
        local silent = { unknown = true, refused = true, not_sent = true, config = true, pending = true }
        each(function(changed, decision)
            if silent[changed.class] then
                assert.is_true(decision.to == nil or decision.to == "unknown" or decision.to == "pending")
                assert.is_nil(decision.ask)
            end
        end)
    end)

    it("gives the reservation up without a no, and the certainty that nothing was done", function()
        each(function(changed, decision)
            if decision.to == "failed" then
                local said_no = changed.op == "refund" and changed.alone
                    and (changed.class == "declined" or changed.word == "failed")
                local not_there = changed.op == "refund_query" and changed.class == "not_found"
                    and changed.declined and not changed.fresh
                local ended = changed.op == "refund_query" and changed.word == "failed"
                assert.is_truthy(said_no or not_there or ended, changed.op .. " " .. changed.class)
                assert.is_string(decision.decline_code)
            end
        end)
    end)

    it("counts the money as given back unless the channel says so", function()
        each(function(changed, decision)
            assert.are.equal(changed.class == "ok" and changed.word == "succeeded",
                decision.to == "succeeded")
        end)
    end)

    it("sends again what may be there already", function()
        each(function(changed, decision)
            if decision.ask == "send" then
                assert.are.equal("refund_query", changed.op)
                assert.are.equal("not_found", changed.class)
                assert.is_true(changed.state ~= "abnormal")
            end
        end)
    end)

    it("leaves a person uninformed of what only a person can settle", function()
        each(function(_, decision)
            if decision.to == "abnormal" then
                assert.are.equal("refund_abnormal", decision.alarm)
            end
        end)
    end)
end)
