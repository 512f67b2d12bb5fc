--- What the API takes: paths, bodies, parameters, cursors; and how it says no.
local cursor = require "tael.api.cursor"
local json = require "tael.json"
local path = require "tael.api.path"
local problem = require "tael.api.problem"
local validate = require "tael.api.validate"

describe("a path", function()
    it("is split and decoded once", function()
        assert.are.same({ "v1", "payments", "pay_1" }, path.split "/v1/payments/pay_1")
        assert.are.same({ "v1", "a b", "%41" }, path.split "/v1/a%20b/%2541")
        assert.are.same({ "" }, path.split "/")
    end)

    for _, text in ipairs {
        "", "v1", "//", "/v1//payments", "/v1/../admin", "/v1/%2e%2e/admin", "/v1/.", "/v1/a%00b",
        "/v1/a%2fb", "/v1/a%2Fb", "/v1/a%5cb", "/v1/a\\b", "/v1/a;x=1", "/v1/a%3bb", "/v1/%", "/v1/%4",
        "/v1/%zz", "/v1/a%0ab", "/v1/%ff%fe", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17",
    } do
        it("is refused: " .. text, function()
            assert.is_nil(path.split(text))
        end)
    end

    local tree = path.compile {
        { method = "GET", path = "/v1/payments", n = 1 }, { method = "POST", path = "/v1/payments", n = 2 },
        { method = "GET", path = "/v1/payments/{id}", n = 3 },
        { method = "GET", path = "/v1/payments/{id}/attempts", n = 4 },
        { method = "GET", path = "/v1/payments/search", n = 5 },
    }
    local function found(text)
        local methods, params = path.match(tree, path.split(text))
        return methods and methods.GET and methods.GET.n, params
    end

    it("matches whole and case-sensitively", function()
        assert.are.equal(1, found "/v1/payments")
        assert.are.equal(3, found "/v1/payments/pay_1")
        assert.are.equal(4, found "/v1/payments/pay_1/attempts")
        for _, text in ipairs { "/v1", "/v1/", "/v1/payments/", "/V1/payments", "/v1/payments/a/b", "/" } do
            assert.is_nil((found(text)), text)
        end
    end)

    it("gives named segments, a literal one goes first", function()
        local _, params = found "/v1/payments/pay%5F1/attempts"
        assert.are.same({ id = "pay_1" }, params)
        assert.are.equal(5, found "/v1/payments/search")
        local n, braces = found "/v1/payments/%7B%7D"
        assert.are.equal(3, n)
        assert.are.same({ id = "{}" }, braces)
    end)
end)

describe("a path as it was sent", function()
    local tree = path.compile {
        { method = "GET", path = "/v1/payments", n = 1 },
        { method = "GET", path = "/v1/payments/{id}", n = 3 },
    }

    it("is found like its segments are", function()
        for text, n in pairs { ["/v1/payments"] = 1, ["/v1/%70ayments"] = 1, ["/v1/payments/pay_1"] = 3 } do
            local methods, params = path.find(tree, text)
            assert.are.equal(n, methods.GET.n)
            assert.are.same({ id = n == 3 and "pay_1" or nil }, params)
        end
    end)

    it("is refused or unknown like they are", function()
        for _, text in ipairs { "/v1/payments/", "/v1/payments/{id}/x", "/v2", "/" } do
            local methods, params = path.find(tree, text)
            assert.is_nil(methods)
            assert.is_nil(params)
        end
        for _, text in ipairs { "/v1//payments", "/v1/payments/%00", "v1" } do
            local methods, params = path.find(tree, text)
            assert.is_nil(methods)
            assert.is_false(params)
        end
    end)

    it("is known after the first time where addresses are few, however many others are asked for", function()
        local known = path.compile {
            { method = "POST", path = "/notify/{channel}/{account}", few = true, n = 1 },
        }
        for i = 1, 200 do
            for _, account in ipairs { "shop", "a" .. i } do
                local methods, params = path.find(known, "/notify/alipay/" .. account)
                assert.are.equal(1, methods and methods.POST.n)
                assert.are.same({ channel = "alipay", account = account }, params)
            end
        end
        local kept = 0
        for _ in pairs(known.known) do
            kept = kept + 1
        end
        assert.is_true(kept <= 64)
        assert.are.equal(select(2, path.find(known, "/notify/alipay/shop")),
            select(2, path.find(known, "/notify/alipay/shop")))
        assert.is_nil((path.find(known, "/notify/alipay")))
        assert.is_nil(next(path.compile { { method = "GET", path = "/v1/{id}", n = 1 } }.known))
    end)
end)

describe("a path with an ending", function()
    local tree = path.compile { { method = "GET", path = "/qr/{payment}.svg" } }

    it("names what stands before the ending", function()
        local _, params = path.match(tree, path.split "/qr/pay_1.svg")
        assert.are.same({ payment = "pay_1" }, params)
    end)

    for _, text in ipairs { "/qr/pay_1", "/qr/.svg", "/qr/pay_1.SVG", "/qr/pay_1.svg/x", "/qr" } do
        it("does not match " .. text, function()
            local methods = path.match(tree, path.split(text))
            assert.is_nil(methods)
        end)
    end
end)

local schema = {
    fields = {
        name = { type = "string", required = true, min = 1, max = 5, match = "^%l+$", form = "lower case" },
        amount = { type = "integer", min = 1, max = 10 },
        mode = { type = "enum", values = { "a", "b" } },
        at = { type = "time" },
        on = { type = "boolean" },
        payer = { type = "object", fields = { ip = { type = "string" } } },
        words = { type = "words", values = { "x", "y" } },
        tags = { type = "map", count = 2, key = "^%l+$", key_form = "lower case",
            value = { type = "string", bytes = 3 } },
    },
}

local function check(text)
    return validate.body(schema, assert(json.decode(text)))
end

describe("a body", function()
    it("is accepted without its null members", function()
        assert.are.same({ name = "x", amount = 3, payer = {} },
            check '{"name":"x","amount":3,"mode":null,"payer":{"ip":null}}')
    end)

    local wrong = {
        ["a float"] = { '{"name":"x","amount":1.5}', "/amount", "invalid_field",
            "amount must be an integer" },
        ["an exponent"] = { '{"name":"x","amount":1e0}', "/amount", "invalid_field",
            "amount must be an integer" },
        ["a number as string"] = { '{"name":"x","amount":"1"}', "/amount", "invalid_field",
            "amount must be an integer" },
        ["too small a number"] = { '{"name":"x","amount":0}', "/amount", "invalid_field",
            "amount must be at least 1" },
        ["a number beyond int64"] = { '{"name":"x","amount":9223372036854775808}', "/amount", "invalid_field",
            "amount must be an integer" },
        ["a missing field"] = { "{}", "/name", "missing_field", "name is needed" },
        ["null for a field that is needed"] = { '{"name":null}', "/name", "missing_field", "name is needed" },
        ["an empty string"] = { '{"name":""}', "/name", "invalid_field", "name must not be empty" },
        ["a long string, by characters"] = { '{"name":"abcdef"}', "/name", "invalid_field",
            "name must have at most 5 characters" },
        ["a control character"] = { '{"name":"a\\u0000"}', "/name", "invalid_field",
            "name must not hold control characters" },
        ["a wrong form"] = { '{"name":"A"}', "/name", "invalid_field", "name must be lower case" },
        ["a misspelt field"] = { '{"name":"x","amuont":1}', "/amuont", "unknown_field",
            "unknown field 'amuont'; did you mean 'amount'?" },
        ["a field that is like nothing"] = { '{"name":"x","zzzzzzz":1}', "/zzzzzzz", "unknown_field",
            "unknown field 'zzzzzzz'" },
        ["a long name that a cut would leave half a character of"] = {
            '{"name":"x","ab' .. ("中"):rep(30) .. '":1}', "/ab" .. ("中"):rep(30), "unknown_field",
            "unknown field 'ab" .. ("中"):rep(20) .. "'" },
        ["an unknown word"] = { '{"name":"x","mode":"c"}', "/mode", "invalid_field",
            "mode must be one of: a, b" },
        ["a time without a zone"] = { '{"name":"x","at":"2026-01-01T00:00:00"}', "/at", "invalid_field",
            "at must be a time such as 2026-11-23T12:01:07.102Z" },
        ["a number for true"] = { '{"name":"x","on":1}', "/on", "invalid_field", "on must be true or false" },
        ["an array for an object"] = { '{"name":"x","payer":[]}', "/payer", "invalid_field",
            "payer must be an object" },
        ["an unknown member of an object"] = { '{"name":"x","payer":{"i/p~":1}}', "/payer/i~1p~0",
            "unknown_field", "unknown field 'i/p~'" },
        ["a wrong member of a map"] = { '{"name":"x","tags":{"a":1}}', "/tags/a", "invalid_field",
            "tags.a must be a string" },
        ["a wrong name in a map"] = { '{"name":"x","tags":{"A":"1"}}', "/tags/A", "invalid_field",
            "tags.A has a name that is not lower case" },
        ["a word for a list of words"] = { '{"name":"x","words":"x"}', "/words", "invalid_field",
            "words must be a list of words" },
        ["an empty list of words"] = { '{"name":"x","words":[]}', "/words", "invalid_field",
            "words must be a list of words" },
        ["a word that is none of the list"] = { '{"name":"x","words":["x","z"]}', "/words", "invalid_field",
            "words may hold: x, y" },
        ["a word twice"] = { '{"name":"x","words":["x","x"]}', "/words", "invalid_field",
            "words must hold each word once" },
        ["too many members of a map"] = { '{"name":"x","tags":{"a":"1","b":"1","c":"1"}}', "/tags",
            "invalid_field", "tags must have at most 2 members" },
    }
    for label, case in pairs(wrong) do
        it("is refused for " .. label .. ", naming the place", function()
            local body, refused = check(case[1])
            assert.is_nil(body)
            assert.are.same({ pointer = case[2], code = case[3], detail = case[4] }, refused.errors[1])
            assert.are.equal(case[3], refused.code)
        end)
    end

    it("is told everything that is wrong at once", function()
        local _, refused = check '{"name":"A","amount":0,"x":1}'
        assert.are.equal(3, #refused.errors)
    end)

    for _, text in ipairs { "[]", "1", '"x"', "null", "true" } do
        it("is an object, not " .. text, function()
            local _, refused = validate.body(schema, json.decode(text))
            assert.are.equal("invalid_json", refused.code)
        end)
    end
end)

describe("query parameters", function()
    local fields = {
        limit = { type = "integer", min = 1, max = 100 }, at = { type = "time" },
        expand = { type = "list", count = 2, values = { "a", "b", "c" } },
    }

    it("are typed", function()
        assert.are.same({ limit = 20, at = 1767225600000, expand = { "a", "b" } },
            validate.query(fields, { limit = "20", at = "2026-01-01T00:00:00Z", expand = "a,b" }))
    end)

    for label, given in pairs {
        ["an unknown one"] = { limt = "1" }, ["a word for a number"] = { limit = "x" },
        ["a number that is too large"] = { limit = "101" }, ["a float"] = { limit = "1.0" },
        ["a time of another form"] = { at = "yesterday" }, ["too many names"] = { expand = "a,b,c" },
        ["an unknown name"] = { expand = "z" },
    } do
        it("are refused: " .. label, function()
            local out, refused = validate.query(fields, given)
            assert.is_nil(out)
            assert.are.equal("invalid_parameter", refused.code)
            assert.are.equal((next(given)), refused.errors[1].parameter)
        end)
    end
end)

describe("a cursor", function()
    local key, now = ("k"):rep(32), 1767225600000
    local about = cursor.about("/v1/payments", 7, { state = "paid", limit = 3, cursor = "x" })

    it("leads back to its position for a day", function()
        local text = cursor.make(key, about, 123456789, now)
        assert.are.equal(123456789, cursor.read(key, about, text, now))
        assert.are.equal(123456789, cursor.read(key, about, text, now + 86399999))
        assert.is_nil(cursor.read(key, about, text, now + 86400000))
    end)

    it("does not depend on the page's length", function()
        assert.are.equal(about, cursor.about("/v1/payments", 7, { state = "paid", limit = 50 }))
    end)

    it("is none for another merchant, filter, list or key", function()
        local text = cursor.make(key, about, 5, now)
        for _, other in ipairs {
            cursor.about("/v1/payments", 8, { state = "paid" }),
            cursor.about("/v1/payments", 7, { state = "failed" }),
            cursor.about("/v1/payments", 7, {}), cursor.about("/v1/events", 7, { state = "paid" }),
        } do
            assert.is_nil(cursor.read(key, other, text, now))
        end
        assert.is_nil(cursor.read(("j"):rep(32), about, text, now))
    end)

    it("is none when a character was changed, cut or added", function()
        local text = cursor.make(key, about, 5, now)
        for i = 1, #text do
            local other = text:sub(i, i) == "A" and "B" or "A"
            assert.is_nil(cursor.read(key, about, text:sub(1, i - 1) .. other .. text:sub(i + 1), now))
        end
        for _, bad in ipairs { "", "AAAA", text .. "A", text:sub(1, -2), "!!!" } do
            assert.is_nil(cursor.read(key, about, bad, now))
        end
    end)
end)

describe("a problem", function()
    local about = { instance = "/v1/payments", request_id = "req_1" }
    local function answered(made)
        local response = problem.response(made, about)
        return response, json.decode(response.body)
    end

    it("has the members of the contract", function()
        local text = "amount must be an integer"
        local response, body = answered(problem.field("invalid_field", "/amount", text))
        assert.are.equal(400, response.status)
        assert.are.equal("application/problem+json", response.headers["content-type"])
        assert.are.same({
            type = "https://tael.dev/problems/invalid_field", title = "A field has a wrong value",
            status = 400, code = "invalid_field", detail = text, instance = "/v1/payments",
            request_id = "req_1", retriable = false,
            errors = json.array { { pointer = "/amount", code = "invalid_field", detail = text } },
        }, body)
    end)

    it("of the kernel keeps its members and points at the field", function()
        local _, body = answered(problem.of {
            code = "merchant_order_id_taken", detail = "d", existing = "pay_1",
            pointer = "/merchant_order_id",
        })
        assert.are.equal("pay_1", body.existing)
        assert.are.equal("/merchant_order_id", body.errors[1].pointer)
        assert.are.equal(409, body.status)
    end)

    it("with a code that does not exist tells nothing", function()
        local response, body = answered(problem.of {
            code = "SQLITE_CORRUPT", detail = "/srv/tael.db is malformed",
        })
        assert.are.equal(500, response.status)
        assert.are.equal("internal", body.code)
        assert.is_nil(response.body:find("malformed", 1, true))
    end)

    it("says how to authenticate and when to come again", function()
        local refused = answered(problem.new "unauthenticated")
        assert.are.equal('Bearer realm="tael"', refused.headers["www-authenticate"])
        assert.are.equal("1", answered(problem.new "store_unavailable").headers["retry-after"])
    end)

    it("has a page for people", function()
        assert.is_truthy(problem.page("declined"):find("HTTP 402", 1, true))
        assert.is_nil(problem.page "nothing")
    end)
end)

describe("an order", function()
    require "tests.spec.kernel_support"
    local payments = require "tael.api.payments"
    local function refused(fields)
        local body = { merchant_order_id = "A1", amount = 1, currency = "CNY", subject = "tea" }
        for name, value in pairs(fields) do
            body[name] = value
        end
        local accepted, problems = validate.body(payments.create_schema, body)
        assert.equal(accepted == nil, problems ~= nil)
        return problems and problems.errors[1]
    end

    it("has a subject that reads as it is written", function()
        local control = "subject must not hold control characters"
        local turned = "subject must not hold characters that turn the direction of what follows "
            .. "(U+202A to U+202E): use isolates (U+2066 to U+2069)"
        for text, detail in pairs {
            ["a\0"] = control, ["a\127"] = control, ["a\u{80}"] = control, ["\u{9B}31m"] = control,
            ["\u{9F}"] = control, ["\u{202A}a"] = turned, ["12.00\u{202E}00.1"] = turned,
        } do
            assert.equal(detail, (refused { subject = text } or {}).detail)
        end
        for _, text in ipairs { "茶", "¡ñ\u{A0}", "\u{2029}", "\u{2030}", "שלום \u{2066}tea\u{2069}",
            "\u{200F}قهوة", "€\u{202F}5" } do
            assert.is_nil(refused { subject = text }, text)
        end
        assert.is_nil(refused { description = "two\nlines", metadata = { a = "b\tc" } })
    end)

    it("has a payer at an address of either family", function()
        for _, text in ipairs { "203.0.113.7", "2001:db8::7", "::1", "::ffff:203.0.113.7" } do
            assert.is_nil(refused { payer = { client_ip = text } }, text)
        end
        for _, text in ipairs { "not an ip", "999.1.1.1", "010.1.1.1", "203.0.113.7:80", "fe80::1%eth0",
            "[::1]", "unix" } do
            local found = refused { payer = { client_ip = text } }
            assert.same({ pointer = "/payer/client_ip", code = "invalid_field", detail =
                "payer.client_ip must be an IP address such as 203.0.113.7 or 2001:db8::7" }, found, text)
        end
    end)

    it("sends the payer back to what a Location can hold", function()
        for _, url in ipairs { "https://shop.example",
            "https://shop.example:8443/a%20b?c=%E8%B0%A2&d[]=1#/thanks",
            "https://[2001:db8::1]:1/", "http://127.0.0.1:8080/x", "http://[::1]", "http://localhost?a",
            "https://xn--fiq228c.example/" } do
            assert.is_nil(refused { return_url = url }, url)
        end
        local ascii = "must be ASCII without blanks: percent-encode other characters, "
            .. "write a host name as xn--…"
        local other = "must be an absolute https URL"
        for url, detail in pairs {
            ["https://shop.example/谢谢"] = ascii, ["https://商店.example/"] = ascii, ["https://a/b c"] = ascii,
            ["https://a/\u{85}"] = "must not hold control characters",
            ["https://a/%"] = "must have two hexadecimal digits behind each %",
            ["https://a/%zz"] = "must have two hexadecimal digits behind each %",
            ["https://u@a/"] = "must not hold a user name or password",
            ["https://u:p@a/"] = "must not hold a user name or password",
            ["https://a/\r\nX: y"] = "must not hold control characters",
            ["http://a/"] = "must be an https URL",
            ["http://localhost.evil.example/"] = "must be an https URL", ["https://a/#b#c"] = other,
            ["https://:80/"] = other, ["https:///a"] = other, ["https://a:b/"] = other,
            ["https://[::1/"] = other, ["https://[203.0.113.7]/"] = other,
            ["https://a:99999/"] = other, ["https://[zz]/"] = other, ["/a"] = other,
            ["javascript:alert(1)"] = other,
            ["https://a/<b>"] = other, ["https://a\\b/"] = other,
        } do
            assert.equal("return_url " .. detail, (refused { return_url = url } or {}).detail, url)
        end
    end)
end)
