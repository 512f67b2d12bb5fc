--- The words of the command line: options, commands, what was meant by a misspelt one.
require "tests.spec.cli_support"

local commands = require "tael.cli.commands"
local exits = require "tael.cli.exits"
local words = require "tael.cli.words"

local options = {
    deep = { doc = "a switch" }, state = { value = "STATE", doc = "text" },
    limit = { value = "N", integer = true, doc = "a number" },
    wait = { value = "TIME", duration = true },
}

describe("words.read", function()
    for label, case in pairs({
        ["nothing"] = { {}, {}, {} },
        ["a switch"] = { { "--deep" }, { deep = true }, {} },
        ["a value behind its option"] = { { "--state", "paid" }, { state = "paid" }, {} },
        ["a value with an equals sign"] = { { "--state=a=b" }, { state = "a=b" }, {} },
        ["a time in ms"] = { { "--wait", "2m" }, { wait = 120000 }, {} },
        ["an integer"] = { { "--limit", "12" }, { limit = 12 }, {} },
        ["words around options"] = { { "a", "--deep", "b" }, { deep = true }, { "a", "b" } },
        ["a value that looks like an option"] = { { "--state", "--deep" }, { state = "--deep" }, {} },
        ["a word behind --"] = { { "--", "--deep" }, {}, { "--deep" } },
        ["a lone dash as a word"] = { { "-" }, {}, { "-" } },
        ["a negative number as a word"] = { { "-5", "--deep" }, { deep = true }, { "-5" } },
        ["help in both forms"] = { { "-h", "--help" }, { help = true }, {} },
    }) do
        it("reads " .. label, function()
            local read = assert(words.read(case[1], 1, options))
            assert.are.same(case[2], read.flags)
            assert.are.same(case[3], read.rest)
        end)
    end

    for label, case in pairs({
        ["an unknown option"] = { { "--colour" }, "unknown option '--colour'" },
        ["a misspelt option"] = { { "--sate", "x" }, "unknown option '--sate'; did you mean '--state'?" },
        ["a short option"] = { { "-d" }, "unknown option '--d'" },
        ["a missing value"] = { { "--state" }, "--state needs a value: --state STATE" },
        ["an empty value"] = { { "--state=" }, "--state needs a value: --state STATE" },
        ["a value for a switch"] = { { "--deep=1" }, "--deep takes no value" },
        ["a time without a unit"] = { { "--wait", "90" },
            "--wait needs a time such as 90s, 5m or 2h, not '90'" },
        ["a fraction"] = { { "--limit", "1.5" }, "--limit needs a positive integer, not '1.5'" },
        ["zero"] = { { "--limit", "0" }, "--limit needs a positive integer, not '0'" },
        ["a negative number"] = { { "--limit", "-1" }, "--limit needs a positive integer, not '-1'" },
        ["more than an integer holds"] = { { "--limit", ("9"):rep(30) },
            "--limit needs a positive integer, not '" .. ("9"):rep(30) .. "'" },
    }) do
        it("refuses " .. label, function()
            local read, wrong = words.read(case[1], 1, options)
            assert.is_nil(read)
            assert.are.equal(case[2], wrong)
        end)
    end

    it("begins where it is told", function()
        assert.are.same({ "c" }, words.read({ "--bad", "b", "c" }, 3, options).rest)
    end)
end)

describe("commands.find", function()
    it("finds a command and where its words begin", function()
        local found = assert(commands.find { "notifications", "explain", "ntf_1" })
        assert.are.equal("notifications explain", found.path)
        assert.are.equal(3, found.at)
        assert.is_function(found.command.run)
    end)

    it("finds a group when no command of it is named", function()
        assert.is_table(commands.find({ "keys" }).command.commands)
        assert.is_table(commands.find({ "keys", "--help" }).command.commands)
    end)

    for label, case in pairs({
        ["a misspelt command"] = { { "doctr" }, "unknown command 'doctr'; did you mean 'doctor'?" },
        ["one in a group"] = { { "keys", "shwo" }, "unknown command 'keys shwo'; did you mean 'keys show'?" },
        ["something else"] = { { "frobnicate" }, "unknown command 'frobnicate'" },
        ["a misspelt option before any command"] = { { "--jsn" },
            "unknown option '--jsn'; did you mean '--json'?" },
        ["an option whose value is missing"] = { { "--config" }, "--config needs a value: --config FILE" },
    }) do
        it("says what was meant by " .. label, function()
            local found, failure = commands.find(case[1])
            assert.is_nil(found)
            assert.are.equal(exits.usage, failure.exit)
            assert.are.equal(case[2], failure.message)
        end)
    end

    local function each(list, path, fn)
        for _, command in ipairs(list) do
            if command.commands then
                each(command.commands, path .. command.name .. " ", fn)
            else
                fn(command, path .. command.name)
            end
        end
    end

    it("knows for every command how many words it takes, and shows every option", function()
        each(commands.list, "", function(command, path)
            local usage = commands.usage { command = command, path = path }
            assert.is_truthy(usage:find("usage: tael " .. path, 1, true))
            assert.is_truthy(usage:find(commands.summary(path), 1, true))
            for name, option in pairs(command.options or {}) do
                assert.is_truthy(usage:find("--" .. name, 1, true), path .. " --" .. name)
                assert.is_truthy(usage:find(words.doc(name, option), 1, true))
            end
            if command.run then
                assert.is_true(command.min <= command.max)
                assert.are.equal(command.max > 0, command.usage ~= "")
            end
        end)
    end)
end)
