--- What messages quote of others' texts.
local json = require "tael.json"
local shown = require "tael.shown"

describe("a text that is shown", function()
    for name, case in pairs {
        ["short"] = { "中文", 64, "中文" },
        ["empty"] = { "", 64, "" },
        ["cut between characters"] = { ("中"):rep(30), 60, ("中"):rep(20) },
        ["cut inside a character"] = { "ab" .. ("中"):rep(30), 64, "ab" .. ("中"):rep(20) },
        ["cut inside the only one"] = { "😀😀", 3, "" },
        ["no text"] = { "a\255b", 64, "a?b" },
        ["no text, and cut"] = { "\255" .. ("中"):rep(3), 5, "?????" },
        ["nothing but parts of characters"] = { "\128\128\128", 3, "???" },
    } do
        it(name, function()
            local out = shown(case[1], case[2])
            assert.are.equal(case[3], out)
            assert.are.equal(out, json.decode(json.encode { out })[1])
        end)
    end
end)
