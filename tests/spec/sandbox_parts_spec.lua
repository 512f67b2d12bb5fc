-- The simulated Alipay's small parts: money as text, pictures of codes, notifications of chosen kinds, and
-- what a test has asked for.
local support = dofile "tests/spec/channel_support.lua"

local behaviour = require "tael.sandbox.alipay.behaviour"
local error_page = require "tael.sandbox.alipay.error_page"
local faults = require "tael.sandbox.alipay.faults"
local hosts = require "tael.sandbox.alipay.hosts"
local picture = require "tael.sandbox.alipay.picture"
local reply = require "tael.sandbox.alipay.reply"
local variants = require "tael.sandbox.alipay.variants"
local wire = require "tael.sandbox.alipay.wire"
local yuan = require "tael.sandbox.alipay.yuan"

describe("sandbox money", function()
    for text, fen in pairs {
        ["0.01"] = 1, ["1"] = 100, ["12.3"] = 1230, ["12.34"] = 1234, ["100000000"] = 10000000000,
        ["100000000.00"] = 10000000000, ["007.10"] = 710,
    } do
        it("reads " .. text, function()
            assert.are.equal(fen, yuan.fen(text))
        end)
    end

    for _, text in ipairs { "0", "0.00", "", "-1", "+1", "1.", ".5", "1.234", "1e3", "1,00", " 1",
        "100000000.01", "1234567890", "０" } do
        it("refuses " .. text, function()
            assert.is_nil(yuan.fen(text))
        end)
    end

    it("refuses what is no text, and writes two decimals", function()
        assert.is_nil(yuan.fen(12))
        assert.is_nil(yuan.fen(nil))
        assert.are.equal("0.05", yuan.text(5))
        assert.are.equal("1234.50", yuan.text(123450))
    end)
end)

describe("sandbox pictures", function()
    --- The modules of a picture, read back from its path.
    local function rows_of(svg, side)
        local grid = {}
        for y = 1, side do
            grid[y] = {}
            for x = 1, side do
                grid[y][x] = "0"
            end
        end
        for x, y, run in svg:gmatch("M(%d+) (%d+)h(%d+)v1h%-%3z") do
            for at = x - 3, x - 4 + run do
                grid[y - 3][at] = "1"
            end
        end
        for y = 1, side do
            grid[y] = table.concat(grid[y])
        end
        return grid
    end

    it("draw every dark module, with four light ones around", function()
        local rows = { "1100", "0000", "1011", "0001" }
        local svg = picture.svg(rows)
        assert.is_truthy(svg:find('viewBox="0 0 12 12"', 1, true))
        assert.are.same(rows, rows_of(svg, 4))
    end)

    it("are of the code of a whole address", function()
        local rows = require("tael.qr").encode("http://127.0.0.1:8090/qr/" .. ("a1"):rep(16))
        assert.are.same(rows, rows_of(picture.svg(rows), #rows))
        assert.are.equal(404, picture.response(("x"):rep(5000)).status)
    end)
end)

describe("sandbox notifications of chosen kinds", function()
    local trade = {
        app_id = support.fields.app_id, out_trade_no = "T12", trade_no = "2026011522001400000000000001",
        status = "TRADE_SUCCESS", total = 2000, refunded = 0, subject = "咖啡", created_at = support.now,
        paid_at = support.now,
    }
    local app = { app_id = trade.app_id, seller_id = support.fields.seller_id,
        alipay_key = support.sign_key("alipay") }

    local function read(body)
        local fields = {}
        return wire.read_form(fields, body) and fields
    end

    local function fits(fields)
        local text = wire.text_to_sign(fields, { sign = true, sign_type = true }, false)
        return fields.sign ~= nil and support.verify_key("alipay"):verify("sha256", text, fields.sign)
    end

    local now = require("tael.time").now
    setup(function()
        require("tael.time").now = function() return support.now end
    end)
    teardown(function()
        require("tael.time").now = now
    end)

    local broken = { tamper = true, bad_signature = true, unsigned = true }
    for _, variant in ipairs(variants.list()) do
        if variant.name ~= "duplicate_parameter" then
            it(variant.name .. (broken[variant.name] and " has no good signature" or " is signed"), function()
                for _, body in ipairs(variants.bodies(trade, app, variant.name, {})) do
                    assert.are.equal(not broken[variant.name], fits(read(body)))
                end
            end)
        end
    end

    local function one(name, changes)
        return read(variants.bodies(trade, app, name, changes or {})[1])
    end

    it("change what their names say", function()
        assert.are.equal("0.01", one("tamper").total_amount)
        assert.are.equal("20.01", one("changed_amount").total_amount)
        assert.are_not.equal(trade.app_id, one("other_app").app_id)
        assert.are_not.equal(app.seller_id, one("other_seller").seller_id)
        assert.are.equal("21T", one("other_order").out_trade_no)
        assert.are.equal("2020-01-15 10:20:30", one("stale").notify_time)
        assert.are.equal("2026-01-14 09:20:30", one("late").gmt_payment)
        assert.are.equal("TRADE_FINISHED", one("finished").trade_status)
        local closed = one("closed")
        assert.are.equal("TRADE_CLOSED", closed.trade_status)
        assert.is_nil(closed.gmt_payment)
        assert.are.equal("0.01", one("partial_refund").refund_fee)
        assert.is_nil(one("unsigned").sign)
        assert.is_nil(read(variants.bodies(trade, app, "duplicate_parameter", {})[1]))
    end)

    it("change the least amount, too", function()
        local least = setmetatable({ total = 1 }, { __index = trade })
        local tampered = read(variants.bodies(least, app, "tamper", {})[1])
        assert.are_not.equal("0.01", tampered.total_amount)
        assert.is_false(fits(tampered))
        assert.are.equal("0.02", read(variants.bodies(least, app, "changed_amount", {})[1]).total_amount)
    end)

    it("come out of order, with more fields, and under their other names", function()
        local bodies = variants.bodies(trade, app, "reorder", {})
        assert.are.equal("TRADE_SUCCESS", read(bodies[1]).trade_status)
        assert.are.equal("WAIT_BUYER_PAY", read(bodies[2]).trade_status)
        assert.are.equal("x", one("duplicate", { extra = "x" }).extra)
        assert.are.equal(variants.get("tamper"), variants.get("tampered_amount"))
        assert.are.equal(variants.get("changed_amount"), variants.get("other_amount"))
        assert.is_nil(variants.bodies(trade, app, "nonsense", {}))
    end)
end)

describe("sandbox behaviour", function()
    local app = { app_id = "1" }

    local function call(op, number)
        return { method = { op = op }, app = app, content = { out_trade_no = number or "T" } }
    end

    local function asked(...)
        local state = { faults = {}, notices = {}, magic = false }
        for _, ask in ipairs { ... } do
            behaviour.ask(state.faults, ask[1], ask[2], { name = ask[3], times = ask[4] or 1, since = 0,
                ops = faults.ops(ask[3]) })
        end
        return state
    end

    local function name(state, ...)
        local fault = behaviour.of_call(state, call(...))
        return fault and fault.name
    end

    it("meets the op it was asked for, as often as was asked", function()
        local state = asked({ "refund", nil, "busy_before", 2 })
        assert.is_nil(name(state, "query"))
        assert.are.equal("busy_before", name(state, "refund"))
        assert.are.equal("busy_before", name(state, "refund"))
        assert.is_nil(name(state, "refund"))
    end)

    it("prefers one order to its op, and an op to all", function()
        local state = asked({ "*", nil, "html" }, { "refund", nil, "empty" }, { "refund", "T", "garbage" })
        assert.are.equal("empty", name(state, "refund", "U"))
        assert.are.equal("garbage", name(state, "refund", "T"))
        assert.are.equal("html", name(state, "refund", "T"))
        assert.is_nil(name(state, "refund", "T"))
    end)

    it("meets one order by whatever it asks for first", function()
        local state = asked({ "*", "T", "html" }, { "*", nil, "empty" })
        assert.are.equal("empty", name(state, "query", "U"))
        assert.are.equal("html", name(state, "query", "T"))
        assert.is_nil(name(state, "query", "T"))
    end)

    it("waits for what it can meet", function()
        local state = asked({ "*", nil, "in_process" }, { "*", "T", "payer_balance_too_low" })
        assert.is_nil(name(state, "query"))
        assert.are.equal("in_process", name(state, "refund"))
        assert.is_nil(behaviour.of_payer(state, { app_id = "1", out_trade_no = "U", total = 1 }))
        local met = behaviour.of_payer(state, { app_id = "1", out_trade_no = "T", total = 1 })
        assert.are.equal("payer_balance_too_low", met and met.name)
    end)

    it("does not meet pages and payers unless they are named", function()
        local state = asked({ "*", nil, "html" })
        assert.is_nil(name(state, "page"))
        assert.is_nil(behaviour.of_payer(state, { app_id = "1", out_trade_no = "T", total = 1 }))
        assert.are.equal("html", name(state, "close"))
    end)

    it("forgets an op, or all, and lists what is left", function()
        local state = asked({ "refund", nil, "html" }, { "refund", "T", "html" },
            { "refund_query", nil, "html" })
        behaviour.forget(state.faults, "refund")
        assert.are.same({ { op = "refund_query", fault = "html", times = 1 } }, behaviour.list(state.faults))
        behaviour.ask(state.faults, "close", "T", { name = "empty", times = 1, since = 0 })
        behaviour.forget(state.faults, nil, "T")
        assert.are.same({ { op = "refund_query", fault = "html", times = 1 } }, behaviour.list(state.faults))
        behaviour.forget(state.faults)
        assert.are.same({}, behaviour.list(state.faults))
    end)

    it("names faults by what they can meet", function()
        assert.are.equal("busy_after", faults.name("system_error", "query"))
        assert.are.equal("html", faults.name("not_json", "*"))
        assert.are.equal("in_process", faults.name("in_process", "*"))
        assert.is_nil(faults.name("in_process", "query"))
        assert.is_nil(faults.name("html", "pay"))
        assert.is_nil(faults.name(nil, "*"))
        assert.is_nil(faults.name({}, "*"))
    end)
end)

describe("a form of the sandbox", function()
    it("names what is at fault in it in UTF-8, whatever charset it was written in", function()
        local good, name = wire.read_form({}, "a=1&\xC9\xCC\xC6\xB7=%C9%CC")
        assert.is_nil(good)
        assert.are.equal("????", name)
        local page = error_page.response("isv.invalid-parameter", "参数无效：" .. name)
        assert.are.equal(200, page.status)
    end)
end)

describe("sandbox levers", function()
    it("are pulled by no page of another origin", function()
        for _, case in ipairs {
            { false, {} }, { false, { host = "127.0.0.1:8090" } },
            { false, { host = "127.0.0.1:8090", origin = "http://127.0.0.1:8090",
                ["sec-fetch-site"] = "same-origin" } },
            { false, { host = "127.0.0.1:8090", origin = "http://127.0.0.1:8090" } },
            { false, { host = "sandbox.example", origin = "https://sandbox.example" } },
            { true, { host = "127.0.0.1:8090", origin = "https://evil.example" } },
            { true, { host = "127.0.0.1:8090", origin = "http://127.0.0.1:8080" } },
            { true, { host = "127.0.0.1:8090", origin = "null" } },
            { true, { host = "127.0.0.1:8090", ["sec-fetch-site"] = "cross-site" } },
            { true, { host = "127.0.0.1:8090", ["sec-fetch-site"] = "same-site" } },
        } do
            assert.equal(case[1], reply.is_foreign { headers = case[2] }, case[2].origin)
        end
    end)

    it("answer on loopback to no name that anybody could have led there", function()
        local gateway = "https://pay.shop.test:8443/gateway.do?x=1"
        local own = hosts.own("127.0.0.1:8090", { { gateway = gateway }, {} })
        for _, host in ipairs { "127.0.0.1:8090", "127.0.0.1", "10.0.2.2:8090", "[::1]:8090", "LocalHost:1",
            "a.localhost", "pay.shop.test:8443", "pay.shop.test" } do
            assert.is_false(hosts.is_foreign(own, host), host)
        end
        for _, host in ipairs { "evil.example:8090", "127.0.0.1.evil.example", "xlocalhost", "shop.test",
            "[::1", "" } do
            assert.is_true(hosts.is_foreign(own, host), host)
        end
        assert.is_false(hosts.is_foreign(own, nil))
        for _, address in ipairs { "0.0.0.0:8090", "[::]:8090", "10.1.2.3:8090", "sandbox:8090" } do
            assert.is_false(hosts.is_foreign(hosts.own(address, {}), "sandbox:8090"), address)
        end
        for _, address in ipairs { "localhost:8090", "[::1]:8090", "127.9.9.9:1" } do
            assert.is_true(hosts.is_foreign(hosts.own(address, {}), "sandbox:8090"), address)
        end
    end)

    it("read parameters and bodies", function()
        local request = { query = "a=1&out_trade_no=T_1&b=x%20y", body = '{"a":1}' }
        assert.are.equal("T_1", reply.parameter(request, "out_trade_no"))
        assert.are.equal("1", reply.parameter(request, "a"))
        assert.is_nil(reply.parameter(request, "c"))
        assert.are.same({ a = 1 }, reply.read(request))
        assert.are.same({}, reply.read { body = "" })
        assert.is_nil(reply.read { body = "[1]" })
        assert.is_nil(reply.read { body = "1" })
        assert.is_nil(reply.read { body = "{" })
    end)
end)
