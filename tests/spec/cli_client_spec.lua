--- How commands ask an engine, and what an answer, a refusal or silence means for the exit code.
local client = require "tael.cli.client"
local exits = require "tael.cli.exits"

local function config(merchants, dev)
    local map = {}
    for _, slug in ipairs(merchants) do
        map[slug] = { accounts = {}, mode = slug:find("%.test$") and "test" or "live" }
    end
    return { merchants = map, dev = dev, http = { listen = { "127.0.0.1:8080" } } }
end

local asked

--- A client whose engine always gives this answer.
local function with(answer, err, about)
    about = about or {}
    about.config = about.config or config { "acme" }
    about.socket = "/data/tael.sock"
    return client.new(about, function(request)
        asked = request
        return answer, err
    end)
end

local function problem(status, code)
    return { status = status, raw = ('{"code":"%s","detail":"Says why."}'):format(code) }
end

describe("a request", function()
    local empty = { status = 200, raw = "{}" }

    it("goes over the socket as operator of the only merchant", function()
        with(empty):get("/v1/payments", { state = "paid", merchant_order_id = "A 1&x=2" })
        assert.are.equal("/data/tael.sock", asked.unix)
        assert.are.equal("http://tael/v1/payments?merchant_order_id=A%201%26x%3D2&state=paid", asked.url)
        assert.are.same({ ["tael-merchant"] = "acme" }, asked.headers)
    end)

    for label, case in pairs({
        ["the demo shop of development mode"] = { config({ "a", "demo.test" }, true), nil, "demo.test" },
        ["the test shop of development mode"] = { config({ "a", "b.test" }, true), nil, "b.test" },
        ["nobody, when there are several"] = { config { "a", "demo.test" }, nil, nil },
        ["nobody, when there is none"] = { config {}, nil, nil },
        ["who is named"] = { config { "a", "b" }, "b", "b" },
    }) do
        it("acts for " .. label, function()
            with(empty, nil, { config = case[1], merchant = case[2] }):get("/v1/payments")
            assert.are.equal(case[3], asked.headers["tael-merchant"])
        end)
    end

    it("for any merchant names only who was named", function()
        with(empty):request("GET", "/v1/notifications/x", { any_merchant = true })
        assert.is_nil(asked.headers["tael-merchant"])
        with(empty, nil, { merchant = "b" }):request("GET", "/x", { any_merchant = true })
        assert.are.equal("b", asked.headers["tael-merchant"])
    end)

    it("goes to an address with a key, without the socket", function()
        with(empty, nil, { url = "https://pay.example/", key = "tael_live_x" }):get("/v1/events")
        assert.is_nil(asked.unix)
        assert.are.equal("https://pay.example/v1/events", asked.url)
        assert.are.same({ authorization = "Bearer tael_live_x" }, asked.headers)
        with(empty, nil, { key = "tael_live_x" }):get("/v1/events")
        assert.are.equal("http://127.0.0.1:8080/v1/events", asked.url)
    end)

    it("cannot leave its path by an id", function()
        assert.are.equal("/v1/payments/..%2F..%2F-%2Fverify%3Fx", client.path("/v1/payments/{}",
            "../../-/verify?x"))
    end)
end)

describe("an answer", function()
    it("is decoded, whole lists with all their texts", function()
        local big = ("x"):rep(200000)
        local body = assert(with({ status = 200, raw = '{"data":["' .. big .. '"]}' }):get "/x")
        assert.are.equal(big, body.data[1])
    end)

    it("is taken with another status when that is wanted", function()
        local asker = with { status = 503, raw = '{"ready":false}' }
        assert.is_false(assert(asker:request("GET", "/readyz", { accept = { [503] = true } })).ready)
        assert.is_nil((asker:get "/readyz"))
    end)

    for label, case in pairs({
        ["a wrong parameter"] = { problem(400, "invalid_parameter"), exits.usage, nil },
        ["a missing merchant"] = { problem(400, "invalid_header"), exits.usage, "--merchant SLUG" },
        ["a wrong key"] = { problem(401, "unauthenticated"), exits.refused, "tael keys api" },
        ["a key without the scope"] = { problem(403, "forbidden"), exits.refused, nil },
        ["a missing object"] = { problem(404, "not_found"), exits.no, nil },
        ["a conflict"] = { problem(409, "state_conflict"), exits.no, nil },
        ["too many requests"] = { problem(429, "rate_limited"), exits.unknown, nil },
        ["what the channel cannot do"] = { problem(501, "not_implemented_by_channel"), exits.no, nil },
        ["what the channel refuses of the account"] = { problem(502, "channel_refused_configuration"),
            exits.configuration, nil },
        ["a script that failed"] = { problem(502, "script_failed"), exits.no, "log" },
        ["a fault of the engine"] = { problem(500, "internal"), exits.internal, "log" },
        ["a store that is away"] = { problem(503, "store_unavailable"), exits.store, "tael doctor" },
        ["an engine that stops"] = { problem(503, "draining"), exits.unreachable, nil },
    }) do
        it("that is " .. label .. " has an exit code of its own", function()
            local body, failure = with(case[1]):get "/x"
            assert.is_nil(body)
            assert.are.equal(case[2], failure.exit)
            assert.is_truthy(failure.message:find("^Says why%. %([a-z_]+%)$"))
            if case[3] then
                assert.is_truthy(failure.next:find(case[3], 1, true))
            end
        end)
    end

    local function wrong(errors)
        local raw = ('{"code":"invalid_field","detail":"Says why.","errors":%s}'):format(errors)
        local _, failure = with({ status = 400, raw = raw }):get "/x"
        return failure
    end

    it("that names one field with the problem's own words says it once, the field first", function()
        local failure = wrong '[{"pointer":"/amount","code":"invalid_field","detail":"Says why."}]'
        assert.are.equal("/amount: Says why. (invalid_field)", failure.message)
        assert.is_nil(failure.more)
    end)

    it("that names several fields has a line for each", function()
        local failure = wrong '[{"pointer":"/amount","detail":"too small"},{"pointer":"/x","code":"unknown"}]'
        assert.are.equal("Says why. (invalid_field)", failure.message)
        assert.are.same({ "/amount: too small", "/x: unknown" }, failure.more)
    end)

    it("that names a parameter or header says no more than the problem", function()
        assert.is_nil(wrong('[{"parameter":"state","detail":"one of paid"}]').more)
        assert.is_nil(wrong('[{"header":"Tael-Merchant","detail":"not a merchant"}]').more)
    end)

    it("waits longer than the engine is asked to", function()
        with({ status = 200, raw = "{}" }):get("/v1/events", { wait = 25 })
        assert.are.equal(35000, asked.timeout_ms)
        assert.are.equal("http://tael/v1/events?wait=25", asked.url)
    end)

    it("may be for another merchant", function()
        with({ status = 200, raw = "{}" }):as("b"):get "/x"
        assert.are.equal("b", asked.headers["tael-merchant"])
    end)

    for label, raw in pairs { ["a page"] = "<html>", ["a number"] = "12", nothing = "" } do
        it("that is " .. label .. " is not Tael's", function()
            for _, status in ipairs { 200, 404, 502 } do
                local body, failure = with({ status = status, raw = raw }):get "/x"
                assert.is_nil(body)
                assert.is_truthy(failure.next:find("address of a Tael engine", 1, true))
            end
        end)
    end
end)

describe("silence", function()
    for label, case in pairs({
        ["no engine at the socket"] = { { code = "connect", sent = false, message = "refused" }, {},
            exits.unreachable, "no engine answers at /data/tael.sock" },
        ["no engine at the address"] = { { code = "connect", sent = false, message = "refused" },
            { url = "http://x", key = "k" }, exits.unreachable, "no engine answers at http://x: refused" },
        ["no answer in time"] = { { code = "timeout", sent = true, message = "late" }, {}, exits.unknown,
            "the engine did not answer in time" },
        ["a broken connection"] = { { code = "reset", sent = true, message = "cut" }, {}, exits.unknown,
            "the connection broke before the answer: cut" },
    }) do
        it("means " .. label, function()
            local body, failure = with(nil, case[1], case[2]):get "/x"
            assert.is_nil(body)
            assert.are.equal(case[3], failure.exit)
            assert.are.equal(case[4], failure.message)
            assert.is_string(failure.next)
        end)
    end
end)
