--- GET /sandbox: what can be done here, for people as a page and for programs as JSON.
local json = require "tael.json"

local faults = require "tael.sandbox.alipay.faults"
local html = require "tael.sandbox.html"
local magic = require "tael.sandbox.alipay.magic"
local reply = require "tael.sandbox.alipay.reply"
local variants = require "tael.sandbox.alipay.variants"

local help = {}

local addresses = {
    { "GET|POST /gateway.do",
        "Alipay's gateway: page pay, precreate, query, close, cancel, refund, refund query" },
    { "GET /qr/TOKEN", "the payer scans the code of a precreated order; /qr/TOKEN.svg shows it" },
    { "GET /cashier/TOKEN", "the payer's page: Pay, Refuse" },
    { "GET /sandbox/trades[/NUMBER]", "trades, newest first" },
    { "POST /sandbox/trades/NUMBER/pay", "what the payer's button does; also /scan, /refuse, /close" },
    { "GET /sandbox/bill[?app_id=]", "what was really paid and given back, trade by trade, with sums" },
    { "GET /sandbox/money", "the sums, and the trades that were paid" },
    { "GET|POST /sandbox/balance", "what the merchant has: {app_id?, set: fen|null} or {app_id?, add: fen}" },
    { "GET /sandbox/deliveries[?out_trade_no=]", "notifications: of one order, else those still to be sent" },
    { "POST /sandbox/notify", "{out_trade_no, variant, fields?, times?} sends a notification now" },
    { "GET|POST /sandbox/behaviour",
        "{op?, fault, times?, ms?, sub_code?, out_trade_no?} {notices, op?, times?, ms?, out_trade_no?} "
        .. "{notify} {refund_notify: partial|all|none} {magic}; fault or notices null: none any more" },
    { "POST /sandbox/clock", "{advance_ms} sets the clock ahead" },
    { "GET /sandbox/help", "this page as JSON" },
}

local notices = {
    { name = "lose", says = "it is never sent" },
    { name = "delay", says = "it is sent a minute, or ms, later" },
    { name = "duplicate", says = "every delivery comes twice at once" },
    { name = "reorder", says = "it is held back until the next notification was sent" },
}

---@param name any
---@return boolean
function help.is_notice(name)
    for _, known in ipairs(notices) do
        if known.name == name then
            return true
        end
    end
    return type(name) == "string" and variants.get(name) ~= nil
end

local function amount(rule)
    return (rule.of == "total" and "total_amount" or "refund_amount") .. " …." .. rule.digits
end

---@return table response
function help.json()
    local rules = {}
    for i, rule in ipairs(magic.rules) do
        rules[i] = { of = rule.of, digits = rule.digits, op = rule.op, fault = rule.fault, times = rule.times,
            says = rule.says }
    end
    local lines = {}
    for i, address in ipairs(addresses) do
        lines[i] = { address = address[1], says = address[2] }
    end
    return reply.json(200, {
        addresses = json.array(lines), magic_amounts = json.array(rules), faults = json.array(faults.list()),
        notices = json.array(notices), variants = json.array(variants.list()),
    })
end

local function section(title, rows)
    local parts = { "<h2>", title, "</h2><dl>" }
    for _, row in ipairs(rows) do
        parts[#parts + 1] = ("<dt><code>%s</code></dt><dd>%s</dd>")
            :format(html.escape(row[1]), html.escape(row[2]))
    end
    parts[#parts + 1] = "</dl>"
    return table.concat(parts)
end

local function pairs_of(list)
    local rows = {}
    for i, item in ipairs(list) do
        rows[i] = { item.name, item.says .. (item.ops and " (" .. table.concat(item.ops, ", ") .. ")" or "") }
    end
    return rows
end

local function amounts()
    local rows = {}
    for i, rule in ipairs(magic.rules) do
        rows[i] = { amount(rule), rule.says .. (rule.times == 1 and " (once)" or "") }
    end
    return rows
end

---@return table response
function help.page()
    return html.page {
        title = "Alipay sandbox", lang = "en", wide = true,
        content = table.concat {
            "<h1>支付宝沙箱 Alipay sandbox</h1><p>Simulated, no real money. 模拟网关，不会动用真实资金。</p>",
            section("Addresses 地址", addresses), section("Magic amounts 特殊金额", amounts()),
            section("Faults 故障", pairs_of(faults.list())), section("Notices 通知故障", pairs_of(notices)),
            section("Variants 通知变体", pairs_of(variants.list())),
        },
    }
end

return help
