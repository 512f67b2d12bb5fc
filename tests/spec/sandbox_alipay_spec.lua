-- The simulated Alipay's own reading, writing and signing against the vectors, and the order of its checks.
local support = dofile "tests/spec/channel_support.lua"

local json = require "tael.json"
local time = require "tael.time"

local clock = require "tael.sandbox.alipay.clock"
local error_page = require "tael.sandbox.alipay.error_page"
local gateway = require "tael.sandbox.alipay.gateway"
local html = require "tael.sandbox.html"
local wire = require "tael.sandbox.alipay.wire"

local function copy(fields, changed)
    local out = {}
    for name, value in pairs(fields) do
        out[name] = value
    end
    for name, value in pairs(changed or {}) do
        out[name] = value ~= "absent" and value or nil
    end
    return out
end

local function read(...)
    local fields = {}
    for _, text in ipairs { ... } do
        assert.is_true(wire.read_form(fields, text))
    end
    return fields
end

describe("sandbox alipay, requests", function()
    for _, case in ipairs(support.cases "request_sign") do
        it("makes the merchant's text of " .. case.id .. " and verifies its signature", function()
            local keep_empty = case.normative == false
            assert.are.equal(case.string_to_sign, wire.text_to_sign(case.params, { sign = true }, keep_empty))
            if case.sign_type == "RSA" then
                return -- the simulated Alipay takes RSA2 alone, as it does for new applications
            end
            local key = support.verify_key(case.key)
            assert.is_true((wire.verify_request(copy(case.params, { sign = case.sign }), key)))
            assert.is_false((wire.verify_request(copy(case.params, { sign = case.sign, app_id = "1" }), key)))
        end)
    end

    it("reads what the official library puts on the wire", function()
        for _, case in ipairs(support.cases "wire_page_get") do
            assert.are.same(copy(case.params, { sign = case.sign }), read(case.url:match("%?(.*)$")))
        end
        for _, case in ipairs(support.cases "wire_execute") do
            assert.are.same(copy(case.params, { sign = case.sign }),
                read(case.http.url:match("%?(.*)$"), case.http.body))
        end
    end)

    it("reads back what it writes", function()
        local fields = { a = "1 + 1 = 2 & 3", ["名"] = "值 %25", empty = "", z = "~*'()!" }
        assert.are.same(fields, read(wire.write_form(fields)))
    end)

    for text, name in pairs {
        ["a=1&a=2"] = "a", ["a=%zz"] = "a", ["a=%2"] = "a", ["a=%"] = "a", ["a=%ff"] = "a",
        ["charset=utf-8&charset=gbk"] = "charset",
    } do
        it("refuses the form " .. text, function()
            local good, fault = wire.read_form({}, text)
            assert.is_nil(good)
            assert.are.equal(name, fault)
        end)
    end

    it("lets the charset be said twice alike", function()
        assert.are.same({ charset = "utf-8", a = "1" }, read("charset=utf-8", "a=1&charset=utf-8"))
    end)
end)

describe("sandbox alipay, what it signs", function()
    local key = support.sign_key("alipay")

    for _, case in ipairs(support.cases "notify_verify") do
        local v1 = case.valid and case.params.sign_type == "RSA2" and case.id ~= "ali-037"
            and case.normative ~= false
        if v1 then
            it("signs the notification " .. case.id .. " as Alipay's key did", function()
                assert.are.equal(case.params.sign, wire.sign_fields(case.params, key))
                assert.are.same(case.params, read(case.body))
            end)
        end
    end

    for _, case in ipairs(support.cases "response_verify") do
        if case.valid and case.sign_type == "RSA2" and case.id ~= "ali-053" then
            it("signs the answer " .. case.id .. " as Alipay's key did", function()
                local sign = key:sign("sha256", case.expect_node)
                assert.is_truthy(case.body:find('"' .. sign .. '"', 1, true))
            end)
        end
    end

    it("writes an answer as the gateway does: node first, no blanks, slashes escaped", function()
        local node = wire.json_object({ { "code", "10000" }, { "absent", nil },
            { "url", 'https://a/"b"\n' } }, true)
        assert.are.equal([[{"code":"10000","url":"https:\/\/a\/\"b\"\n"}]], node)
        assert.are.equal([[{"x_response":]] .. node .. [[,"sign":"AA=="}]],
            wire.answer("x_response", node, "AA=="))
        assert.are.equal([[{"error_response":{}}]], wire.answer("error_response", "{}"))
    end)
end)

describe("sandbox alipay, the gateway's checks", function()
    local now = time.now
    local state

    setup(function()
        time.now = function() return support.now end
        state = { speed = 1, faults = {}, notices = {}, apps = { [support.fields.app_id] = {
            app_id = support.fields.app_id, seller_id = support.fields.seller_id,
            alipay_key = support.sign_key("alipay"), merchant_key = support.verify_key("merchant"),
        } } }
    end)
    teardown(function()
        time.now = now
    end)

    local good = {
        app_id = support.fields.app_id, method = "alipay.trade.query", charset = "utf-8", format = "JSON",
        version = "1.0", sign_type = "RSA2", timestamp = "2026-01-15 10:20:30",
        biz_content = '{"out_trade_no":"T1"}',
    }

    local function signed(changed)
        local fields = copy(good, changed)
        fields.sign = support.sign_key("merchant"):sign("sha256",
            wire.text_to_sign(fields, { sign = true }, false))
        return fields
    end

    local function ask(fields)
        local response = gateway.handle(state,
            { method = "GET", query = wire.write_form(fields), headers = {}, body = "" })
        assert.are.equal(200, response.status)
        return response, json.decode(response.body)
    end

    it("answers signed, in Alipay's shape", function()
        local response, body = ask(signed())
        assert.are.equal("text/html;charset=utf-8", response.headers["content-type"])
        assert.are.equal(32, #response.headers.trace_id)
        local node = response.body:match('^{"alipay_trade_query_response":(.*),"sign":"[^"]*"}$')
        assert.is_true(support.verify_key("alipay"):verify("sha256", node, body.sign))
        assert.are.equal("ACQ.TRADE_NOT_EXIST", body.alipay_trade_query_response.sub_code)
    end)

    local own, old = "alipay_trade_query_response", "error_response"
    -- in order; each row breaks its own step and every one below it
    local steps = {
        { { method = "absent" }, "40001", "isv.missing-method", old, false },
        { { method = "alipay.trade.fly" }, "40002", "isv.invalid-method", old, false },
        { { app_id = "absent" }, "40001", "isv.missing-app-id", own, false },
        { { app_id = "2021999999999999" }, "40002", "isv.invalid-app-id", own, false },
        { { timestamp = "absent" }, "40001", "isv.missing-timestamp", own, true },
        { { timestamp = "2026-01-15T10:20:30" }, "40002", "isv.invalid-timestamp", own, true },
        { { version = "absent" }, "40001", "isv.missing-version", own, true },
        { { version = "2.0" }, "40002", "isv.invalid-parameter", own, true },
        { { sign_type = "absent" }, "40001", "isv.missing-signature-type", own, true },
        { { sign_type = "RSA" }, "40002", "isv.invalid-signature-type", own, true },
        { { charset = "gbk" }, "40002", "isv.invalid-charset", own, true },
        { { format = "xml" }, "40002", "isv.invalid-format", own, true },
        { { sign = "absent" }, "40001", "isv.missing-signature", own, true },
        { { sign = "AAAA" }, "40002", "isv.invalid-signature", own, true },
    }
    for i, step in ipairs(steps) do
        it("says " .. step[3] .. " before anything later", function()
            local fields = signed()
            for later = #steps, i, -1 do
                fields = copy(fields, steps[later][1])
            end
            local _, body = ask(fields)
            local node = body[step[4]]
            assert.are.equal(step[2], node.code)
            assert.are.equal(step[3], node.sub_code)
            assert.are.equal(step[5], body.sign ~= nil)
        end)
    end

    for changed, sub_code in pairs {
        [{ biz_content = "{" }] = "isv.illegal-json", [{ biz_content = "absent" }] = "isv.illegal-json",
        [{ biz_content = "[]" }] = "isv.illegal-json",
        [{ encrypt_type = "AES" }] = "isv.invalid-encrypt-type",
        [{ biz_content = "{}" }] = "ACQ.INVALID_PARAMETER",
    } do
        it("says " .. sub_code .. " to what is signed but wrong", function()
            local _, body = ask(signed(changed))
            assert.are.equal(sub_code, body.alipay_trade_query_response.sub_code)
            assert.is_truthy(body.sign)
        end)
    end

    it("quotes its own text when a signature does not fit", function()
        local _, body = ask(copy(signed(), { timestamp = "2026-01-15 10:20:31" }))
        local message = body.alipay_trade_query_response.sub_msg
        assert.is_truthy(message:find("验签字符串为：app_id=2021000000000001&amp;biz_content=", 1, true))
        assert.is_truthy(message:find("timestamp=2026-01-15 10:20:31", 1, true))
    end)

    it("shows the payer a page in GBK when a page request is wrong", function()
        local response = ask(signed { method = "alipay.trade.page.pay", biz_content = "{}" })
        assert.are.equal("text/html;charset=GBK", response.headers["content-type"])
    end)

    it("refuses other HTTP methods", function()
        assert.are.equal(405, gateway.handle(state, { method = "PUT", headers = {}, body = "" }).status)
    end)
end)

describe("sandbox alipay, an order's end", function()
    local day = 86400000
    -- 2026-01-15 10:20:30 in Beijing
    for text, expected in pairs {
        ["1m"] = support.now + 60000, ["90m"] = support.now + 90 * 60000, ["2h"] = support.now + 7200000,
        ["15d"] = support.now + 15 * day, ["1c"] = 1768492800000,
    } do
        it("reads timeout_express " .. text, function()
            assert.are.equal(expected, clock.expiry({ timeout_express = text }, support.now, 15 * day))
        end)
    end

    for _, text in ipairs { "0m", "16d", "1.5h", "5", "m", "1w", "-1m", "01m" } do
        it("refuses timeout_express " .. text, function()
            local at, name = clock.expiry({ timeout_express = text }, support.now, 15 * day)
            assert.is_nil(at)
            assert.are.equal("timeout_express", name)
        end)
    end

    it("lets time_expire win, and has a default", function()
        assert.are.equal(support.now, clock.expiry({ time_expire = "2026-01-15 10:20:30",
            timeout_express = "5d" }, 0, day))
        assert.are.equal(support.now + 3 * day, clock.expiry({}, support.now, 3 * day))
        assert.are.equal("time_expire", select(2, clock.expiry({ time_expire = "tomorrow" }, 0, day)))
    end)
end)

describe("sandbox pages", function()
    it("escape everything that came from outside", function()
        assert.are.equal("&lt;a href=&quot;x&quot;&gt;&amp;&#39;", html.escape [[<a href="x">&']])
    end)

    it("show an error in GBK bytes and numbers of characters", function()
        local response = error_page.response("isv.invalid-signature", "验<b>")
        assert.is_truthy(response.body:find("\xB4\xED\xCE\xF3\xB4\xFA\xC2\xEB invalid-signature", 1, true))
        assert.is_truthy(response.body:find("&#39564;&#60;b&#62;", 1, true))
    end)

    it("let a form lead away only where the shop asked for it", function()
        local stays = html.page { title = "t", content = "" }.headers["content-security-policy"]
        local leaves = html.page { title = "t", content = "", leaves = true }
            .headers["content-security-policy"]
        assert.is_truthy(stays:find("form-action 'self';", 1, true))
        assert.is_truthy(leaves:find("form-action 'self' https: http:;", 1, true))
        assert.is_nil(stays:find("script", 1, true))
    end)
end)
