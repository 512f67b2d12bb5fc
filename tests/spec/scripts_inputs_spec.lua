--- What rules are given, as a script sees it.
local isolate = require "tael.isolate"
local json = require "tael.json"

local accounts = {}
package.loaded["tael.kernel.counters"] = {
    payer_key = function(_, payer) return payer.buyer_id and "key" end,
}
package.loaded["tael.kernel.ids"] = { encode = function(kind, id) return kind .. "_" .. id end }
package.loaded["tael.kernel.registry"] = {
    account = function(id) return accounts[id] end,
    package = function(account) return account.package end,
}

local inputs = require "tael.scripts.inputs"

local echo = isolate.generation { name = "merchants/acme", key = "inputs", files = {
    ["rules.lua"] = "return { f = function(x) return x end }" } }

local function seen(input)
    return echo:ask("rules.lua", { { "f", 1 } }, { input }, 300000)[1][2]
end

local MINUTE = 1764288300000 -- 2025-11-28 00:05 UTC, a Friday
local merchant = { id = 1, zone = "+08:00", accounts = { { channel = "alipay", slug = "one", fields = {},
    package = { products = { page = {} } } } } }

describe("inputs of rules", function()
    it("are what the request says, and nothing that it leaves out", function()
        local given = seen(inputs.payment(merchant, { merchant_order_id = "A1", amount = 5, currency = "CNY",
            subject = "tea", channel = json.null, metadata = { a = "b", c = json.null, no = false },
            payer = { client_ip = "::1", buyer_id = "2088" } }, 7, MINUTE))
        assert.are.same({ id = "pay_7", merchant_order_id = "A1", amount = 5, currency = "CNY",
            subject = "tea", capture = "automatic", metadata = { a = "b", no = false },
            payer = { ip = "::1", client_ip = "::1", key = "key" }, now = MINUTE,
            local_time = { year = 2025, month = 11, day = 28, hour = 8, minute = 5, wday = 6 } }, given)
        given = seen(inputs.payment(merchant, { merchant_order_id = "A1", amount = 5, currency = "CNY",
            capture = "manual", metadata = json.null, payer = json.null }, 7, MINUTE))
        assert.are.same({ {}, {}, "manual" }, { given.metadata, given.payer, given.capture })
    end)

    it("have the minute of each clock, however they take turns", function()
        local utc = { id = 2, zone = "+00:00", accounts = {} }
        for _, row in ipairs { { merchant, 0, 8, 5 }, { utc, 0, 0, 5 }, { merchant, 59999, 8, 5 },
            { merchant, 60000, 8, 6 }, { utc, 60000, 0, 6 }, { merchant, 0, 8, 5 } } do
            local at = seen(inputs.payment(row[1], {}, 7, MINUTE + row[2])).local_time
            assert.are.same({ row[3], row[4] }, { at.hour, at.minute })
        end
    end)

    it("have the accounts as they are now", function()
        local old = merchant.accounts[1]
        assert.are.same({ { name = "alipay", account = "one", products = { page = true } } },
            seen(inputs.channels(merchant)))
        merchant.accounts[1] = { channel = "alipay", slug = "one", fields = {},
            package = { products = { qr = {} } } }
        merchant.accounts[2] = { channel = "none", slug = "two" } -- cannot be used
        assert.are.same({ { name = "alipay", account = "one", products = { qr = true } } },
            seen(inputs.channels(merchant)))
        merchant.accounts = { old }
        assert.are.same({ { name = "alipay", account = "one", products = { page = true } } },
            seen(inputs.channels(merchant)))
    end)

    it("are of a payment that there is, and of the attempt that is spoken of", function()
        accounts[3] = { channel = "alipay", slug = "one" }
        local row = { id = 7, merchant_order_id = "A1", amount = 5, currency = "CNY", state = "closed",
            late = 1, captured_amount = 5, refunded_amount = 1, refund_reserved = 2 }
        local attempt = { id = 8, account = 3, product = "page", state = "paid", amount = 5,
            currency = "CNY" }
        local given = seen(inputs.existing(merchant, row, { subject = "tea" }, attempt, MINUTE))
        assert.are.same({ "pay_7", true, 3, "one", {}, nil },
            { given.id, given.late, given.refundable_amount, given.account, given.metadata, given.reason })
        assert.are.same({ id = "att_8", channel = "alipay", account = "one", product = "page", state = "paid",
            amount = 5, currency = "CNY" }, seen(inputs.attempt(attempt)))
    end)
end)
