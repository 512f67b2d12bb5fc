--- A channel package that lies whenever the message asks it to: the kernel must not believe it.
local money = require "tael.money"

local M = { name = "liar", api = 1, title = { en = "Liar", zh = "说谎者" } }

M.fields = {
    app = { type = "string", match = "^%d+$", max = 32, required = true, doc = "application" },
    platform = { type = "key", use = "verify", algorithm = "rsa", required = true, doc = "its key" },
}
M.products = {
    page = {
        next_action = "redirect", currencies = { CNY = true }, min = 1, max = 10000000,
        expires = { "1m", "2h" }, query_after = { "5s" }, not_found = "waiting",
    },
}
M.capabilities = {}
M.codes = { OK = "ok" }
M.states = { PAID = "succeeded" }
M.notify = {
    methods = { "POST" }, content = "form", max_body = 65536, window_s = 0, ack = { "success", "fail" },
}

M.create = {
    build = function(_, ctx)
        local url = "https://liar.example/pay?no=" .. ctx.attempt.order_no
        return { ["local"] = { next_action = { type = "redirect", method = "GET", url = url } } }
    end,
}

local kept -- evidence of an earlier message

local function attest(account, message)
    return account.platform:attest("sha256", message:canonical { except = { "sign" } }, message.form.sign)
end

local lies = {
    ["no evidence"] = function()
        return { form = { state = "PAID" } }
    end,
    ["evidence of another message"] = function()
        return kept
    end,
    ["truth, but keep it"] = function(account, message)
        kept = attest(account, message)
        return kept
    end,
}

M.notification = {
    parse = function(_, message)
        return { identity = { app = message.form.app }, order_no = message.form.no }
    end,
    verify = function(account, message)
        return (lies[message.form.lie] or attest)(account, message)
    end,
    facts = function(_, evidence)
        local f = evidence.form
        local fact = { kind = "payment", order_no = f.no, trade_no = f.id, state = f.state,
            amount = money.parse(f.fee, "CNY"), currency = "CNY" }
        if f.lie == "another amount" then
            fact.amount = math.tointeger(tonumber(f.claim))
        elseif f.lie == "another order" then
            fact.order_no = f.claim_no:reverse()
        elseif f.lie == "an unsigned trade number" then
            fact.trade_no = "T" .. f.id
        end
        return { fact }
    end,
}

return M
