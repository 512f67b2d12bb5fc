-- What a package returns is copied member by member, with every type checked; nothing of its own runs.
local support = dofile "tests/spec/channel_support.lua"

local actions = require "tael.channel.actions"
local shapes = require "tael.channel.shapes"

local _ = support

--- A table whose metamethods raise, whichever is touched.
local function booby_trap(value)
    local function trap() error("a metamethod ran") end
    return setmetatable(value or {}, { __index = trap, __newindex = trap, __pairs = trap, __len = trap,
        __tostring = trap, __name = "trap", __eq = trap, __concat = trap, __call = trap })
end

describe("channel.actions", function()
    local good = {
        redirect = { type = "redirect", method = "GET", url = "https://pay.example/x?a=1" },
        form = { type = "form", method = "POST", url = "https://pay.example/x", charset = "utf-8",
            fields = { a = "1\n2", empty = "" } },
        ["qr_code"] = { type = "qr_code", code_url = "weixin://wxpay/bizpayurl?pr=1" },
        ["app with an order"] = { type = "app", sdk = "alipay", order_string = "a=1&b=2" },
        ["app with parameters"] = { type = "app", sdk = "wechat", params = { appid = "1" } },
        jsapi = { type = "jsapi", bridge = "WeixinJSBridge", params = { timeStamp = "1" } },
        mini_program = { type = "mini_program", api = "my.tradePay", params = { tradeNO = "1" } },
        wait = { type = "wait", poll_after_ms = 1000, hint = "payer_password" },
        confirm_transfer = { type = "confirm_transfer", api = "wx.x", params = { mchId = "1" } },
        sdk = { type = "sdk", sdk = "stripe", params = { client_secret = "1" } },
    }
    for what, action in pairs(good) do
        it("copies a " .. what, function()
            local copy = assert(actions.check(action))
            assert.are.same(action, copy)
            assert.are_not.equal(action, copy)
        end)
    end

    local function with(base, changed)
        local copy = {}
        for name, value in pairs(good[base]) do copy[name] = value end
        for name, value in pairs(changed) do copy[name] = value ~= "absent" and value or nil end
        return copy
    end
    for what, action in pairs {
        ["no table"] = "redirect", ["no type"] = {}, ["an unknown type"] = { type = "teleport" },
        ["a type that is no text"] = { type = {} },
        ["a script as address"] = with("redirect", { url = "javascript:alert(1)" }),
        ["an address with a blank"] = with("redirect", { url = "https://pay.example/a b" }),
        ["an address with a line break"] = with("redirect", { url = "https://pay.example/\n" }),
        ["an address without a host"] = with("redirect", { url = "https:///x" }),
        ["an address that is too long"] = with("redirect", { url = "https://e/" .. ("a"):rep(16384) }),
        ["another method"] = with("redirect", { method = "POST" }),
        ["no method"] = with("form", { method = "absent" }),
        ["fields that are no texts"] = with("form", { fields = { a = 1 } }),
        ["fields that are not UTF-8"] = with("form", { fields = { a = "\xff" } }),
        ["no fields"] = with("form", { fields = {} }),
        ["a foreign member"] = with("redirect", { page_url = "https://evil.example" }),
        ["an empty code"] = with("qr_code", { code_url = "" }),
        ["a number as code"] = with("qr_code", { code_url = 5 }),
        ["neither order nor parameters"] = with("app with an order", { order_string = "absent" }),
        ["both order and parameters"] = with("app with an order", { params = { a = "1" } }),
        ["a float to wait"] = with("wait", { poll_after_ms = 0.5 }),
        ["nothing to wait"] = with("wait", { poll_after_ms = 0 }),
        ["an unknown hint"] = with("wait", { hint = "soon" }),
    } do
        it("refuses " .. what, function()
            local copy, wrong = actions.check(action)
            assert.is_nil(copy)
            assert.are.equal("string", type(wrong))
        end)
    end

    it("runs no metamethod", function()
        assert.is_nil(actions.check(booby_trap()))
        assert.is_nil(actions.check(booby_trap { type = booby_trap() }))
        assert.are.same(good.redirect, actions.check(booby_trap(with("redirect", {}))))
        local fields = booby_trap { a = "1" }
        assert.are.same({ a = "1" }, actions.check(with("form", { fields = fields })).fields)
    end)
end)

describe("channel.shapes.result", function()
    it("copies what it knows and leaves the rest", function()
        local given = {
            code = "OK", channel_code = "SUB", message = "fine", state = "PAID", trade_no = "T",
            order_no = "O",
            refund_no = "R", currency = "CNY", trace_no = "x", amount = 1, refunded_total = 2, at = 3,
            reversed = true, again = false, given_back = true, payer = { buyer_id = "2088" },
        }
        local copy = assert(shapes.result("query", given))
        assert.are.same(given, copy)
        assert.are_not.equal(given.payer, copy.payer)
        given.surprise = function() end
        assert.is_nil(shapes.result("query", given).surprise)
    end)

    for name, value in pairs {
        code = 5, channel_code = {}, state = 1, trade_no = 1, order_no = true, refund_no = 1, currency = 1,
        trace_no = 1, amount = "1", refunded_total = 1.0, at = "3", reversed = "Y", again = 1,
        given_back = 1, payer = "2088",
    } do
        it("refuses a wrong " .. name, function()
            local given = { code = "OK" }
            given[name] = value
            local copy, wrong = shapes.result("query", given)
            assert.is_nil(copy)
            assert.are.equal("parse gave a wrong " .. name, wrong)
        end)
    end

    it("refuses a long or broken text, and a payer that is more than texts", function()
        for _, given in ipairs {
            { code = ("x"):rep(1025) }, { code = "\xff" }, { code = "OK", payer = { a = {} } },
            { code = "OK", payer = { "a" } },
        } do
            assert.is_nil((shapes.result("query", given)))
        end
        assert.are.same({ nil, "the answer has no code" }, { shapes.result("query", { code = "" }) })
        assert.are.same({ nil, "parse gave no result" }, { shapes.result("query", "OK") })
    end)

    it("cuts a message, and drops one that is not a text", function()
        local copy = shapes.result("query", { code = "OK", message = "a" .. ("咖"):rep(400) .. "\n" })
        assert.is_true(#copy.message < 600)
        assert.is_truthy(utf8.len(copy.message))
        assert.are.equal("a b", shapes.result("query", { code = "OK", message = "a\r\nb" }).message)
        assert.is_nil(shapes.result("query", { code = "OK", message = {} }).message)
    end)

    it("lets a cancel say only that it cancelled", function()
        assert.are.equal("cancelled", shapes.result("cancel", { code = "OK", state = "cancelled" }).state)
        assert.is_nil(shapes.result("cancel", { code = "OK" }).state)
        assert.is_nil((shapes.result("cancel", { code = "OK", state = "succeeded" })))
        assert.are.equal("close", shapes.result("cancel", { code = "OK", channel_state = "close" })
            .channel_state)
    end)

    it("takes a next_action of a create alone", function()
        local given = { code = "OK", next_action = { type = "qr_code", code_url = "https://q" } }
        assert.are.same(given.next_action, shapes.result("create", given).next_action)
        assert.is_nil(shapes.result("query", given).next_action)
        given.next_action.code_url = 5
        local _, wrong = shapes.result("create", given)
        assert.are.equal("parse gave a next_action with a wrong code_url", wrong)
    end)

    it("runs no metamethod", function()
        assert.are.same({ nil, "the answer has no code" }, { shapes.result("query", booby_trap()) })
        assert.is_nil((shapes.result("query", { code = booby_trap() })))
        assert.is_nil((shapes.result("query", { code = "OK", payer = { a = booby_trap() } })))
    end)
end)

describe("channel.shapes.request", function()
    it("fills in the method", function()
        assert.are.same({ method = "GET", url = "https://a/" }, shapes.request { url = "https://a/" })
        assert.are.same({ method = "POST", url = "https://a/", form = { a = "1" }, timeout_ms = 500 },
            shapes.request { url = "https://a/", form = { a = "1" }, timeout_ms = 500 })
    end)

    for what, request in pairs {
        ["without a url"] = {}, ["with a file as url"] = { url = "file:///etc/passwd" },
        ["with a line break in the url"] = { url = "https://a/\r\nx: y" },
        ["with an unknown method"] = { url = "https://a/", method = "CONNECT" },
        ["with an unknown member"] = { url = "https://a/", unix = "/run/docker.sock" },
        ["with two bodies"] = { url = "https://a/", form = { a = "1" }, body = "x" },
        ["with a number in its form"] = { url = "https://a/", form = { a = 1 } },
        ["with a body that is not UTF-8"] = { url = "https://a/", body = "\xff" },
        ["with headers that are no texts"] = { url = "https://a/", headers = { a = {} } },
        ["that waits for ever"] = { url = "https://a/", timeout_ms = 60001 },
        ["that does not wait"] = { url = "https://a/", timeout_ms = 0 },
        ["that is both local and sent"] = { url = "https://a/", ["local"] = {
            next_action = { type = "qr_code", code_url = "x" } } },
        ["whose local has no action"] = { ["local"] = {} },
        ["whose local is no table"] = { ["local"] = true },
        ["whose local action is wrong"] = { ["local"] = { next_action = { type = "redirect" } } },
    } do
        it("refuses one " .. what, function()
            local copy, wrong = shapes.request(request)
            assert.is_nil(copy)
            assert.are.equal("string", type(wrong))
        end)
    end

    it("runs no metamethod", function()
        assert.is_nil((shapes.request(booby_trap())))
        assert.is_nil((shapes.request { url = booby_trap() }))
        assert.is_nil((shapes.request { ["local"] = booby_trap() }))
    end)
end)

describe("channel.shapes.line", function()
    it("makes one short line of anything", function()
        assert.are.equal("a b", shapes.line("a\n\tb"))
        assert.are.equal("a table", shapes.line(booby_trap()))
        assert.are.equal("5", shapes.line(5))
        assert.are.equal("a nil", shapes.line(nil))
        assert.is_true(#shapes.line(("x"):rep(9999)) < 600)
    end)
end)
