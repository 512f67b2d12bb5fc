--- A notification from its first byte to what the kernel may believe. The first byte of an input says what is
--- done with the rest: as it is, or signed with Alipay's key (one of four texts), so that mutations get past
--- the signature. What must hold: nothing raises; evidence only of what a fresh check of the signature
--- confirms; an admitted fact says what the form says.
local support = require "tests.spec.kernel_support"
local channel = require "tests.spec.channel_support"
local evidence = require "tael.kernel.evidence"
local form = require "tael.form"
local inbound = require "tael.kernel.inbound"
local loader = require "tael.channel.loader"
local money = require "tael.kernel.money"
local notification = require "tael.channel.notification"
local verdict = require "tael.kernel.verdict"

local package = loader.load(channel.scripts).alipay
local prepared = channel.account(package)
local account = { id = channel.account_id, fields = channel.fields }
local key = channel.sign_key "alipay"
local public = channel.verify_key "alipay"
local exceptions = { { "sign", "sign_type" }, { "sign" } }

local function texts(fields)
    local list = {}
    for _, except in ipairs(exceptions) do
        for _, drop_empty in ipairs { true, false } do
            list[#list + 1] = form.canonical(fields, { except = except, drop_empty = drop_empty })
        end
    end
    return list
end

--- The body with a signature of its own in place of what stands there; as it is when it is no form.
local function signed(body, choice)
    local fields = form.decode(body)
    if not fields then
        return body
    end
    fields.sign_type = "RSA2"
    fields.sign = key:sign("sha256", texts(fields)[choice])
    return form.encode(fields)
end

local function genuine(fields)
    for _, text in ipairs(texts(fields)) do
        if public:verify("sha256", text, fields.sign) then
            return true
        end
    end
    return false
end

local function check_refusal(refusal)
    assert(type(refusal.check) == "string" and type(refusal.detail) == "string", "no reason")
    assert(not refusal.detail:find("%.lua:%d+: "), refusal.detail) -- one of Lua's own
end

local function check_fact(run, fact)
    local good, refusal = evidence.admit { proof = run.proof, message = run.message, account = account,
        fact = fact, identity = run.claims.identity, stated = package.stated, amounts = package.amounts }
    if not good then
        check_refusal(refusal)
        return
    end
    local fields = run.message.form
    assert(fact.order_no == fields.out_trade_no, "another order")
    assert(fact.seller == nil or fact.seller == channel.fields.seller_id, "another seller")
    assert(fields.app_id == channel.fields.app_id, "another application")
    if fact.kind == "payment" and fact.state == "succeeded" then
        assert(fact.amount == money.parse(fields.total_amount, "CNY"), "another amount")
        assert(fields.trade_status == "TRADE_SUCCESS" or fields.trade_status == "TRADE_FINISHED", "not paid")
    end
end

local function check_facts(run)
    assert(genuine(run.message.form), "evidence without a signature")
    assert(evidence.authentic(run.proof, run.message, account))
    local facts, refusal = notification.facts(package, prepared, run.proof)
    if not facts then
        check_refusal(refusal)
        return
    end
    for _, fact in ipairs(facts) do
        check_fact(run, fact)
    end
end

local function run_of(body)
    return { account = account, package = package, prepared = prepared, source = "127.0.0.1",
        at = support.now + 600000, actor = "channel:alipay", verdict = verdict.new(function() return 0 end),
        request = { method = "POST", body = body, query = "",
            headers = { ["content-type"] = "application/x-www-form-urlencoded; charset=utf-8" } } }
end

---@param input string
return function(input)
    local choice, body = input:byte() or 0, input:sub(2)
    local as_it_is = choice % 5 == 0
    local run = run_of(as_it_is and body or signed(body, choice % 5))
    local refusal = inbound.check(run)
    if refusal then
        assert(run.proof == nil, "evidence beside a refusal")
        check_refusal(refusal)
    else
        check_facts(run)
    end
    local stored = verdict.decode(run.verdict:encode())
    assert(#verdict.view(stored, {}) == #verdict.ORDER, "checks are missing")
    inbound.signed_text(package, prepared, account, run.request.body, run.at)
end
