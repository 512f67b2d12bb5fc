-- Every operation of the contract: what goes out, and what each word of an answer means there.
local support = dofile "tests/spec/channel_support.lua"

local call = require "tael.channel.call"
local json = require "tael.json"
local manifest = require "tael.channel.manifest"

local function parse_all(_, evidence)
    return evidence.json.result
end

local function build(account, ctx)
    return { url = "https://demo.example/" .. account.app_id,
        form = { order = ctx.attempt.order_no, refund = ctx.refund and ctx.refund.refund_no } }
end

local function demo(changed)
    local operation = { build = build, parse = parse_all }
    local package = {
        name = "demo", api = 1, title = { en = "Demo", zh = "演示" },
        fields = {
            app_id = { type = "string", required = true, doc = "id" },
            platform = { type = "key", use = "verify", required = true, doc = "their key" },
        },
        products = { qr = {
            next_action = "qr_code", currencies = { CNY = true }, min = 1, max = 1000000,
            expires = { "1m", "2h" }, query_after = { "5s" }, not_found = "waiting",
        } },
        capabilities = { refund = { partial = true }, create = { repeatable = true } },
        codes = {
            OK = "ok", WAIT = "pending", LOST = "unknown", AGAIN = "retry", NONE = "not_found",
            STATE = "conflict", POOR = { "declined", "insufficient_funds" },
            KEYS = { "config", "look there" }, TOPUP = { "abnormal", "top the account up" },
        },
        op_codes = { refund = { POOR = { "abnormal", "no money to give back" }, OWN = "pending" } },
        states = { PAID = "succeeded", OPEN = "waiting_payer", GONE = "expired", BACK = "unknown" },
        refund_states = { DONE = "succeeded", RUNS = "pending", FAILED = "failed", BOUNCED = "abnormal" },
        timeouts = { refund = "15s" },
        verify_answer = function(account, answer)
            local whole = answer.json
            if type(whole) ~= "table" or whole.sign == nil then
                return nil, type(whole) == "table" and whole.said or "not signed"
            end
            return account.platform:attest("sha256", answer:span("signed"), whole.sign)
        end,
        create = operation, query = operation, close = operation, cancel = operation, refund = operation,
        refund_query = operation,
    }
    for name, value in pairs(changed or {}) do
        package[name] = value
    end
    assert.are.same({}, manifest.check(package, "demo"))
    return package
end

local function account_of(package)
    local account = require "tael.channel.account"
    return assert(support.with_keys(function()
        return account.prepare(package, { id = support.account_id, slug = "spec", environment = "sandbox",
            fields = { app_id = "1", platform = "alipay" } })
    end))
end

local function context(product)
    local ctx = support.context { attempt = { product = product or "qr" } }
    ctx.refund = { refund_no = "R1", amount = 300, currency = "CNY" }
    return ctx
end

local function answer(result, said)
    local text = json.encode { result = result }
    return support.answer(json.encode {
        signed = { result = result }, said = said,
        sign = not said and support.sign_key("alipay"):sign("sha256", text) or nil,
    })
end

local function interpret(op, result, package)
    package = package or demo()
    return call.interpret(package, op, account_of(package), answer(result), context())
end

local operations = { "create", "query", "close", "cancel", "refund", "refund_query" }

describe("channel.call.build of every operation", function()
    for _, op in ipairs(operations) do
        it("makes a checked request for " .. op, function()
            local package = demo()
            local request = assert(call.build(package, op, account_of(package), context()))
            assert.are.same({
                method = "POST", url = "https://demo.example/1",
                timeout_ms = op == "refund" and 15000 or nil, pool = "demo:spec",
                form = { order = "01J8ZQ4F7MX2K9D0V3B6N8TACE", refund = "R1" },
            }, request)
        end)

        it("refuses what " .. op .. ".build should not give", function()
            for _, wrong in ipairs {
                function() return { url = "file:///etc/passwd" } end, function() return { form = {} } end,
                function() return "https://x" end, function() return nil end, function() error({}) end,
                function() return setmetatable({}, { __index = error }) end,
                function() return nil, setmetatable({}, { __index = error }) end,
            } do
                local package = demo { [op] = { build = wrong, parse = parse_all } }
                local request, err = call.build(package, op, account_of(package), context())
                assert.is_nil(request)
                assert.are.equal("script_failed", err.code)
                assert.are.equal("demo", err.channel)
            end
        end)
    end

    it("says which field a package cannot take", function()
        local package = demo { refund = { parse = parse_all, build = function()
            return nil, { field = "reason", message = "must be shorter" }
        end } }
        local _, err = call.build(package, "refund", account_of(package), context())
        assert.are.same({ code = "invalid_field", channel = "demo", field = "reason",
            detail = "demo: must be shorter" }, err)
    end)

    it("holds the life of a product against its limits", function()
        local package, ctx = demo(), context()
        ctx.attempt.expires_at = support.now + 2 * 3600000 + 1001
        local _, err = call.build(package, "create", account_of(package), ctx)
        assert.are.equal("demo: an order must live 1m to 2h", err.detail)
        ctx.attempt.expires_at = support.now + 2 * 3600000
        assert.is_truthy(call.build(package, "create", account_of(package), ctx))
    end)
end)

describe("channel.call.send", function()
    local http = require "tael.http"
    local request = http.request
    after_each(function()
        http.request = request
    end)

    --- What comes of a client that does this.
    local function send(client)
        http.request = client
        local package = demo()
        local prepared = account_of(package)
        local received, err = call.send(assert(call.build(package, "query", prepared, context())))
        return call.interpret(package, "query", prepared, received, context(), err)
    end

    it("hands on what was checked, with the account's own pool", function()
        local seen
        send(function(options)
            seen = options
            return nil, { code = "connect", sent = false, message = "x" }
        end)
        assert.are.same({ method = "POST", url = "https://demo.example/1", pool = "demo:spec",
            form = { order = "01J8ZQ4F7MX2K9D0V3B6N8TACE", refund = "R1" } }, seen)
    end)

    for what, case in pairs {
        ["a host that cannot be reached"] = { { code = "connect", sent = false }, "not_sent" },
        ["an address that may not be asked"] = { { code = "address", sent = false, message = "private" },
            "not_sent", "demo: no request can be made: private" },
        ["a wrong certificate"] = { { code = "tls", sent = false, message = "expired" }, "not_sent",
            "demo: no request can be made: expired" },
        ["silence"] = { { code = "timeout", sent = true }, "unknown" },
        ["silence that may have come before or after"] = { { code = "reset" }, "unknown" },
        ["an answer that is too large"] = { { code = "too_large", sent = true }, "unknown" },
    } do
        it("takes " .. what .. " as " .. case[2], function()
            local outcome = send(function() return nil, case[1] end)
            assert.are.equal(case[2], outcome.class)
            assert.are.equal(case[1].code, outcome.reason)
            assert.are.equal(case[3], outcome.alarm)
        end)
    end

    it("takes what the client refuses to begin as not sent, and tells people", function()
        local outcome = send(function() error("http.request: header not allowed") end)
        assert.are.equal("not_sent", outcome.class)
        assert.are.equal("demo: no request can be made: header not allowed", outcome.alarm)
    end)

    it("does not hide what else is raised", function()
        for _, raised in ipairs { "http.request: out of memory", "cancelled" } do
            assert.has_error(function() send(function() error(raised, 0) end) end, raised)
        end
    end)
end)

describe("channel.call.interpret, the meaning of a code", function()
    local expected = {
        WAIT = { class = "pending", reason = "WAIT" },
        LOST = { class = "unknown", reason = "the channel answered LOST" },
        AGAIN = { class = "unknown", reason = "the channel answered AGAIN" },
        NONE = { class = "not_found", reason = "NONE", waiting = true },
        STATE = { class = "conflict", reason = "STATE" },
        POOR = { class = "declined", reason = "POOR", decline_code = "insufficient_funds" },
        KEYS = { class = "config", reason = "look there", alarm = "demo: KEYS: look there" },
        TOPUP = { class = "abnormal", reason = "top the account up",
            alarm = "demo: TOPUP: top the account up" },
        MARTIAN = { class = "unknown", reason = "demo: the code 'MARTIAN' is not mapped",
            alarm = "demo: the code 'MARTIAN' is not mapped" },
    }
    for _, op in ipairs(operations) do
        for code, wanted in pairs(expected) do
            if not (op == "refund" and code == "POOR") then
                it(("takes %s of %s as %s"):format(code, op, wanted.class), function()
                    local outcome = interpret(op, { code = code })
                    assert.is_truthy(outcome.evidence)
                    assert.are.equal(code, outcome.result.code)
                    local found = {}
                    for _, name in ipairs { "class", "reason", "decline_code", "waiting", "alarm" } do
                        found[name] = outcome[name]
                    end
                    assert.are.same(wanted, found)
                end)
            end
        end
    end

    it("takes listed words only, whatever the tables would make up", function()
        local package = demo()
        local function made_up() return "ok" end
        for _, words in ipairs { package.codes, package.op_codes.refund, package.states } do
            setmetatable(words, { __index = made_up })
        end
        assert.are.equal("unknown", interpret("refund", { code = "MARTIAN" }, package).class)
        assert.are.equal("unknown", interpret("query", { code = "OK", state = "MARTIAN" }, package).class)
    end)

    it("lets an operation have its own meaning", function()
        assert.are.equal("abnormal", interpret("refund", { code = "POOR" }).class)
        assert.are.equal("pending", interpret("refund", { code = "OWN" }).class)
        assert.are.equal("unknown", interpret("query", { code = "OWN" }).class)
    end)

    it("keeps the state of what is not ok as the channel's word only", function()
        local outcome = interpret("query", { code = "WAIT", state = "PAID" })
        assert.is_nil(outcome.result.state)
        assert.are.equal("PAID", outcome.result.channel_state)
    end)
end)

describe("channel.call.interpret, what is ok", function()
    it("needs a way on from a create", function()
        local action = { type = "qr_code", code_url = "https://qr.example/1" }
        local outcome = interpret("create", { code = "OK", next_action = action })
        assert.are.equal("ok", outcome.class)
        assert.are.same(action, outcome.result.next_action)
        assert.are.equal("ok", interpret("create", { code = "OK", state = "PAID" }).class)
        for _, result in ipairs {
            { code = "OK" }, { code = "OK", next_action = { type = "qr_code" } },
            { code = "OK", next_action = { type = "redirect", method = "GET", url = "javascript:0" } },
        } do
            outcome = interpret("create", result)
            assert.are.equal("unknown", outcome.class)
            assert.is_truthy(outcome.reason:find("next_action", 1, true))
        end
    end)

    for word, state in pairs {
        DONE = "succeeded", RUNS = "pending", FAILED = "failed", BOUNCED = "abnormal",
    } do
        it("maps the refund state " .. word, function()
            for _, op in ipairs { "refund", "refund_query" } do
                local outcome = interpret(op, { code = "OK", state = word, refund_no = "R1" })
                assert.are.equal("ok", outcome.class)
                assert.are.equal(state, outcome.result.state)
                assert.are.equal(word, outcome.result.channel_state)
            end
        end)
    end

    it("takes a refund state that nobody knows, an order's among them, as unknown", function()
        for _, word in ipairs { "PAID", "HALF", "" } do
            local outcome = interpret("refund", { code = "OK", state = word })
            assert.are.equal("unknown", outcome.class)
            assert.are.equal("demo: the refund's state '" .. word .. "' is not mapped", outcome.alarm)
        end
        local outcome = interpret("refund", { code = "OK" })
        assert.are.equal("ok", outcome.class)
        assert.is_nil(outcome.result.state)
    end)

    it("does not call a refund failed that the channel does not know", function()
        local outcome = interpret("refund_query", { code = "NONE", state = "FAILED" })
        assert.are.equal("not_found", outcome.class)
        assert.is_nil(outcome.result.state)
        assert.is_truthy(outcome.evidence)
    end)

    it("keeps what a cancel did", function()
        local outcome = interpret("cancel", { code = "OK", state = "cancelled", channel_state = "refund",
            reversed = true, again = false })
        assert.are.equal("ok", outcome.class)
        assert.are.same({ code = "OK", state = "cancelled", channel_state = "refund", reversed = true,
            again = false }, outcome.result)
        assert.are.equal("unknown", interpret("cancel", { code = "OK", state = "succeeded" }).class)
    end)

    it("does not alarm for an order whose money went back, once it says so", function()
        local outcome = interpret("query", { code = "OK", state = "BACK" })
        assert.are.equal("demo: the state 'BACK' needs a person", outcome.alarm)
        outcome = interpret("query", { code = "OK", state = "BACK", given_back = true })
        assert.are.equal("unknown", outcome.class)
        assert.are.equal("unknown", outcome.result.state)
        assert.is_nil(outcome.alarm)
        assert.are.equal("the channel says BACK", outcome.reason)
        outcome = interpret("query", { code = "OK", state = "NEW", given_back = true })
        assert.are.equal("demo: the state 'NEW' is not mapped", outcome.alarm)
    end)
end)

describe("channel.call.interpret, an answer that nobody signed", function()
    local function said(what, op)
        local package = demo()
        return call.interpret(package, op or "query", account_of(package), answer({ code = "OK" }, what),
            context())
    end

    it("is unknown, and tells people what it said and what to do", function()
        local outcome = said { reason = "unsigned", code = "KEYS" }
        assert.are.equal("unknown", outcome.class)
        assert.are.equal("answer not verified: unsigned", outcome.reason)
        assert.are.equal("demo: unsigned answer KEYS: look there", outcome.alarm)
        assert.is_nil(outcome.evidence)
        assert.is_nil(outcome.result)
        assert.are.equal("demo: unsigned answer POOR: no money to give back",
            said({ reason = "unsigned", code = "POOR" }, "refund").alarm)
    end)

    it("has no advice for a code that says nothing about keys", function()
        for _, code in ipairs { "OK", "POOR", "MARTIAN" } do
            assert.are.equal("demo: unsigned answer " .. code
                .. ": an answer without a signature proves nothing", said { code = code }.alarm)
        end
    end)

    it("does not repeat what could be anything", function()
        assert.is_nil(said { code = "a b\n" }.alarm)
        assert.is_nil(said { code = ("A"):rep(65) }.alarm)
        assert.is_nil(said { code = 5 }.alarm)
        assert.is_nil(said("plain").alarm)
        assert.are.equal("answer not verified: plain", said("plain").reason)
        assert.are.equal("demo: look", said { reason = "signature", alarm = "look" }.alarm)
    end)
end)
