--- What merchants' scripts cost: make bench-scripts. Each figure is the least of several rounds, or a
--- percentile of many calls; what is to be reached stands beside it. On one processor: taskset -c 1
--- build/bench/scripts.
local program, only, times = ...
local bench = require "bench"
local isolate = require "tael.isolate"
local task = require "tael.task"

-- ---- the kernel around rules, without store and configuration ----

local active = {} -- generation by merchant
package.loaded["tael.scripts.generations"] = {
    of = function(merchant) return active[merchant], false end,
}
package.loaded["tael.kernel.alarms"] = {
    raise = function(kind, fields) error(kind .. ": " .. fields.detail) end,
}
package.loaded["tael.kernel.metrics"] = {
    by_two = function()
        local counted = 0
        return function() counted = counted + 1 end
    end,
    count = function() end,
}
package.loaded["tael.scripts.loading"] = { RULES = "rules.lua" }
package.loaded["tael.kernel.counters"] = { payer_key = function() end }
package.loaded["tael.kernel.ids"] = { encode = function() return "pay_0CP65NVS80000ZWZMY2XSTZCWD" end }
package.loaded["tael.kernel.registry"] = {
    package = function() return { products = { page = {}, qr = {} } } end,
}
local rule_inputs = require "tael.scripts.inputs"
local rules = require "tael.scripts.rules"
require("tael.scripts.shares").open(100)
isolate.ceiling(256 << 20)

local SOURCE = [[
local ways = { { account = "alipay-large" }, "alipay" }
return {
    limits = function(payment)
        return { max_amount = payment.metadata.tier == "gold" and 2000000 or 200000 }
    end,
    risk = function(payment)
        if payment.amount >= 500000 or payment.payer.ip == "203.0.113.9" then
            return "review", "a large amount"
        end
        return "allow"
    end,
    route = function(payment, channels)
        if payment.amount > 100000 then return ways, "large amounts" end
        local order = {}
        for _, channel in ipairs(channels) do order[#order + 1] = { account = channel.account } end
        return order
    end,
}
]]
local WANTED = { "limits", "risk", "route" }

local MERCHANT = { id = 1, zone = "+08:00", accounts = {
    { channel = "alipay", slug = "alipay-one", fields = {} },
    { channel = "alipay", slug = "alipay-two", fields = {} },
} }
local INPUT = {
    merchant_order_id = "A1001", amount = 1234, currency = "CNY", subject = "coffee", product = "page",
    metadata = { tier = "silver", shop = "17" }, payer = { client_ip = "203.0.113.7" },
}

local function inputs()
    return { payment = rule_inputs.payment(MERCHANT, INPUT, 1, 1700000000000),
        channels = rule_inputs.channels(MERCHANT) }
end

local made = 0
---@param given table<string, boolean>? its rules; all three if nothing is said
local function generation(merchant, source, isolation, given)
    made = made + 1
    local unit = isolate.generation {
        name = "merchants/" .. merchant, key = merchant .. "@" .. made,
        files = { ["rules.lua"] = source or SOURCE }, isolation = isolation or "state",
    }
    active[merchant] = { id = tostring(made), unit = unit,
        rules = given or { limits = true, risk = true, route = true } }
    return active[merchant]
end

local function ask(merchant)
    local verdicts = rules.ask(merchant, WANTED, inputs)
    assert(verdicts.risk.risk == "allow" and verdicts.limits.max_amount == 200000)
    return verdicts
end

--- The same of one whose only rule is risk.
local function ask_one(merchant)
    assert(rules.ask(merchant, WANTED, inputs).risk.by == "rule")
end

-- ---- measuring ----

local function tell(name, value, unit, wanted)
    print(("%-58s %8.2f %-3s  %s"):format(name, value, unit, wanted or ""))
end

--- The least of some rounds, ns of this thread for one call.
local function least(count, call)
    local best = math.huge
    for _ = 1, 9 do
        local from = bench.cpu()
        for i = 1, count do
            call(i)
        end
        best = math.min(best, (bench.cpu() - from) / count)
    end
    return best
end

local function percentile(list, part)
    table.sort(list)
    return list[math.max(1, math.ceil(#list * part))]
end

-- ---- figures ----

local figures = {}

function figures.state()
    generation("one", nil, nil, { risk = true })
    tell("one rule, state: kernel to decision", least(times or 20000, function() ask_one "one" end) / 1000,
        "us", "5")
    tell("  of it making what it is given", least(times or 20000, inputs) / 1000, "us")
    generation "acme"
    tell("three rules of a payment, state: kernel to decision", least(times or 20000,
        function() ask "acme" end) / 1000, "us")
    local given = inputs()
    local unit, list = active.acme.unit, { given.payment, given.channels }
    local calls = { { "limits", 1 }, { "risk", 1 }, { "route", 1, 2 } }
    tell("  of it the crossing, three rules", least(times or 20000, function()
        unit:ask("rules.lua", calls, list, 300000)
    end) / 1000, "us")
    list = { given.payment }
    tell("  the crossing, one rule", least(times or 20000, function()
        unit:ask("rules.lua", { { "risk", 1 } }, list, 300000)
    end) / 1000, "us")
end

local WORKS = {
    ["the three rules of a payment"] = [[
        local rules = (function() ]] .. SOURCE .. [[ end)()
        local payment = { amount = 1234, metadata = { tier = "silver" }, payer = { ip = "203.0.113.7" } }
        local channels = { { account = "alipay-one" }, { account = "alipay-two" } }
        for _ = 1, n do
            local order = rules.route(payment, channels)
            if rules.risk(payment) == "allow" then
                sum = sum + rules.limits(payment).max_amount + #order
            end
        end]],
    ["the route rule of the operator's bench"] = [[
        local items = { { price = 1200, quantity = 2 }, { price = 300, quantity = 1 },
            { price = 99, quantity = 7 } }
        for _ = 1, n do
            local amount, pieces = 0, 0
            for i = 1, #items do
                local item = items[i]
                amount = amount + item.price * item.quantity
                pieces = pieces + item.quantity
            end
            local summary = string.format("%s:%d:%d", "shop", amount, pieces)
            sum = sum + #summary
        end]],
    ["arithmetic"] = "for i = 1, n * 40 do sum = (sum + i * 7) % 1000003 end",
    ["fields and calls"] = [[
        local t = { a = 1, b = { c = 2 } }
        local function f(x) return x.a + x.b.c end
        for _ = 1, n * 8 do t.a = f(t) % 17 end sum = t.a]],
    ["small tables"] = "for i = 1, n * 4 do local t = { i, i + 1, x = i } sum = sum + t[1] + t.x end",
    ["texts"] = "for i = 1, n * 2 do local s = 'k' .. i if s:find('9', 1, true) then sum = sum + #s end end",
    ["ipairs"] = [[
        local t = {} for i = 1, 50 do t[i] = i end
        for _ = 1, n // 4 do for _, v in ipairs(t) do sum = sum + v end end]],
    ["pairs"] = [[
        local t = {} for i = 1, 10 do t["k" .. i] = i end
        for _ = 1, n // 4 do for _, v in pairs(t) do sum = sum + v end end]],
    ["sort with a function"] = [[
        for i = 1, n // 40 do
            local t = {} for j = 1, 40 do t[j] = j * 7919 % 41 end
            table.sort(t, function(a, b) return a < b end) sum = sum + t[1]
        end]],
    ["sort"] = [[
        for i = 1, n // 20 do
            local t = {} for j = 1, 40 do t[j] = j * 7919 % 41 end
            table.sort(t) sum = sum + t[1]
        end]],
    ["setmetatable"] = [[
        local Class = {} Class.__index = Class function Class:get() return self.v end
        for i = 1, n * 2 do sum = sum + setmetatable({ v = i }, Class):get() end]],
    ["patterns"] = [[
        for i = 1, n // 2 do
            local y, m = ("2026-11-28"):match("^(%d+)-(%d+)") sum = sum + tonumber(y) + tonumber(m)
            sum = sum + #(("a b c"):gsub("%s", "_"))
        end]],
    ["pcall"] = "for _ = 1, n * 2 do local ok = pcall(math.abs, -1) if ok then sum = sum + 1 end end",
}

local ROUNDS = 1000

--- The same text, guarded and not, in turns; the median of the ratios.
function figures.guarding()
    local names, ratios = {}, {}
    for name in pairs(WORKS) do
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local text = "return { risk = function(n) local sum = 0 " .. WORKS[name] .. " return sum end }"
        local unit = generation("guarded", text).unit
        local plain = assert(load(text))().risk
        local list, here = {}, {}
        for _ = 1, 41 do
            local from = bench.cpu()
            local wanted = plain(ROUNDS)
            local middle = bench.cpu()
            local answer = unit:ask("rules.lua", { { "risk", 1 } }, { ROUNDS }, 100000000)[1]
            list[#list + 1] = (bench.cpu() - middle) / (middle - from)
            here[#here + 1] = (middle - from) / 1000
            assert(answer[2] == wanted, name .. ": " .. tostring(answer[3] or answer[2]))
        end
        ratios[#ratios + 1] = percentile(list, 0.5)
        tell(("guarded by unguarded: %s (%.0f us)"):format(name, percentile(here, 0.5)), ratios[#ratios], "x",
            name:find "^the" and "1.15" or "")
    end
end

function figures.cold()
    local list = {}
    for i = 1, 400 do
        generation("cold" .. i)
        local from = bench.cpu()
        ask("cold" .. i)
        list[i] = (bench.cpu() - from) / 1000
    end
    tell("first call of a cold merchant, median", percentile(list, 0.5), "us", "150")
    tell("first call of a cold merchant, p99", percentile(list, 0.99), "us")
end

--- Numbers 1 to count, the k-th by 1/k.
local function zipf(count)
    local sums, sum = {}, 0
    for k = 1, count do
        sum = sum + 1 / k
        sums[k] = sum
    end
    local seed = 1
    return function()
        seed = (seed * 48271) % 2147483647
        local wanted, low, high = seed / 2147483647 * sum, 1, count
        while low < high do
            local middle = (low + high) // 2
            if sums[middle] < wanted then low = middle + 1 else high = middle end
        end
        return low
    end
end

function figures.many()
    local count, asks = 10000, 40000
    local names, order, next_one = {}, {}, zipf(count)
    for i = 1, count do
        names[i] = "m" .. i
        generation(names[i])
    end
    for i = 1, asks do
        order[i] = names[next_one()]
    end
    local function run(of)
        local from = bench.cpu()
        for i = 1, asks do
            ask(of or order[i])
        end
        return (bench.cpu() - from) / asks
    end
    run()
    local ratios, one, many = {}, {}, {}
    for i = 1, 7 do
        one[i], many[i] = run "m1", run()
        ratios[i] = many[i] / one[i]
    end
    tell("10,000 merchants, Zipf 1.0, 256 MiB: one ask", percentile(many, 0.5) / 1000, "us")
    tell("  beside one merchant alone", percentile(ratios, 0.5), "x", "1.15")
    local counts = isolate.counts()
    local more = ("%d MiB, %d made, %d dropped"):format(counts.bytes >> 20, counts.made, counts.dropped)
    tell("  isolates kept", counts.isolates, "", more)
end

local opened
local function open_processes()
    if not opened then
        local ready, err = isolate.processes { program = program, max = 8 }
        assert(ready, err and err.message)
        opened = true
    end
end

function figures.process()
    open_processes()
    generation("stranger", nil, "process")
    local list = {}
    for i = 1, 20000 do
        local from = bench.now()
        ask "stranger"
        list[i] = (bench.now() - from) / 1000
    end
    tell("all rules of a payment, process: p50", percentile(list, 0.5), "us", "40")
    tell("all rules of a payment, process: p99", percentile(list, 0.99), "us", "150")
end

--- A process is killed; then it is asked until it answers.
function figures.killed()
    open_processes()
    local unit = generation("killed", nil, "process").unit
    local calls, list, lost = { { "risk", 1 } }, {}, 0
    local given = { inputs().payment }
    for i = 1, 300 do
        assert(unit:ask("rules.lua", calls, given, 300000)[1][1])
        task.wait("bench", 20) -- the next warm one is there
        local from = bench.now()
        bench.kill()
        while not unit:ask("rules.lua", calls, given, 300000)[1][1] do
            lost = lost + 1
        end
        list[i] = (bench.now() - from) / 1e6
    end
    tell("a process is killed: until it is answered again, p50", percentile(list, 0.5), "ms", "10")
    tell("a process is killed: until it is answered again, p99", percentile(list, 0.99), "ms", "10")
    tell("  asks that were lost, for one", lost / #list, "")
end

-- the many last: what is measured in the memory that they leave behind takes longer
for _, name in ipairs { "state", "guarding", "cold", "process", "killed", "many" } do
    if only == "" or only == name then
        figures[name]()
    end
end
