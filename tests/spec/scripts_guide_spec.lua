--- Every snippet of scripts/README.md is a rules.lua that passes the checks and answers as the guide says.
local contract = require "tael.scripts.contract"
local counters = require "tael.scripts.inside.counters"
local isolate = require "tael.isolate"
local job_files = require "tael.scripts.job_files"
local loading = require "tael.scripts.loading"

local PAYMENT = {
    amount = 1234, currency = "CNY", subject = "coffee", metadata = {}, payer = {}, now = 0,
    local_time = { year = 2026, month = 1, day = 1, hour = 0, minute = 0, wday = 5 },
}
local CHANNELS = {
    { name = "alipay", account = "alipay-one", products = { page = true } },
    { name = "alipay", account = "alipay-two", products = { page = true } },
}

local ATTEMPT = { amount = 100, currency = "CNY" }

--- What a snippet says of the past stands in its payment as `history`; the rest is 0.
local function history_of(given)
    local history = {}
    for name in pairs(counters.known) do
        history[name] = (given.history or {})[name] or 0
    end
    return history
end

local function value_of(text)
    return table.pack(assert(load("return " .. text, text, "t", {}))())
end

local function snippets()
    local file <close> = assert(io.open "scripts/README.md")
    local list = {}
    for block in file:read("a"):gmatch "```lua\n(.-)```" do
        local expected = {}
        for rule, given, result in block:gmatch "%-%-> ([%l_]+) (%b{}) ([^\n]+)" do
            expected[#expected + 1] = { rule = rule, given = value_of(given)[1], result = value_of(result) }
        end
        list[#list + 1] = { text = block, expected = expected }
    end
    return list
end

local function merged(fields)
    local payment = {}
    for name, value in pairs(PAYMENT) do
        payment[name] = value
    end
    for name, value in pairs(fields) do
        payment[name] = value
    end
    return payment
end

describe("the guide to scripts", function()
    local all, specs_of_all, rehearsals, jobs = {}, {}, {}, {}
    for _, snippet in ipairs(snippets()) do
        local list = snippet.text:find "t%.sandbox" and rehearsals -- tests/e2e/rehearsal.test.mjs runs it
            or snippet.text:find "describe%(" and specs_of_all
            or snippet.text:find "schedule =" and jobs
            or snippet.text:find "local routes =" and {} -- routes_guide_spec.lua
            or all
        list[#list + 1] = snippet
    end

    it("has snippets", function()
        assert.is_true(#all >= 3)
    end)

    for i, snippet in ipairs(all) do
        it(("is right in snippet %d"):format(i), function()
            local rules = isolate.generation { name = "guide", key = "guide" .. i,
                files = { ["rules.lua"] = snippet.text } }
            local names = rules:ask("rules.lua", { { "" } }, {}, 100000)[1]
            assert.is_true(names[1], names[3])
            assert.is_nil(contract.wrong(names[2]))
            assert.is_true(#snippet.expected > 0)
            for _, expected in ipairs(snippet.expected) do
                local inputs = { payment = merged(expected.given), channels = CHANNELS, attempt = ATTEMPT,
                    history = history_of(expected.given) }
                local call, list = { expected.rule }, {}
                for place, name in ipairs(contract.rules[expected.rule].args) do
                    call[place + 1], list[place] = place, inputs[name]
                end
                local answer = rules:ask("rules.lua", { call }, list, 100000)[1]
                assert.are.same({ true, table.unpack(expected.result) }, answer)
                assert.is_table((contract.rules[expected.rule].check(answer[2], answer[3])))
            end
        end)
    end

    it("has a job that is right", function()
        loading.open "lua"
        assert.equal(1, #jobs)
        local generation, why = job_files.load { ["nightly.lua"] = jobs[1].text }
        assert.is_nil(why)
        assert.are.same({ "nightly", 600000, "all" }, { generation.jobs[1].name, generation.jobs[1].timeout,
            generation.jobs[1].merchants })
    end)

    it("has a spec that the first rules pass", function()
        loading.open "lua"
        assert.equal(1, #specs_of_all)
        local _, why, result = loading.check("guide", { ["rules.lua"] = all[1].text,
            ["spec/rules_spec.lua"] = specs_of_all[1].text })
        assert.is_nil(why)
        assert.are.same({ 2, 0 }, { result.passed, result.failed })
    end)

    it("has a spec that waits for a rehearsal", function()
        loading.open "lua"
        assert.equal(1, #rehearsals)
        local _, why, result = loading.check("guide", { ["rules.lua"] = all[1].text,
            ["spec/orders_spec.lua"] = rehearsals[1].text })
        assert.is_nil(why)
        assert.are.same({ 0, 0, 2 }, { result.passed, result.failed, result.pending })
    end)
end)
