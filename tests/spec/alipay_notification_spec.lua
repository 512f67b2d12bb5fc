-- The notification's steps, one by one: shape, claims, identity, signature, facts.
local support = dofile "tests/spec/channel_support.lua"

local crypto = require "tael.crypto"
local form = require "tael.form"
local loader = require "tael.channel.loader"
local message = require "tael.message"
local notification = require "tael.channel.notification"
local returned = require "tael.channel.returned"

local package = loader.load(support.scripts).alipay
local account = support.account(package)

local function sign(fields)
    local text = form.canonical(fields, { except = { "sign", "sign_type" } })
    return support.sign_key("alipay"):sign("sha256", text)
end

local function fields_with(changed)
    local fields = {
        notify_time = "2026-01-15 10:25:00", notify_type = "trade_status_sync", notify_id = "n1",
        charset = "utf-8", version = "1.0", sign_type = "RSA2", app_id = support.fields.app_id,
        auth_app_id = support.fields.app_id, trade_no = "2026011522001400000000000001",
        out_trade_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE", seller_id = support.fields.seller_id,
        trade_status = "TRADE_SUCCESS", total_amount = "12.34", subject = "coffee",
        gmt_payment = "2026-01-15 10:24:58",
    }
    for name, value in pairs(changed or {}) do
        fields[name] = value ~= "absent" and value or nil
    end
    return fields
end

--- A signed notification; `after` changes fields once it is signed.
local function inbound(changed, after)
    local fields = fields_with(changed)
    fields.sign = sign(fields)
    for name, value in pairs(after or {}) do
        fields[name] = value ~= "absent" and value or nil
    end
    return assert(message.new {
        account = support.account_id, raw = form.encode(fields), content = "form", charset = "utf-8",
        at = support.now,
    })
end

local function facts(changed)
    local evidence = assert(notification.verify(package, account, inbound(changed)))
    return notification.facts(package, account, evidence)
end

describe("alipay notification, form and algorithm", function()
    it("passes what is whole", function()
        assert.is_truthy(notification.claims(package, account, inbound()))
    end)

    for what, case in pairs {
        ["no signature"] = { nil, { sign = "absent" }, "form", "sign is missing" },
        ["an empty signature"] = { nil, { sign = "" }, "form", "sign is missing" },
        ["no notify_id"] = { { notify_id = "absent" }, nil, "form", "notify_id is missing" },
        ["no time"] = { { notify_time = "absent" }, nil, "form", "notify_time is missing" },
        ["a time that is none"] = { { notify_time = "yesterday" }, nil, "form", "notify_time is not a time" },
        ["no app_id"] = { { app_id = "absent" }, nil, "form", "app_id is missing" },
        ["another charset"] = { { charset = "gbk" }, nil, "form", "charset is not utf-8" },
        ["a weaker algorithm"] = { { sign_type = "RSA" }, nil, "algorithm", "sign_type is not RSA2" },
        ["no algorithm"] = { { sign_type = "absent" }, nil, "form", "sign_type is missing" },
        ["a signature of another length"] = { nil, { sign = ("A"):rep(172) }, "algorithm",
            "the signature is not as long as the key demands" },
    } do
        it("refuses " .. what, function()
            local claims, refusal = notification.claims(package, account, inbound(case[1], case[2]))
            assert.is_nil(claims)
            assert.are.same({ check = case[3], detail = case[4] }, refusal)
        end)
    end
end)

describe("alipay notification, claims and identity", function()
    it("reads who, what and when, proving nothing", function()
        local claims = assert(notification.claims(package, account, inbound()))
        assert.are.same({
            identity = { app_id = support.fields.app_id, seller_id = support.fields.seller_id },
            order_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE", trade_no = "2026011522001400000000000001",
            notification_id = "n1", at = 1768443900000,
        }, claims)
        assert.is_true(notification.identity(package, account, claims))
    end)

    for name, value in pairs { app_id = "2021009999999999", seller_id = "2088999999999999" } do
        it("refuses another " .. name, function()
            local claims = assert(notification.claims(package, account, inbound { [name] = value }))
            local good, refusal = notification.identity(package, account, claims)
            assert.is_nil(good)
            assert.are.same({ check = "identity", detail = name .. " is not this account's" }, refusal)
        end)
    end
end)

describe("alipay notification, signature", function()
    it("gives evidence of this message, showing only what was signed", function()
        local received = inbound()
        local evidence = assert(notification.verify(package, account, received))
        assert.is_true(message.check(evidence, received))
        assert.are.equal("12.34", evidence.form.total_amount)
        assert.is_nil(evidence.form.sign)
        assert.is_nil(evidence.form.sign_type)
    end)

    it("says which text should have been signed, and with which key", function()
        local evidence, refusal = notification.verify(package, account,
            inbound(nil, { total_amount = "0.01" }))
        assert.is_nil(evidence)
        assert.are.equal("signature", refusal.check)
        assert.are.equal(account.alipay_key:id(), refusal.key_id)
        assert.is_truthy(refusal.signed_text:find("&total_amount=0.01&", 1, true))
        assert.is_nil(refusal.signed_text:find("sign=", 1, true))
    end)

    it("refuses what the merchant itself could have signed", function()
        local fields = fields_with()
        local text = form.canonical(fields, { except = { "sign", "sign_type" } })
        local good = notification.verify(package, account,
            inbound(nil, { sign = support.sign_key("merchant"):sign("sha256", text) }))
        assert.is_nil(good)
    end)

    it("accepts an empty value whether or not it was signed", function()
        local fields = fields_with { body = "" }
        for _, drop_empty in ipairs { true, false } do
            for _, except in ipairs { { "sign", "sign_type" }, { "sign" } } do
                local text = form.canonical(fields, { except = except, drop_empty = drop_empty })
                local signature = support.sign_key("alipay"):sign("sha256", text)
                local received = inbound({ body = "" }, { sign = signature })
                assert.is_truthy((notification.verify(package, account, received)))
            end
        end
    end)

    it("survives a package that raises or borrows evidence", function()
        local borrowed = assert(notification.verify(package, account, inbound()))
        for _, verify in ipairs {
            function() error("boom") end, function() return borrowed end, function() return {} end,
            function() return true end,
        } do
            local lying = setmetatable({
                notification = setmetatable({ verify = verify }, { __index = package.notification }),
            }, { __index = package })
            local evidence, refusal = notification.verify(lying, account, inbound())
            assert.is_nil(evidence)
            assert.are.equal("signature", refusal.check)
        end
    end)
end)

describe("alipay notification, facts", function()
    it("states a payment", function()
        local list = assert(facts())
        assert.are.equal(1, #list)
        list[1].payer = nil
        assert.are.same({
            kind = "payment", order_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE",
            trade_no = "2026011522001400000000000001", state = "succeeded", channel_state = "TRADE_SUCCESS",
            amount = 1234, currency = "CNY", seller = support.fields.seller_id, at = 1768443898000,
        }, list[1])
    end)

    it("states a partial refund beside the payment that it confirms", function()
        local list = assert(facts {
            refund_fee = "3.00", out_biz_no = "R1", gmt_refund = "2026-01-16 09:00:00.320",
        })
        assert.are.equal("succeeded", list[1].state)
        assert.is_nil(list[1].given_back)
        assert.are.same({ kind = "refund", order_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE",
            trade_no = "2026011522001400000000000001", refund_no = "R1", at = 1768525200320 }, list[2])
    end)

    it("does not take a trade closed by a full refund for one that expired", function()
        local list = assert(facts { trade_status = "TRADE_CLOSED", refund_fee = "12.34" })
        assert.are.equal("unknown", list[1].state)
        assert.is_true(list[1].given_back)
        assert.is_nil(list[1].alarm)
        assert.are.equal("refund", list[2].kind)
        list = assert(facts { trade_status = "TRADE_CLOSED", gmt_payment = "absent" })
        assert.are.equal("expired", list[1].state)
        assert.is_nil(list[1].alarm)
    end)

    it("alarms for a word that is not mapped", function()
        local list = assert(facts { trade_status = "TRADE_TELEPORTED" })
        assert.are.equal("unknown", list[1].state)
        assert.are.equal("alipay: the state 'TRADE_TELEPORTED' is not mapped", list[1].alarm)
    end)

    for _, amount in ipairs { "12.345", "1e1", "", "12,34", "-12.34", "absent" } do
        it("refuses the amount '" .. amount .. "'", function()
            local list, refusal = facts { total_amount = amount }
            assert.is_nil(list)
            assert.are.equal("form", refusal.check)
        end)
    end
end)

--- A notification as these bytes; nil and why when they are no form.
local function received(raw)
    return message.new {
        account = support.account_id, raw = raw, content = "form", charset = "utf-8", at = support.now,
    }
end

--- The signed fields as a body, each value written by `write`.
local function body_of(fields, write)
    fields.sign = sign(fields)
    local parts = {}
    for name, value in pairs(fields) do
        parts[#parts + 1] = write(name) .. "=" .. write(value)
    end
    return table.concat(parts, "&")
end

describe("alipay notification, ways to write the same", function()
    local plain = crypto.url.encode
    local fields = { subject = "咖啡 + 50% a=b&c", passback_params = "merchant%3D1%26x%3D%2B%25",
        body = '{"a":"\\/"}' }
    for what, write in pairs {
        ["upper-case escapes"] = plain,
        ["lower-case escapes"] = function(text) return (plain(text):gsub("%%%x%x", string.lower)) end,
        ["a plus for a blank"] = function(text) return (plain(text):gsub("%%20", "+")) end,
        ["every byte escaped"] = function(text)
            return (text:gsub(".", function(byte) return ("%%%02x"):format(byte:byte()) end))
        end,
    } do
        it("verifies with " .. what, function()
            local inbound_message = assert(received(body_of(fields_with(fields), write)))
            local evidence = assert(notification.verify(package, account, inbound_message))
            for name, value in pairs(fields) do
                assert.are.equal(value, evidence.form[name])
            end
        end)
    end

    it("decodes once: what the merchant encoded stays encoded", function()
        local raw = body_of(fields_with { passback_params = "a%3D1%26b" }, plain)
        local twice = raw:gsub("%%25", "%%") -- as if a framework had decoded it already
        assert.is_nil((notification.verify(package, account, assert(received(twice)))))
        assert.is_truthy((notification.verify(package, account, assert(received(raw)))))
    end)

    it("verifies a message to the application's gateway, whose sign_type was signed", function()
        local fields_v2 = fields_with { notify_type = "servicewindow_sync" }
        fields_v2.sign = support.sign_key("alipay"):sign("sha256", form.canonical(fields_v2))
        local evidence = assert(notification.verify(package, account, received(form.encode(fields_v2))))
        assert.are.equal("RSA2", evidence.form.sign_type)
    end)
end)

describe("alipay notification, what is no form", function()
    local raw = body_of(fields_with(), crypto.url.encode)
    for what, case in pairs {
        ["a name twice"] = { raw .. "&total_amount=0.01", "duplicate" },
        ["a name twice, once escaped"] = { raw .. "&total%5Famount=0.01", "duplicate" },
        ["sign twice"] = { raw .. "&sign=AAAA", "duplicate" },
        ["a broken escape"] = { raw .. "&x=%2", "escape" },
        ["a NUL"] = { raw .. "&x=%00", "nul" },
        ["bytes that are not UTF-8"] = { raw .. "&x=%cf", "charset" },
        ["a value without a name"] = { raw .. "&=x", "name" },
    } do
        it("refuses " .. what, function()
            local none, err = received(case[1])
            assert.is_nil(none)
            assert.are.equal(case[2], err.code)
        end)
    end

    it("refuses a parameter that was added, removed or emptied", function()
        for _, changed in ipairs { raw .. "&new=1", raw:gsub("&?subject=coffee", ""),
            (raw:gsub("subject=coffee", "subject=")) } do
            local forged = assert(received((changed:gsub("^&", ""))))
            assert.is_nil((notification.verify(package, account, forged)))
        end
    end)

    it("refuses a signature that was decoded twice, cut or padded", function()
        local fields = fields_with { subject = "plus" }
        local good = sign(fields)
        for i = 1, 50 do -- one that has a plus
            fields.notify_id = "n" .. i
            good = sign(fields)
            if good:find("+", 1, true) then
                break
            end
        end
        assert.is_truthy(good:find("+", 1, true))
        for _, bad in ipairs { good:gsub("%+", " "), good:sub(1, -5), good .. "AAAA", good:gsub("==$", ""),
            good .. "\n", " " .. good } do
            fields.sign = bad
            local forged = assert(received(form.encode(fields)))
            assert.is_nil((notification.verify(package, account, forged)), bad)
        end
        fields.sign = good
        assert.is_truthy((notification.verify(package, account, assert(received(form.encode(fields))))))
    end)
end)

describe("alipay notification, odd facts", function()
    it("is not about a payment without a state", function()
        for _, status in ipairs { "absent", "" } do
            local list, refusal = facts { trade_status = status }
            assert.is_nil(list)
            assert.are.same({ check = "form",
                detail = "trade_status is missing: it is not about a payment" }, refusal)
        end
    end)

    it("does not take a refund of nothing for a refund", function()
        local list = assert(facts { refund_fee = "0.00" })
        assert.are.equal(1, #list)
        list = assert(facts { refund_fee = "0.00", trade_status = "TRADE_CLOSED", gmt_payment = "absent" })
        assert.are.equal("expired", list[1].state)
    end)

    it("names no refund that the shop did not number", function()
        local list = assert(facts { refund_fee = "1.00" })
        assert.are.equal("refund", list[2].kind)
        assert.is_nil(list[2].refund_no)
    end)

    it("reads the time of a refund with and without a fraction", function()
        for text, at in pairs { ["2026-01-16 09:00:00"] = 1768525200000,
            ["2026-01-16 09:00:00.5"] = 1768525200500, ["2026-01-16 09:00:00.123"] = 1768525200123 } do
            local list = assert(facts { refund_fee = "1.00", out_biz_no = "R1", gmt_refund = text })
            assert.are.equal(at, list[2].at)
        end
        local list = assert(facts { refund_fee = "1.00", out_biz_no = "R1", gmt_refund = "soon" })
        assert.is_nil(list[2].at)
    end)

    it("refuses a refund whose amount cannot be read", function()
        for _, fee in ipairs { "1.001", "-1.00", "one" } do
            local list, refusal = facts { refund_fee = fee }
            assert.is_nil(list)
            assert.are.equal("form", refusal.check)
        end
    end)

    it("calls a trade given back that was closed after it had been paid", function()
        local list = assert(facts { trade_status = "TRADE_CLOSED" })
        assert.are.equal("unknown", list[1].state)
        assert.are.equal("TRADE_CLOSED after payment", list[1].channel_state)
        assert.is_true(list[1].given_back)
    end)
end)

describe("alipay notification, a package that gives wrong things", function()
    local function with(changed)
        return setmetatable({
            notification = setmetatable(changed, { __index = package.notification }),
        }, { __index = package })
    end
    local trap = setmetatable({}, { __index = error, __pairs = error, __len = error, __tostring = error })

    it("never raises, and says that the form is wrong", function()
        for _, wrong in ipairs {
            function() return trap end, function() return { identity = trap } end,
            function() return { identity = { app_id = {} } } end, function() return "claims" end,
            function() error(trap) end, function() return nil, trap end,
            function() return { identity = {}, order_no = 5 } end,
            function() return { identity = {}, at = 1.5 } end,
        } do
            local claims, refusal = notification.claims(with { parse = wrong }, account, inbound())
            if claims then -- a trap has no members of its own
                assert.are.same({ identity = {} }, claims)
            else
                assert.are.equal("form", refusal.check)
                assert.are.equal("string", type(refusal.detail))
            end
        end
    end)

    it("refuses facts of a wrong shape, and too many", function()
        local many = {}
        for i = 1, 101 do
            many[i] = { kind = "probe" }
        end
        local evidence = assert(notification.verify(package, account, inbound()))
        for _, wrong in ipairs {
            { "fact" }, { { order_no = "x" } }, { { kind = {} } }, { { kind = "payment", amount = "1" } },
            { { kind = "payment", amount = 1.5 } }, { { kind = "payment", at = "now" } },
            { { kind = "payment", payer = "x" } }, { { kind = "payment", seller = 5 } }, many,
        } do
            local list, refusal = notification.facts(with { facts = function() return wrong end }, account,
                evidence)
            assert.is_nil(list)
            assert.are.equal("form", refusal.check)
        end
        local trapped = with { facts = function() return trap end }
        assert.are.same({}, notification.facts(trapped, account, evidence))
    end)
end)

describe("alipay return", function()
    local function query(changed, key)
        local fields = {
            app_id = support.fields.app_id, method = "alipay.trade.page.pay.return", sign_type = "RSA2",
            charset = "utf-8", timestamp = "2026-01-15 10:25:10", version = "1.0",
            out_trade_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE", total_amount = "12.34",
        }
        local text = form.canonical(fields, { except = { "sign", "sign_type" } })
        fields.sign = support.sign_key(key or "alipay"):sign("sha256", text)
        for name, value in pairs(changed or {}) do
            fields[name] = value
        end
        return returned.verify(package, account, form.encode(fields), support.now)
    end

    it("names the order when Alipay signed it", function()
        assert.are.equal("01J8ZQ4F7MX2K9D0V3B6N8TACE", query())
    end)

    it("names nothing otherwise", function()
        assert.is_nil(query(nil, "attacker"))
        assert.is_nil(query { out_trade_no = "other" })
        assert.is_nil(query { app_id = "2021009999999999" })
        assert.is_nil(query { sign_type = "RSA" })
        assert.is_nil(returned.verify(package, account, "", support.now))
        assert.is_nil(returned.verify(package, account, "%zz", support.now))
    end)
end)

describe("alipay acknowledgement", function()
    it("has one form of bytes per class", function()
        assert.are.equal("success", notification.ack(package, "accepted").body)
        assert.are.equal("fail", notification.ack(package, "refused").body)
        assert.are.equal(200, notification.ack(package, "refused").status)
        assert.are.equal("fail", notification.ack(package, "failed").body)
        assert.are.equal(500, notification.ack(package, "failed").status)
    end)
end)
