-- Counters of two workers in one text: the other worker is this one once more, asked over its mailbox.
require "tests.spec.kernel_support"

local me, told, server, silent = 2, {}, nil, false
local turns, longest = 0, 0 -- of the one who asks; bytes that the other was told or told at once

local stand_in = {
    worker = function() return me, 2 end,
    keep = function(_, _, fn) server = coroutine.wrap(fn) end,
    wait = function(key)
        return coroutine.isyieldable() and coroutine.yield() or told[key]
    end,
    last = function() turns = turns + 1 end,
    wake = function(key, text)
        longest = math.max(longest, #text)
        if key ~= "workers.ask.2" then
            told[key] = text
        elseif not silent then
            server(text)
        end
    end,
}

local NAMES = { "tael.task", "tael.kernel.workers", "tael.kernel.metrics" }
local before, metrics = {}, nil

setup(function()
    for _, name in ipairs(NAMES) do
        before[name], package.loaded[name] = package.loaded[name] or false, nil
    end
    package.loaded["tael.task"] = stand_in
    metrics = require "tael.kernel.metrics"
    require("tael.kernel.workers").serve()
    me = 1
end)
teardown(function()
    for _, name in ipairs(NAMES) do
        package.loaded[name] = before[name] or nil
    end
end)

describe("the text of metrics", function()
    it("is there before anything is counted", function()
        server() -- to where it waits
        assert.equal("\n", metrics.text())
    end)

    it("has every series of every worker, however many merchants count", function()
        for i = 1, 40000 do
            metrics.count("tael_script_total", { merchant = "m" .. i // 200, metric = "n" .. i % 200,
                labels = "" })
        end
        metrics.count("tael_alarms_total", { kind = "job_failed" })
        local text = metrics.text()
        assert.is_truthy(text:find('tael_alarms_total{kind="job_failed"} 2\n', 1, true))
        assert.is_truthy(text:find('tael_script_total{labels="",merchant="m7",metric="n7"} 2\n', 1, true))
        assert.equal(40000, select(2, text:gsub("tael_script_total{", "")))
        assert.is_true(turns > 40 and longest < 40000, "others go on while so many are told and read")
    end)

    it("is none while a worker does not answer: a sum that lacks one looks like a restart", function()
        silent = true
        assert.is_nil(metrics.text())
    end)
end)
