--- An answer of the gateway from its bytes to what it means. The first byte of an input chooses the operation
--- and, above 127, that the rest is signed with Alipay's key, so that mutations get past the signature;
--- the second byte chooses the status. What must hold: nothing raises; without evidence it is unknown;
--- evidence is what a fresh check confirms.
local support = require "tests.spec.channel_support"
local call = require "tael.channel.call"
local json = require "tael.json"
local loader = require "tael.channel.loader"

local package = loader.load(support.scripts).alipay
local account = support.account(package)
local public = support.verify_key "alipay"
local key = support.sign_key "alipay"
local roots = { create = "alipay_trade_precreate_response", query = "alipay_trade_query_response",
    close = "alipay_trade_close_response", cancel = "alipay_trade_cancel_response",
    refund = "alipay_trade_refund_response", refund_query = "alipay_trade_fastpay_refund_query_response" }
local ops = { "create", "query", "close", "cancel", "refund", "refund_query" }
local classes = { ok = true, pending = true, unknown = true, not_found = true, declined = true,
    config = true, abnormal = true, conflict = true }

local context = support.context { attempt = { product = "qr" } }
context.refund = { refund_no = "R1", amount = 500, currency = "CNY", reason = "spec" }

local function signed(op, node)
    return ('{"%s":%s,"sign":"%s"}'):format(roots[op], node, key:sign("sha256", node))
end

local function check_evidence(outcome, raw)
    local text = outcome.evidence.text
    local sign = assert(json.decode(raw)).sign
    assert(public:verify("sha256", text, sign), "evidence without a signature")
    assert(raw:find(text, 1, true) or raw:gsub("\\/", "/"):find(text, 1, true), "evidence of other bytes")
end

---@param input string
return function(input)
    local choice, status, body = input:byte(1) or 0, input:byte(2) or 0, input:sub(3)
    local op = ops[choice % #ops + 1]
    local raw = choice < 128 and body or signed(op, body)
    local outcome = call.interpret(package, op, account, support.answer(raw, status < 128 and 200 or 502),
        context)
    assert(classes[outcome.class], tostring(outcome.class))
    assert(not tostring(outcome.reason):find("%.lua:%d+: "), outcome.reason) -- one of Lua's own
    if outcome.class ~= "ok" then
        assert(type(outcome.reason) == "string", "no reason")
    end
    if outcome.evidence then
        check_evidence(outcome, raw)
    else
        assert(outcome.class == "unknown" and outcome.result == nil, "a result without evidence")
    end
end
