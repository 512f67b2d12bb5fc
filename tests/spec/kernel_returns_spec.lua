-- The page that a payer comes back to: what it says of his money, in which language, and that a store that is
-- away is no payment that is not there.
local support = require "tests.spec.kernel_support"

local world

package.loaded["tael.store"] = { query = function(name, params)
    world.reads = world.reads + 1
    if world.reads == world.fails_at then
        return nil, { code = "unavailable" }
    end
    local row = world[name]
    return { type(row) == "function" and row(params) or row }
end }
package.loaded["tael.task"] = { set_scope = function() end, spawn = function() end, wait = function() end }
package.loaded["tael.log"] = { error = function() end }
package.loaded["tael.kernel.query"] = {}
package.loaded["tael.kernel.registry"] = {
    account = function() return { id = 7, channel = "spec" } end,
    prepared = function() return world.prepared end, package = function() return {} end,
}
local ids = require "tael.kernel.ids"
local returns = require "tael.kernel.returns"

local NUMBER = ids.order_number(support.attempt().id)

before_each(function()
    world = { reads = 0, prepared = {}, ["attempt.find"] = support.attempt { state = "succeeded" },
        ["payment.get"] = support.payment { state = "paid", captured_amount = 1234 },
        ["event.get"] = { data = '{"details":{}}' } }
end)

local function receive(language, number)
    world.reads = 0
    return returns.receive { channel = "spec", payment = number or NUMBER,
        request = { headers = { ["accept-language"] = language } } }
end

--- The state and the sentence that the page is about, and the amount.
local function said(language)
    local answer = receive(language)
    assert.are.equal(200, answer.status)
    local state, sentence, amount = answer.body:match('<h1 data%-state="(%l+)">([^<]+)</h1>%s*<p>([^<]+)</p>')
    return sentence, amount, state, answer.body:match('<html lang="([^"]+)">')
end

it("of money that was taken and goes back it does not say thank you", function()
    assert.are.equal("Paid. Thank you.", (said()))
    local payment = world["payment.get"]
    payment.refund_reserved = 1000
    assert.are.equal("Paid. Thank you.", (said()))
    payment.refund_reserved = 1234
    assert.are.equal("What was paid is being given back.", (said()))
    payment.refunded_amount = 1234
    assert.are.equal("What was paid has been given back.", (said()))
    assert.are.equal("所付款项已退回。", (said "zh"))
end)

it("what the store does not say is not made up", function()
    for _, of in ipairs {
        { state = "paid" }, { state = "closed", reason = "channel" }, { state = "closed", reason = "voided" },
    } do
        world["payment.get"] = support.payment(of)
        world["attempt.find"] = support.attempt { state = "expired", code = "given_back" }
        world["attempt.get"] = world["attempt.find"]
        world.fails_at = nil
        local whole = receive()
        assert.are.equal(200, whole.status)
        for fails_at = 1, world.reads do
            world.fails_at = fails_at
            local answer = receive()
            assert.are.equal(503, answer.status, of.state .. " read " .. fails_at)
            assert.is_string(answer.headers["retry-after"])
        end
    end
end)

it("of a closed payment it says that money came and went, whichever of its orders the payer comes back from",
    function()
        world["payment.get"] = support.payment { state = "closed", reason = "expired", attempt = 5 }
        world["attempt.find"] = support.attempt { state = "expired" }
        world["attempt.get"] = function(params)
            return ({ [5] = { id = 5, state = "expired", prev = 4 }, [4] = { id = 4, state = "expired",
                code = world.code, prev = support.attempt().id } })[params.attempt] or support.attempt {
                state = "expired" }
        end
        assert.are.equal("This payment is closed. Nothing was paid.", (said()))
        world.code = "given_back"
        assert.are.equal("This payment is closed. What was paid has been given back.", (said()))
    end)

it("what is not there is not found", function()
    for _, name in ipairs { "attempt.find", "payment.get" } do
        local kept = world[name]
        world[name] = nil
        assert.are.equal(404, receive().status)
        world[name] = kept
    end
    assert.are.equal(404, receive(nil, "no number").status)
end)

it("who paid through an account that is configured no more is told so, too", function()
    world.prepared = nil
    assert.are.equal("Paid. Thank you.", (said()))
    world["event.get"] = { data = '{"details":{"return_url":"https://shop.example/"}}' }
    assert.are.equal(303, receive().status)
end)

it("an amount has its currency's own decimals", function()
    local written = { CNY = "CNY 12.34", JPY = "JPY 1234", ISK = "ISK 1234", KRW = "KRW 1234",
        UGX = "UGX 1234", KWD = "KWD 1.234", BHD = "BHD 1.234",
        CLF = "CLF 0.1234", MGA = "MGA 12.34", MRU = "MRU 12.34" }
    for currency, text in pairs(written) do
        world["payment.get"].currency = currency
        assert.are.equal(text, (select(2, said())))
    end
end)

it("speaks the language that the payer likes best of those it knows", function()
    local languages = {
        [""] = "en", ["zh"] = "zh-CN", ["zh-CN,zh;q=0.9,en;q=0.8"] = "zh-CN", ["ZH-hant-TW"] = "zh-CN",
        ["en-US,en;q=0.9,zh-CN;q=0.8"] = "en", ["fr-FR,zh-CN;q=0.9"] = "zh-CN", ["fr, de;q=0.5"] = "en",
        ["en;q=0.5, zh;q=0.8"] = "zh-CN", ["zh;q=0, en;q=0.1"] = "en", ["zh;q=0"] = "en", ["*"] = "en",
        ["bo-CN, zh-CN ; q=0.8, en;q=0.6"] = "zh-CN", ["zha, fr"] = "en", ["zh;q=x, en;q=0.1"] = "en",
        [";;,,=q;zh"] = "en",
    }
    for header, language in pairs(languages) do
        assert.are.equal(language, (select(4, said(header))), header)
    end
end)
