--- Asking beside the engine: events by long poll, the sandbox as far as it serves an account.
require "tests.spec.cli_support"
local exits = require "tael.cli.exits"
local following = require "tael.cli.following"
local json = require "tael.json"
local simulator = require "tael.cli.simulator"

--- A client that answers with these pages, and remembers what it was asked.
local function client(pages)
    local asked = {}
    return { get = function(_, path, query)
        asked[#asked + 1] = { path = path, query = query }
        local page = pages[#asked]
        if page.failure then
            return nil, page.failure
        end
        return page
    end }, asked
end

describe("following", function()
    it("begins now, and goes on where the answer before ended", function()
        local asker, asked = client {
            { data = {}, next_cursor = "c1" }, { data = { { id = "evt_1" } }, next_cursor = "c2" },
            { data = {}, next_cursor = json.null }, { data = {}, next_cursor = "c3" },
        }
        local news = assert(following.begin(asker, { payment = "pay_1" }))
        assert.are.same({ wait = 0, limit = 100, payment = "pay_1" }, asked[1].query)
        assert.are.same({ { id = "evt_1" } }, news:next())
        assert.are.same({ wait = 25, limit = 100, payment = "pay_1", cursor = "c1" }, asked[2].query)
        assert.are.same({}, news:next(7900))
        assert.are.same({ wait = 7, limit = 100, payment = "pay_1", cursor = "c2" }, asked[3].query)
        news:next(-5)
        assert.are.same({ wait = 0, limit = 100, payment = "pay_1", cursor = "c2" }, asked[4].query)
    end)

    it("begins behind a named event without asking first", function()
        local asker, asked = client { { data = {}, next_cursor = "c1" } }
        local news = assert(following.begin(asker, { after = "evt_9" }))
        assert.are.equal(0, #asked)
        news:next()
        assert.are.equal("evt_9", asked[1].query.after)
    end)

    it("hands on why it cannot", function()
        local why = { exit = 4, message = "no engine" }
        assert.are.equal(why, select(2, following.begin(client { { failure = why } }, {})))
    end)
end)

describe("the sandbox", function()
    local function call(gateway, answer, err, listeners)
        local asked = {}
        return {
            config = { sandbox = { listen = "127.0.0.1:8090" }, merchants = { m = { accounts = {
                a = { channel = "alipay", gateway = gateway } } } } },
            client = {
                send = function(request)
                    asked[#asked + 1] = request.method .. " " .. request.url
                    return answer, err
                end,
                request = function() return { listeners = json.array(listeners or {}) } end,
            },
        }, asked
    end
    local OURS = "http://127.0.0.1:8090/gateway.do"
    local fine = { status = 200, raw = '{"waiting":3}' }

    for label, gateway in pairs {
        ["Alipay's own"] = "https://openapi-sandbox.dl.alipaydev.com/gateway.do",
        ["another sandbox"] = "http://127.0.0.1:8091/gateway.do", ["no gateway"] = false,
    } do
        it("plays no part for " .. label, function()
            local found, failure = simulator.of(call(gateway or nil), "a")
            assert.is_nil(found)
            assert.are.equal(exits.no, failure.exit)
            assert.is_string(failure.next)
        end)
    end

    it("has the order opened in the way of its product before it is paid", function()
        local about, asked = call(OURS, fine)
        local found = assert(simulator.of(about, "a"))
        found:pay({ next_action = { type = "qr_code", code_url = "x" } }, "N1")
        found:pay({ next_action = { type = "redirect", url = OURS .. "?x=1" } }, "N2")
        found:pay({ next_action = { type = "redirect", url = "https://elsewhere.example/" } }, "N3")
        found:pay({ next_action = json.null }, "N4")
        local levers = "http://127.0.0.1:8090/sandbox/trades/"
        assert.are.same({
            "POST " .. levers .. "N1/scan", "POST " .. levers .. "N1/pay",
            "GET " .. OURS .. "?x=1", "POST " .. levers .. "N2/pay",
            "POST " .. levers .. "N3/pay", "POST " .. levers .. "N4/pay",
        }, asked)
        assert.are.equal(3, simulator.pending(about))
    end)

    it("is where the running engine says", function()
        local about, asked = call(OURS, fine, nil, { { name = "api", address = "127.0.0.1:1" },
            { name = "sandbox", address = "127.0.0.1:40001" } })
        assert(simulator.of(about, "a")):ask("GET", "/sandbox/x")
        assert.are.same({ "GET http://127.0.0.1:40001/sandbox/x" }, asked)
    end)

    for label, case in pairs {
        ["does not answer"] = { nil, { message = "refused" }, exits.unreachable },
        ["is none"] = { { status = 200, raw = "<html>" }, nil, exits.internal },
        ["refuses"] = { { status = 404, raw = '{"error":"no such trade"}' }, nil, exits.no },
    } do
        it("that " .. label .. " is told with what to do", function()
            local about = call(OURS, case[1], case[2])
            local done, failure = assert(simulator.of(about, "a")):ask("POST", "/sandbox/x")
            assert.is_nil(done)
            assert.are.equal(case[3], failure.exit)
            assert.is_string(failure.next)
        end)
    end
end)
