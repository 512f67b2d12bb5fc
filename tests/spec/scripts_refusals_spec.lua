-- What a worker knows of scripts that were refused: also what was told before it had started. The workers
-- are stood in for by what they answer.
local names = { "tael.kernel.workers", "tael.log", "tael.scripts.refusals", "tael.task" }

describe("refused scripts", function()
    local real, answers, others, during = {}, nil, nil, nil
    local refusals

    before_each(function()
        answers, others, during = {}, {}, nil
        for _, name in ipairs(names) do
            real[name], package.loaded[name] = package.loaded[name], nil
        end
        package.loaded["tael.log"] = { error = function() end }
        package.loaded["tael.task"] = { spawn = function(fn) fn() end }
        package.loaded["tael.kernel.workers"] = {
            answer = function(topic, fn) answers[topic] = fn end,
            ask = function(topic, body)
                local all = { answers[topic](body) }
                for _, other in ipairs(others) do
                    all[#all + 1] = topic == "scripts.refusals" and other or nil
                end
                if during then
                    during()
                end
                return all
            end,
        }
        refusals = require "tael.scripts.refusals"
    end)

    after_each(function()
        for _, name in ipairs(names) do
            package.loaded[name] = real[name]
        end
    end)

    it("are known to a worker that starts after they were told", function()
        others = { { jobs = "jobs/a.lua:1: wrong" }, { ["merchants/acme"] = "rules.lua:2: wrong" } }
        refusals.open()
        assert.same({ { owner = "jobs", error = "jobs/a.lua:1: wrong" },
            { owner = "merchants/acme", error = "rules.lua:2: wrong" } }, refusals.list())
        assert.same({ jobs = "jobs/a.lua:1: wrong", ["merchants/acme"] = "rules.lua:2: wrong" },
            answers["scripts.refusals"]())
    end)

    it("that were put right while it asked stay right", function()
        others = { { jobs = "jobs/a.lua:1: wrong" } }
        during = function()
            during = nil
            answers["scripts.refused"] { owner = "jobs", error = false }
        end
        refusals.open()
        assert.same({}, refusals.list())
    end)
end)
