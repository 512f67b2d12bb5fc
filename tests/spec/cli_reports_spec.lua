--- What commands say: notifications explained, the deep checks, configuration values, columns.
local support = require "tests.spec.cli_support"

local configuration = require "tael.cli.configuration"
local deep = require "tael.cli.deep"
local json = require "tael.json"
local notifications = require "tael.cli.notifications"
local screen = require "tael.cli.screen"
local settings = require "tael.cli.settings"

local function checks(failed)
    local list, done = {}, false
    for _, name in ipairs { "source", "signature", "order" } do
        local word = done and "skipped" or name == failed and "fail" or "pass"
        done = done or name == failed
        list[#list + 1] = { name = name, verdict = word, detail = word == "fail" and "says why" or json.null }
    end
    return list
end

local function view(more)
    local made = {
        id = "ntf_1", channel = "alipay", account = "acme-main", verdict = "pass", failed_check = json.null,
        effect = "applied", payment = "pay_1", first = json.null, key_id = "9f2c01ab", source = "203.0.113.7",
        received_at = "2026-11-23T12:01:09.020Z", answered = { status = 200, body = "success" },
        raw_sha256 = "00ff", signed_text = "a=1&b=2", differs = json.null, hint = json.null,
    }
    for name, value in pairs(more) do
        made[name] = value
    end
    made.checks = checks(made.failed_check)
    return made
end

describe("notifications explain", function()
    it("says what a good message did", function()
        local lines, next_step = notifications.explain_lines(view {})
        assert.are.same({
            "passed all 3 checks   alipay/acme-main   key 9f2c01ab",
            "outcome: it paid pay_1",
            "received 2026-11-23T12:01:09.020Z from 203.0.113.7, answered 200 success",
            "signed text, redacted: a=1&b=2",
            "raw bytes, sha-256: 00ff",
        }, lines)
        assert.is_nil(next_step)
    end)

    it("names the failed check, its reason, the changed field and the next step", function()
        local lines, next_step = notifications.explain_lines(view {
            verdict = "refused", failed_check = "signature", effect = "none", payment = json.null,
            differs = { field = "total", signed = "12.34", received = "0.01" }, hint = "compare the keys",
        })
        assert.are.equal("refused at check 2 of 3: signature   alipay/acme-main   key 9f2c01ab", lines[1])
        assert.are.equal("because: says why", lines[2])
        assert.are.equal("outcome: nothing changed", lines[3])
        assert.are.equal("it fits if field total is 12.34 (received 0.01)", lines[#lines])
        assert.are.equal("compare the keys", next_step)
    end)

    it("keeps on its line what nobody has signed", function()
        local lines = notifications.explain_lines(view { signed_text = "a=1\n\27[2Jpassed all checks" })
        assert.are.equal("signed text, redacted: a=1\\u000a\\u001b[2Jpassed all checks", lines[4])
    end)

    for label, case in pairs({
        ["a repeat"] = { { effect = "none", first = "ntf_0" }, "a repeat of ntf_0; nothing changed" },
        ["a late payment"] = { { effect = "late" }, "it paid pay_1, which was closed already" },
        ["a doubtful one"] = { { effect = "review" }, "pay_1 waits for a person's decision" },
        ["an unknown order"] = { { effect = "unknown_order", payment = json.null },
            "no payment of this account has such an order" },
        ["an effect that this program does not know"] = { { effect = "novel" }, "novel" },
    }) do
        it("says of " .. label .. " what came of it", function()
            assert.are.equal("outcome: " .. case[2], notifications.explain_lines(view(case[1]))[2])
        end)
    end

    it("says when no signed text could be built", function()
        local lines = notifications.explain_lines(view { signed_text = json.null, key_id = json.null })
        assert.are.equal("passed all 3 checks   alipay/acme-main", lines[1])
        assert.are.equal("signed text: none could be built from these bytes", lines[4])
    end)
end)

describe("the deep checks", function()
    local counts = { payments = 3, attempts = 4, events = 9 }

    it("are three lines with what was looked at", function()
        local lines = deep.lines({}, counts)
        assert.are.same({ "chain", "seals", "rebuild" }, { lines[1].name, lines[2].name, lines[3].name })
        for _, line in ipairs(lines) do
            assert.are.equal("ok", line.verdict)
            assert.is_truthy(line.detail:find("%d"))
        end
    end)

    for kind, place in pairs { chain = 1, seal = 2, row = 3, missing = 3, evidence = 3, novel = 3 } do
        it("put a difference of kind " .. kind .. " where it belongs", function()
            local found = { kind = kind, merchant = "acme", object = "pay_1", detail = "state" }
            local lines = deep.lines({ found }, counts)
            for i, line in ipairs(lines) do
                assert.are.equal(i == place and "fail" or "ok", line.verdict)
            end
            assert.are.equal("1 difference", lines[place].detail)
            assert.are.same({ "acme  pay_1  state" }, lines[place].more)
            assert.is_string(lines[place].next)
        end)
    end

    it("show ten differences and count all", function()
        local many = {}
        for i = 1, 25 do
            many[i] = { kind = "row", merchant = "acme", object = "pay_" .. i, detail = "state" }
        end
        local line = deep.lines(many, counts)[3]
        assert.are.equal("25 differences", line.detail)
        assert.are.equal(10, #line.more)
    end)
end)

describe("config show", function()
    for label, case in pairs({
        ["a text"] = { "a\"b", "text", '"a\\"b"' },
        ["a number"] = { 12, "integer", "12" },
        ["false"] = { false, "address", "false" },
        ["nothing"] = { nil, "secret", "nil" },
        ["a duration"] = { 90000, "duration", '"90s"' },
        ["a list of durations"] = { { 2000, 3600000 }, "durations", '{ "2s", "1h" }' },
        ["a list of texts"] = { { "a", "b" }, "addresses", '{ "a", "b" }' },
        ["an empty list"] = { {}, "networks", "{}" },
        ["a secret"] = { { secret = "file", at = "/run/master" }, "secret", 'secret.file("/run/master")' },
    }) do
        it("writes " .. label .. " as it would stand in the file", function()
            assert.are.equal(case[3], configuration.written(case[1], case[2]))
        end)
    end
end)

describe("the screen", function()
    local out, complaints

    before_each(function()
        out, complaints = support.file(), support.file()
        screen.write_to(out, complaints)
        screen.set {}
    end)
    after_each(function()
        screen.write_to(io.stdout, io.stderr)
        screen.set {}
    end)

    it("sets columns by what a terminal shows, without blanks at the end", function()
        screen.columns { { "a", "支付", "x" }, { "long", "b", json.null }, { "c", "d", "" } }
        assert.are.equal("a     支付  x\nlong  b     -\nc     d     -\n", out.text())
    end)

    it("does not count colours as width", function()
        screen.set { colours = true }
        screen.columns { { screen.state "paid", "x" }, { "long one", "y" } }
        assert.are.equal("\27[32mpaid\27[0m      x\nlong one  y\n", out.text())
        assert.are.equal(4, screen.width(screen.paint("red", "支付")))
    end)

    it("has no colours where none are wanted, nor for words that are neither good nor bad", function()
        assert.are.equal("paid", screen.state "paid")
        screen.set { colours = true }
        assert.are.equal("pending", screen.state "pending")
        assert.are.equal("\27[31mfailed (risk)\27[0m", screen.state("failed", "failed (risk)"))
    end)

    it("says a problem, its lines and one next step, on stderr", function()
        screen.problem { exit = 1, message = "it is wrong", more = { "/a: is wrong" }, next = "correct it" }
        assert.are.equal("tael: it is wrong\n  /a: is wrong\nnext: correct it\n", complaints.text())
        assert.are.equal("", out.text())
    end)

    it("always has a next step", function()
        for _, exit in pairs(require "tael.cli.exits") do
            if type(exit) == "number" and exit ~= 0 then
                screen.problem { exit = exit, message = "x" }
            end
        end
        local _, steps = complaints.text():gsub("\nnext: [^\n]+", "")
        assert.are.equal(8, steps)
    end)

    it("writes what would act on a terminal as its code, but for its own colours", function()
        screen.set { colours = true }
        screen.line("a\27[2Jb\r\127" .. screen.paint("red", "c\27]0;d\7") .. "\0[9m\27[8m\tx\ny")
        assert.are.equal("a\\u001b[2Jb\\u000d\\u007f"
            .. "\27[31mc\\u001b]0;d\\u0007\27[0m\\u0000[9m\\u001b[8m\tx\ny\n",
            out.text())
        screen.columns { { "\u{9b}31m\u{202e}支\u{2066}", screen.paint("green", "ok") },
            { "a\nb", "x\27[32m" } }
        assert.is_truthy(out.text():find("\n\\u009b31m\\u202e支\\u2066  \27[32mok\27[0m\na\\nb ", 1, true))
        screen.problem { exit = 1, message = "\27c", more = { "\27c" }, next = "\27c" }
        screen.hint "\27[31mc"
        assert.are.equal("tael: \\u001bc\n  \\u001bc\nnext: \\u001bc\n\\u001b[31mc\n", complaints.text())
    end)

    it("writes no colour at all where none is wanted, and JSON that says the same", function()
        screen.line "\27[31ma\27[0m"
        screen.object { a = "\u{9b}\u{2028}\27支" }
        assert.are.equal('\\u001b[31ma\\u001b[0m\n{"a":"\\u009b\\u2028\\u001b支"}\n', out.text())
    end)

    it("keeps a file as it is, but for who reads it in a terminal", function()
        screen.file "a\27[2J\r\n"
        screen.set { terminal = true }
        screen.file "a\27[2J\n"
        assert.are.equal("a\27[2J\r\na\\u001b[2J\n", out.text())
    end)

    it("leaves out hints and heads when it is to be quiet", function()
        screen.set { quiet = true }
        screen.hint "a hint"
        screen.table({ "ID" }, { { "pay_1" } })
        assert.are.equal("", complaints.text())
        assert.are.equal("pay_1\n", out.text())
    end)
end)

describe("settings.listens", function()
    local function list(text)
        local path = os.tmpname()
        local made = assert(io.open(path, "wb"))
        made:write(text)
        made:close()
        return path
    end

    it("finds a socket by its whole path", function()
        local path = list("Num RefCount Protocol Flags Type St Inode Path\n"
            .. "0000: 00000002 00000000 00010000 0001 01 123 /srv/data/tael.sock\n"
            .. "0000: 00000002 00000000 00010000 0001 01 124\n")
        assert.is_true(settings.listens("/srv/data/tael.sock", path))
        assert.is_false(settings.listens("/data/tael.sock", path))
        assert.is_false(settings.listens("/srv/data/tael.soc", path))
        os.remove(path)
    end)

    it("finds one that its process reached by another path", function()
        local folder = os.tmpname()
        os.remove(folder)
        assert(os.execute(("mkdir -p 'F/real data' F/other && ln -s 'real data' F/link "
            .. "&& touch 'F/real data/tael.sock' F/other/tael.sock"):gsub("F", folder)))
        local path = list(("0000: 00000002 00000000 00010000 0001 01 123 %s/link/tael.sock\n"):format(folder))
        assert.is_true(settings.listens(folder .. "/link/tael.sock", path))
        assert.is_true(settings.listens(folder .. "/real data/tael.sock", path))
        assert.is_false(settings.listens(folder .. "/other/tael.sock", path))
        assert.is_false(settings.listens(folder .. "/nowhere/tael.sock", path))
        os.remove(path)
        os.execute("rm -r " .. folder)
    end)

    it("finds nothing where there is no list", function()
        assert.is_false(settings.listens("/srv/data/tael.sock", "/nowhere"))
    end)
end)
