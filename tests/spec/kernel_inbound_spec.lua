-- The parts of the notification path that need no engine: sources, the ring, verdicts, what may be shown.
require "tests.spec.kernel_support"
local json = require "tael.json"
local redact = require "tael.kernel.redact"
local ring = require "tael.kernel.ring"
local source = require "tael.kernel.source"
local verdict = require "tael.kernel.verdict"

describe("source", function()
    for text, count in pairs {
        ["127.0.0.1"] = 16, ["255.255.255.255"] = 16, ["::1"] = 16, ["::"] = 16, ["2001:db8::1"] = 16,
        ["1:2:3:4:5:6:7:8"] = 16, ["::ffff:203.0.113.7"] = 16, ["64:ff9b::192.0.2.33"] = 16,
        ["1:2:3:4:5:6:192.0.2.33"] = 16,
    } do
        it("reads " .. text, function()
            assert.are.equal(count, #source.address(text))
        end)
    end
    for _, text in ipairs { "", "256.1.1.1", "1.2.3", "1.2.3.4.5", "a.b.c.d", "1:2:3", "1::2::3", "12345::",
        "1:2:3:4:5:6:7:8:9", "::ffff:256.1.1.1", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "unix",
        "010.1.1.1", "1.2.3.04", "::ffff:1.2.3.04" } do
        it("does not read '" .. text .. "'", function()
            assert.is_nil(source.address(text))
        end)
    end

    for address, shown in pairs {
        ["203.0.113.7"] = "203.0.113.0/24", ["::ffff:203.0.113.7"] = "203.0.113.0/24", ["::1"] = "::/48",
        ["2001:DB8:1:2:3:4:5:6"] = "2001:db8:1::/48", ["2001:db8::7"] = "2001:db8::/48",
        ["0:0:1::"] = "0:0:1::/48",
    } do
        it("shows of " .. address .. " its network", function()
            assert.are.equal(shown, source.hint(address))
        end)
    end
    it("shows nothing of what is no address", function()
        assert.is_nil(source.hint "999.1.1.1")
        assert.is_nil(source.hint(nil))
    end)

    for _, case in ipairs {
        { "10.0.0.0/8", "10.255.0.1", true }, { "10.0.0.0/8", "11.0.0.1", false },
        { "192.168.1.128/25", "192.168.1.200", true }, { "192.168.1.128/25", "192.168.1.100", false },
        { "203.0.113.7", "203.0.113.7", true }, { "203.0.113.7", "203.0.113.8", false },
        { "2001:db8::/32", "2001:db8:1::1", true }, { "2001:db8::/32", "2001:db9::1", false },
        { "10.0.0.0/8", "::ffff:10.255.0.1", true }, { "10.0.0.0/8", "::10.255.0.1", false },
        { "0.0.0.0/0", "1.2.3.4", true }, { "0.0.0.0/0", "::1", false },
    } do
        it(("%s %s in %s"):format(case[2], case[3] and "is" or "is not", case[1]), function()
            assert.are.equal(case[3], source.within(source.network(case[1]), source.address(case[2])))
        end)
    end
    it("refuses networks that are none", function()
        for _, text in ipairs { "10.0.0.0/33", "::/129", "10.0.0.0/", "x/8" } do
            assert.is_nil(source.network(text))
        end
    end)

    local proxies = source.networks { "10.0.0.0/8" }
    for _, case in ipairs {
        { "203.0.113.7:5000", nil, "203.0.113.7" },
        { "203.0.113.7:5000", "198.51.100.1", "203.0.113.7" },
            -- no proxy of ours: its word counts for nothing
        { "10.1.1.1:5000", "198.51.100.1", "198.51.100.1" },
        { "10.1.1.1:5000", "198.51.100.1, 10.2.2.2", "198.51.100.1" },
        { "10.1.1.1:5000", "1.1.1.1, 198.51.100.1", "198.51.100.1" },
            -- what the client wrote before is not read
        { "10.1.1.1:5000", "nonsense", "10.1.1.1" },
        { "10.1.1.1:5000", "198.51.100.1, ::ffff:203.0.113.7", "203.0.113.7" },
            -- of a proxy that has one socket for both
        { "[::ffff:10.1.1.1]:5000", "203.0.113.7, ::FFFF:10.2.2.2", "203.0.113.7" },
        { "[2001:db8::1]:5000", nil, "2001:db8::1" },
        { "unix", nil, "unix" },
    } do
        it(("of %s with %s is %s"):format(case[1], tostring(case[2]), case[3]), function()
            assert.are.equal(case[3], source.of(case[1], case[2], proxies))
        end)
    end

    it("counts hosts of IPv6 by their network, of IPv4 one by one", function()
        assert.are.equal(source.group "2001:db8:0:1::1", source.group "2001:db8:0:1:ffff::2")
        assert.are_not.equal(source.group "2001:db8:0:1::1", source.group "2001:db8:0:2::1")
        assert.are_not.equal(source.group "203.0.113.7", source.group "203.0.113.8")
        assert.are.equal("203.0.113.7", source.group "::ffff:203.0.113.7")
        assert.are.equal("unix", source.group "unix")
    end)

    it("is this machine in any form, and no other is", function()
        for text, is in pairs {
            ["127.0.0.1"] = true, ["::1"] = true, ["::ffff:127.0.0.1"] = true, unix = true,
            ["203.0.113.7"] = false, ["::ffff:203.0.113.7"] = false, ["2001:db8::1"] = false,
        } do
            assert.are.equal(is, source.is_loopback(text), text)
        end
    end)

    it("counts by second and source", function()
        local allow = source.meter(2)
        assert.is_true(allow("a", 1000))
        assert.is_true(allow("a", 1999))
        assert.is_false(allow("a", 1500))
        assert.is_true(allow("b", 1500))
        assert.is_true(allow("a", 2000))
    end)
end)

describe("the ring", function()
    local function entry(id, size, at, from)
        return { id = id, source = from or "s" .. id, at = at or id * 1000, raw = ("x"):rep(size) }
    end

    it("drops the oldest when it is full", function()
        local kept = ring.new(3 * (512 + 100), 10)
        for id = 1, 4 do
            assert.is_true(kept:add(entry(id, 100)))
        end
        assert.is_nil(kept:get(1))
        assert.are.equal(2, kept:get(2).id)
        assert.are.equal(3 * (512 + 100), kept.bytes)
    end)

    it("takes a source's messages ten times a second, not more", function()
        local kept = ring.new(1000000, 10)
        local count = 0
        for id = 1, 25 do
            count = count + (kept:add(entry(id, 1, 5000, "one")) and 1 or 0)
        end
        assert.are.equal(10, count)
        assert.is_true(kept:add(entry(99, 1, 6000, "one")))
    end)

    it("refuses what would not fit alone", function()
        assert.is_false(ring.new(1000, 10):add(entry(1, 1000)))
    end)

    it("lists newest first", function()
        local kept = ring.new(1000000, 10)
        for id = 1, 5 do
            kept:add(entry(id, 1))
        end
        local found = kept:newest(2, function(one) return one.id < 5 end)
        assert.are.equal(4, found[1].id)
        assert.are.equal(3, found[2].id)
    end)
end)

describe("a verdict", function()
    local function clock()
        local at = 0
        return function()
            at = at + 3
            return at
        end
    end

    it("knows the thirteen checks in order", function()
        assert.are.equal("source size decode form algorithm window identity signature decrypt order amount "
            .. "state commit",
            table.concat(verdict.ORDER, " "))
    end)

    it("is kept in short form and shown in full", function()
        local record = verdict.new(clock())
        record:pass("source")
        record:pass("size")
        record:fail("decode", "why")
        local checks = verdict.decode(record:encode())
        assert.are.same({ name = "decode", verdict = "fail", micros = 3, detail = "why" }, checks[3])
        local view = verdict.view(checks, {})
        assert.are.equal(13, #view)
        assert.are.equal("fail", view[3].verdict)
        assert.are.equal("skipped", view[4].verdict)
        assert.are.equal(json.null, view[4].micros)
    end)

    it("writes marks out as they were made, when it is read", function()
        local record = verdict.new(clock())
        record:mark { "source" }
        record:mark { "form", "algorithm" }
        record:mark { "decrypt", word = "skipped", detail = "not used" }
        local copy = record:copy()
        copy:fail("order", "why")
        local checks = verdict.decode(copy:encode())
        assert.are.same({ name = "form", verdict = "pass", micros = 3 }, checks[2])
        assert.are.same({ name = "algorithm", verdict = "pass", micros = 0 }, checks[3])
        assert.are.same({ name = "decrypt", verdict = "skipped", micros = 3, detail = "not used" }, checks[4])
        assert.are.same({ name = "order", verdict = "fail", micros = 3, detail = "why" }, checks[#checks])
        assert.are.equal(4, #verdict.decode(record:encode()))
    end)

    it("of a failure marks what came before as passed", function()
        local record = verdict.new(clock())
        record:fail("window", "old")
        local words = {}
        for i, check in ipairs(verdict.view(verdict.decode(record:encode()), {})) do
            words[i] = check.verdict
        end
        assert.are.equal("pass pass pass pass pass fail" .. (" skipped"):rep(7),
            table.concat(words, " "))
    end)

    it("without a record has passed, but for what does not apply", function()
        local view = verdict.view(nil, { decrypt = "not used" })
        assert.are.equal("pass", view[1].verdict)
        assert.are.equal("skipped", view[9].verdict)
        assert.are.equal("not used", view[9].detail)
        assert.are.equal("pass", view[13].verdict)
    end)
end)

describe("redact", function()
    local fields = { app_id = "2021000000000001", buyer_id = "2088102116773037",
        buyer_logon_id = "abc@example.com",
        buyer_pay_amount = "12.34", mobile = "13812345678", note = "call 13812345678 & ask=1",
        sign = "c2VjcmV0",
        total_amount = "12.34" }
    local function text_of(except)
        local names, parts = {}, {}
        for name in pairs(fields) do
            if name ~= except then
                names[#names + 1] = name
            end
        end
        table.sort(names)
        for i, name in ipairs(names) do
            parts[i] = name .. "=" .. fields[name]
        end
        return table.concat(parts, "&")
    end

    it("keeps what helps and masks who it is", function()
        local shown = redact.signed_text(text_of("sign"), fields)
        assert.matches("app_id=2021000000000001", shown, 1, true)
        assert.matches("total_amount=12.34", shown, 1, true)
        assert.matches("buyer_pay_amount=12.34", shown, 1, true)
        assert.matches("buyer_id=208…037", shown, 1, true)
        assert.matches("buyer_logon_id=a…@example.com", shown, 1, true)
        assert.matches("mobile=138…5678", shown, 1, true)
        assert.matches("call 138…5678 & ask=1", shown, 1, true)
        for _, secret in ipairs { "2088102116773037", "abc@example.com", "13812345678", "c2VjcmV0" } do
            assert.is_nil(shown:find(secret, 1, true), secret)
        end
    end)

    it("never shows what signs", function()
        assert.is_nil(redact.signed_text(text_of(), fields):find("c2VjcmV0", 1, true))
    end)

    it("hides what is no field of the message", function()
        assert.matches("[hidden]", redact.signed_text(text_of("sign") .. "&x=1", fields), 1, true)
        assert.is_nil(redact.signed_text(text_of("sign") .. "&x=secret", fields):find("secret", 1, true))
    end)

    it("has nothing to show of nothing", function()
        assert.is_nil(redact.signed_text(nil, nil))
    end)
end)
