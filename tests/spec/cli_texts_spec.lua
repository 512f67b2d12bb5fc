--- The catalogues of the command line: every language says all of it, and nothing is said past them.
require "tests.spec.cli_support"
local commands = require "tael.cli.commands"
local texts = require "tael.cli.texts"

local function placeholders(text)
    local names = {}
    for name in text:gmatch("{([%w_]+)}") do
        names[#names + 1] = name
    end
    table.sort(names)
    return table.concat(names, " ")
end

local function sorted(map)
    local names = {}
    for name in pairs(map) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

--- The Lua of the command line, texts left out: name and source.
local function sources()
    local list = {}
    local pipe = assert(io.popen "ls lua/tael/cli/*.lua")
    for path in pipe:lines() do
        local file = assert(io.open(path, "rb"))
        list[path] = file:read("a")
        file:close()
    end
    pipe:close()
    return list
end

describe("the catalogues", function()
    local en = texts.catalogue "en"

    for _, language in ipairs(texts.LANGUAGES) do
        local other = texts.catalogue(language)

        it("have the same keys: " .. language, function()
            assert.are.same(sorted(en), sorted(other))
        end)

        it("have the same placeholders and columns: " .. language, function()
            for key, text in pairs(en) do
                assert.are.equal(placeholders(text), placeholders(other[key]), key)
                assert.are.equal(select(2, text:gsub("|", "")), select(2, other[key]:gsub("|", "")), key)
            end
        end)
    end

    it("are in their own languages", function()
        local untranslated = 0
        for key, text in pairs(texts.catalogue "zh") do
            untranslated = untranslated + (text == en[key] and text:find("%a%a%a+ %a") and 1 or 0)
        end
        assert.is_true(untranslated < 10, untranslated .. " texts are the same in both languages")
    end)

    it("have a text for every key that is written in the source", function()
        local found = 0
        for path, source in pairs(sources()) do
            for key, more in source:gmatch "text%s*%(?%s*\"([%l_]+%.[%w_.-]+)\"(%s*%.?%.?)" do
                if not more:find("..", 1, true) then
                    assert.is_string(en[key], path .. ": " .. key)
                    found = found + 1
                end
            end
        end
        assert.is_true(found > 150, "only " .. found .. " keys found")
    end)

    it("have no text that nobody says", function()
        local all = table.concat((function()
            local list = {}
            for _, source in pairs(sources()) do
                list[#list + 1] = source
            end
            return list
        end)(), "\n")
        for key in pairs(en) do
            local said = all:find('"' .. key .. '"', 1, true)
            local head = key
            while not said and head:find("[.]") do
                head = head:match("^(.*)%.[^.]*$")
                said = all:find('"' .. head .. '."', 1, true) or all:find('"' .. head .. '.', 1, true)
            end
            assert.is_truthy(said, key)
        end
    end)
end)

describe("a text", function()
    after_each(function() texts.use "en" end)

    it("is in the language that is used", function()
        assert.are.equal("none", texts.of "list.none")
        assert.is_true(texts.use "zh")
        assert.are.equal("没有", texts.of "list.none")
        assert.is_false(texts.use "fr")
        assert.are.equal("没有", texts.of "list.none")
    end)

    it("needs its values and its key", function()
        assert.are.equal("next: x%1", texts.of("label.next", { step = "x%1" }))
        assert.has_error(function() texts.of "label.next" end)
        assert.has_error(function() texts.of "no.such" end)
    end)

    for label, case in pairs {
        ["what is named"] = { "en", { LANG = "zh_CN.UTF-8" }, "en" },
        ["LC_ALL before all"] = { nil, { LC_ALL = "zh_CN.UTF-8", LC_MESSAGES = "en", LANG = "en" }, "zh" },
        ["LC_MESSAGES before LANG"] = { nil, { LC_MESSAGES = "C", LANG = "zh_CN" }, "en" },
        ["LANG"] = { nil, { LC_ALL = "", LANG = "zh_TW.UTF-8" }, "zh" },
        ["English for any other"] = { nil, { LANG = "de_DE.UTF-8" }, "en" },
        ["English where nothing is said"] = { nil, {}, "en" },
    } do
        it("is in " .. label, function()
            assert.are.equal(case[3], texts.language(case[1], function(name) return case[2][name] end))
        end)
    end
end)

describe("every command", function()
    after_each(function() texts.use "en" end)

    it("has a usage in every language", function()
        for _, language in ipairs(texts.LANGUAGES) do
            texts.use(language)
            local overview = commands.overview()
            for _, command in ipairs(commands.list) do
                assert.is_truthy(overview:find("\n  " .. command.name, 1, true), command.name)
            end
        end
    end)
end)

describe("the source", function()
    --- Words between quotes that a person would read: two of letters and a blank between them.
    local function is_prose(literal)
        local plain = literal:gsub("%%[%d.%-]*%a", "")
        return plain:find("%a%a+ %a%a") and not plain:find("^tael [%w -]+") and not plain:find("^chmod ")
            and not plain:find("^apt ")
    end

    it("says nothing but what is in the catalogues", function()
        for path, source in pairs(sources()) do
            local code = source:gsub("%-%-[^\n]*", ""):gsub("require%s*\"[^\"]*\"", "")
                :gsub("error%b()", ""):gsub("find%b()", ""):gsub("%[%[.-%]%]", "")
            for literal in code:gmatch '"([^"\n]*)"' do
                assert.is_falsy(is_prose(literal), path .. ": " .. literal)
            end
        end
    end)
end)
