-- An answer of the gateway in every odd shape: what was signed counts, and nothing else does.
local support = dofile "tests/spec/channel_support.lua"

local call = require "tael.channel.call"
local json = require "tael.json"
local loader = require "tael.channel.loader"

local package = loader.load(support.scripts).alipay
local account = support.account(package)
local root = "alipay_trade_query_response"

local function sign(node)
    return support.sign_key("alipay"):sign("sha256", node)
end

local function interpret(raw, headers)
    local answer = support.answer(raw)
    answer.headers = headers or {}
    return call.interpret(package, "query", account, answer, support.context())
end

local paid = json.encode {
    code = "10000", msg = "Success", out_trade_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE",
    trade_no = "2026011522001400000000000001", trade_status = "TRADE_SUCCESS", total_amount = "12.34",
    send_pay_date = "2026-01-15 10:24:58",
}
local waiting = paid:gsub("TRADE_SUCCESS", "WAIT_BUYER_PAY")

local function body(format, ...)
    return format:format(root, paid, sign(paid), ...)
end

describe("alipay, an answer that is good in an unusual way", function()
    for what, raw in pairs {
        ["sign in front"] = ('{"sign":"%s","%s":%s}'):format(sign(paid), root, paid),
        ["blanks everywhere"] = (' \r\n{ "%s" :\t%s\n, "sign" : "%s" } \n'):format(root, paid, sign(paid)),
        ["other members"] = body '{"%s":%s,"sign":"%s","alipay_cert_sn":"00ff","extra":{"code":"1"}}',
        ["its name escaped"] = body('{"%s":%s,"sign":"%s"}')
            :gsub("alipay_trade", "\\u0061lipay_trad\\u0065", 1),
        ["sign escaped"] = body '{"%s":%s,"si\\u0067n":"%s"}',
        ["slashes escaped in sign"] = ('{"%s":%s,"sign":"%s"}'):format(root, paid,
            (sign(paid):gsub("/", "\\/"))),
    } do
        it("takes one with " .. what, function()
            local outcome = interpret(raw)
            assert.are.equal("ok", outcome.class, outcome.reason)
            assert.are.equal("succeeded", outcome.result.state)
            assert.is_nil(outcome.alarm)
        end)
    end

    it("takes slashes that were escaped before or after the signing", function()
        local node = paid:gsub('"msg":"Success"', '"msg":"a\\/b"')
        local plain = node:gsub("\\/", "/")
        for _, signed in ipairs { node, plain } do
            local outcome = interpret(('{"%s":%s,"sign":"%s"}'):format(root, node, sign(signed)))
            assert.are.equal("ok", outcome.class, outcome.reason)
            assert.are.equal("a/b", outcome.result.message)
        end
        -- the other way round nobody does: what came is not what was signed
        local outcome = interpret(('{"%s":%s,"sign":"%s"}'):format(root, plain, sign(node)))
        assert.are.equal("unknown", outcome.class)
    end)

    it("keeps the number by which Alipay's support finds the call", function()
        local raw = body '{"%s":%s,"sign":"%s"}'
        assert.are.equal("0b01a2", interpret(raw, { trace_id = "0b01a2" }).result.trace_no)
        assert.is_nil(interpret(raw, { trace_id = "a b" }).result.trace_no)
        assert.is_nil(interpret(raw).result.trace_no)
    end)

    it("does not look at the media type", function()
        local raw = body '{"%s":%s,"sign":"%s"}'
        assert.are.equal("ok", interpret(raw, { ["content-type"] = "text/html;charset=utf-8" }).class)
    end)
end)

describe("alipay, an answer that somebody changed", function()
    local signed_waiting = { root, waiting, sign(waiting) }
    local function with(format)
        return format:format(table.unpack(signed_waiting)):gsub("PAID", function() return paid end)
    end
    for what, raw in pairs {
        ["a second node after the signature"] = with('{"%s":%s,"sign":"%s","' .. root .. '":PAID}'),
        ["a second node in front"] = with('{"' .. root .. '":PAID,"%s":%s,"sign":"%s"}'),
        ["a second node whose name is escaped"] =
            with('{"%s":%s,"sign":"%s","\\u0061lipay_trade_query_response":PAID}'),
        ["a second node whose name is escaped in capitals"] =
            with('{"%s":%s,"sign":"%s","alipay_trade_query_respons\\u0065":PAID}'),
        ["both roots"] = with('{"%s":%s,"sign":"%s","error_response":PAID}'),
        ["both roots, one escaped"] = with('{"%s":%s,"sign":"%s","error_respons\\u0065":PAID}'),
        ["a second signature"] = with('{"%s":%s,"sign":"%s","sign":"AAAA"}'),
        ["a second signature, escaped"] = with('{"%s":%s,"sign":"%s","\\u0073ign":"AAAA"}'),
        ["a second document"] = with('{"%s":%s,"sign":"%s"}{"' .. root .. '":PAID}'),
        ["a comment"] = with('{/*' .. root .. ':PAID*/"%s":%s,"sign":"%s"}'),
        ["another state"] = with('{"%s":%s,"sign":"%s"}'):gsub("WAIT_BUYER_PAY", "TRADE_SUCCESS"),
        ["a blank in the node"] = with('{"%s":%s,"sign":"%s"}'):gsub('"code":', '"code": '),
        ["no signature"] = ('{"%s":%s}'):format(root, paid),
        ["an empty signature"] = ('{"%s":%s,"sign":""}'):format(root, paid),
        ["a signature that is no text"] = ('{"%s":%s,"sign":{}}'):format(root, paid),
        ["a signature of null"] = ('{"%s":%s,"sign":null}'):format(root, paid),
        ["the node inside another"] = ('{"x":{"%s":%s,"sign":"%s"}}'):format(root, paid, sign(paid)),
        ["the node as text"] = json.encode { [root] = paid, sign = sign(paid) },
        ["an encrypted node"] = ('{"%s":"AAAA","sign":"%s"}'):format(root, sign '"AAAA"'),
        ["a list in place of the node"] = ('{"%s":[%s],"sign":"%s"}'):format(root, paid,
            sign("[" .. paid .. "]")),
        ["a name twice in the node, though signed"] = (function()
            local twice = '{"code":"40004","code":"10000"}'
            return ('{"%s":%s,"sign":"%s"}'):format(root, twice, sign(twice))
        end)(),
        ["the same name, escaped, twice in the node"] = (function()
            local twice = waiting:gsub("}$", ',"trade_statu\\u0073":"TRADE_SUCCESS"}')
            return ('{"%s":%s,"sign":"%s"}'):format(root, twice, sign(twice))
        end)(),
    } do
        it("is unknown: " .. what, function()
            local outcome = interpret(raw)
            assert.are.equal("unknown", outcome.class)
            assert.is_nil(outcome.result)
            assert.is_truthy(outcome.reason)
        end)
    end

    it("reads the text that was signed, not the text that came", function()
        local evil = paid:gsub('"msg":"Success"', '"msg":"a\\\\/b"') -- a backslash, then a slash
        local outcome = interpret(('{"%s":%s,"sign":"%s"}'):format(root, evil,
            sign((evil:gsub("\\/", "/")))))
        assert.are.equal("ok", outcome.class) -- what is read is what was signed, "a\/b"
        assert.are.equal("a/b", outcome.result.message)
    end)
end)

describe("alipay, what is no answer", function()
    local html = "<!DOCTYPE html><html><body>\xcf\xb5\xcd\xb3\xb7\xb1\xc3\xa6</body></html>" -- GBK
    for what, case in pairs {
        ["a page in GBK"] = { html, "answer not verified: a page, not an answer" },
        ["a page after blanks"] = { "\r\n  <html>", "answer not verified: a page, not an answer" },
        ["nothing"] = { "", "answer not verified: not a JSON object" },
        ["a byte order mark before it"] = { "\xef\xbb\xbf" .. body '{"%s":%s,"sign":"%s"}',
            "answer not verified: not a JSON object" },
        ["half of it"] = { body('{"%s":%s,"sign":"%s"}'):sub(1, 100),
            "answer not verified: not a JSON object" },
        ["text in GBK"] = { '{"' .. root .. '":{"msg":"\xb7\xb1"},"sign":"AAAA"}',
            "answer not verified: not a JSON object" },
        ["null"] = { "null", "answer not verified: not a JSON object" },
        ["another method's answer"] = { '{"alipay_trade_refund_response":{},"sign":"AAAA"}',
            "answer not verified: no root alipay_trade_query_response" },
    } do
        it("is unknown: " .. what, function()
            local outcome = interpret(case[1])
            assert.are.equal("unknown", outcome.class)
            assert.are.equal(case[2], outcome.reason)
            assert.is_nil(outcome.alarm)
        end)
    end

    it("is unknown when it is huge, however well signed", function()
        local lines = {}
        for i = 1, 30000 do
            lines[i] = '"x' .. i .. '"'
        end
        for _, big in ipairs { "[" .. table.concat(lines, ",") .. "]", ("["):rep(100) .. ("]"):rep(100),
            '"' .. ("x"):rep(100000) .. '"' } do
            local node = paid:gsub("}$", function() return ',"list":' .. big .. "}" end)
            local outcome = interpret(('{"%s":%s,"sign":"%s"}'):format(root, node, sign(node)))
            assert.are.equal("unknown", outcome.class)
        end
    end)

    it("is unknown with any status but 200", function()
        for _, status in ipairs { 201, 302, 400, 404, 500, 502, 503 } do
            local answer = support.answer(body '{"%s":%s,"sign":"%s"}', status)
            local outcome = call.interpret(package, "query", account, answer, support.context())
            assert.are.equal("unknown", outcome.class)
            assert.are.equal("answer not verified: HTTP status " .. status, outcome.reason)
        end
    end)
end)

describe("alipay, what people are told", function()
    for sub_code, advice in pairs {
        ["isv.invalid-app-id"] = "the application id is not known in this environment: compare app_id and "
            .. "gateway with the console",
        ["isv.missing-signature-config"] = "no public key was uploaded for the application",
        ["isv.brand-new"] = "an answer without a signature proves nothing",
    } do
        it("about an unsigned error " .. sub_code, function()
            local node = json.encode { code = "40002", msg = "Invalid Arguments", sub_code = sub_code }
            for _, name in ipairs { "error_response", root } do
                local outcome = interpret(('{"%s":%s}'):format(name, node))
                assert.are.equal("unknown", outcome.class)
                assert.are.equal("alipay: unsigned answer " .. sub_code .. ": " .. advice, outcome.alarm)
                assert.are.equal("answer not verified: unsigned: 40002 " .. sub_code, outcome.reason)
                assert.is_nil(outcome.evidence)
            end
        end)
    end

    it("about the gateway's code where there is no other", function()
        local outcome = interpret '{"error_response":{"code":"40003","msg":"x"}}'
        assert.are.equal("alipay: unsigned answer 40003: the application is not in force: look at its state "
            .. "in the console", outcome.alarm)
    end)

    it("about an unsigned success", function()
        assert.are.equal("alipay: unsigned answer 10000: an answer without a signature proves nothing",
            interpret(('{"%s":%s}'):format(root, paid)).alarm)
    end)

    it("about a signature that does not fit", function()
        for _, name in ipairs { "attacker", "merchant" } do
            local answer = support.signed_answer(root, paid, support.sign_key(name))
            local outcome = call.interpret(package, "query", account, answer, support.context())
            assert.are.equal("answer not verified: signature", outcome.reason)
            assert.are.equal("alipay: the answer's signature does not fit alipay_key: compare it with "
                .. "Alipay's public key, not the application's own, in the console", outcome.alarm)
        end
    end)

    it("nothing of what a stranger wrote but short plain words", function()
        local outcome = interpret '{"error_response":{"code":"4 <b>","sub_code":"x\\ny"}}'
        assert.is_nil(outcome.alarm)
        assert.are.equal("answer not verified: unsigned: ", outcome.reason)
    end)
end)
