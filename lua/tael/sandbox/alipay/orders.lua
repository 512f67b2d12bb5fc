--- Orders: alipay.trade.page.pay, alipay.trade.precreate (protocol reference §8.1, §8.4), and the payer who
--- scans a code. A page order becomes a trade when the payer opens the page, a precreated one when he scans.
local crypto = require "tael.crypto"
local json = require "tael.json"
local time = require "tael.time"

local answers = require "tael.sandbox.alipay.answers"
local clock = require "tael.sandbox.alipay.clock"
local db = require "tael.sandbox.alipay.db"
local trades = require "tael.sandbox.alipay.trades"
local yuan = require "tael.sandbox.alipay.yuan"

local orders = {}

local HOUR = 3600 * 1000
local CODE_LIFE = 2 * HOUR
local PAGE_LIFE, CODE_ORDER_LIFE = 15 * 24 * HOUR, 3 * HOUR

-- ---- what an order says ----

local function text_within(value, max)
    local length = type(value) == "string" and utf8.len(value)
    return length and length >= 1 and length <= max
end

local function optional_text(value, max)
    return value == nil or text_within(value, max)
end

local function optional_url(value)
    return value == nil or #value <= 256 and value:find("^https?://[^%s]+$") ~= nil
end

local products = {
    page = function(code) return code == "FAST_INSTANT_TRADE_PAY" end,
    precreate = function(code)
        return code == nil or code == "QR_CODE_OFFLINE" or code == "FACE_TO_FACE_PAYMENT"
    end,
}

-- in order: the parameter, and whether its value may be
local rules = {
    { "out_trade_no", function(value)
        return type(value) == "string" and #value <= 64 and value:find("^[%w_]+$") ~= nil
    end },
    { "total_amount", yuan.fen },
    { "product_code", function(value, call) return products[call.method.op](value) end },
    { "subject", function(value) return text_within(value, 256) and not value:find("[/=&]") end },
    { "body", function(value) return optional_text(value, 128) end },
    { "passback_params", function(value) return optional_text(value, 512) end },
    { "notify_url", function(_, call) return optional_url(call.fields.notify_url) end },
    { "return_url", function(_, call) return optional_url(call.fields.return_url) end },
    { "seller_id", function(value) return value == nil or type(value) == "string" end },
}

--- The order of a call, checked; nil and a failure otherwise.
local function read_order(call, now, life)
    local content = call.content
    for _, rule in ipairs(rules) do
        if not rule[2](content[rule[1]], call) then
            return nil, answers.invalid(rule[1])
        end
    end
    local expires_at, wrong = clock.expiry(content, now, life)
    if not expires_at then
        return nil, answers.invalid(wrong)
    elseif content.seller_id ~= nil and content.seller_id ~= call.app.seller_id then
        return nil, answers.refuse("SELLER_NOT_EXIST")
    end
    return {
        app_id = call.app.app_id, out_trade_no = content.out_trade_no, total = yuan.fen(content.total_amount),
        subject = content.subject, body = content.body, passback_params = content.passback_params,
        notify_url = call.fields.notify_url, return_url = call.fields.return_url, expires_at = expires_at,
    }
end

local function agrees(one, other)
    return one.total == other.total and one.subject == other.subject
end

-- ---- alipay.trade.page.pay ----

local function find_or_open(order, now)
    local trade = trades.get(order.app_id, order.out_trade_no)
    if not trade and order.expires_at <= now then
        return nil, answers.refuse("NOW_TIME_AFTER_EXPIRE_TIME_ERROR")
    end
    trade = trade or trades.open(order)
    if not agrees(trade, order) then
        return nil, answers.refuse("CONTEXT_INCONSISTENT")
    elseif trade.status == "TRADE_CLOSED" then
        return nil, answers.refuse("TRADE_HAS_CLOSE")
    end
    return trade
end

---@param call table
---@return table outcome response, or failure
function orders.page(_, call)
    local now = time.now()
    local order, wrong = read_order(call, now, PAGE_LIFE)
    if not order then
        return wrong
    end
    local trade, refused = find_or_open(order, now)
    if not trade then
        return refused
    end
    return {
        status = 302, body = "",
        headers = { location = "/cashier/" .. trade.token, ["cache-control"] = "no-store" },
    }
end

-- ---- alipay.trade.precreate ----

-- what a repeat has to say again, beside total and subject
local repeated = { "body", "passback_params", "time_expire", "timeout_express", "qr_code_timeout_express",
    "product_code" }

local function content_of(call)
    local kept = {}
    for _, name in ipairs(repeated) do
        kept[name] = call.content[name]
    end
    return kept
end

local function says_the_same(known, order, call)
    local kept = assert(json.decode(known.content))
    for _, name in ipairs(repeated) do
        if kept[name] ~= call.content[name] then
            return false
        end
    end
    return agrees(known, order)
end

--- Why a precreate for this number is refused; nil: it is not.
local function refusal(call, order, known, now)
    local trade = trades.get(order.app_id, order.out_trade_no)
    if known and not says_the_same(known, order, call) or trade and not agrees(trade, order) then
        return answers.refuse("CONTEXT_INCONSISTENT")
    elseif trade and trade.status == "TRADE_CLOSED" then
        return answers.refuse("TRADE_HAS_CLOSE")
    elseif trade and trade.status ~= "WAIT_BUYER_PAY" then
        return answers.refuse("TRADE_HAS_SUCCESS")
    elseif not trade and order.expires_at <= now then
        return answers.refuse("NOW_TIME_AFTER_EXPIRE_TIME_ERROR")
    end
end

local function code_until(content, now)
    local named = content.qr_code_timeout_express
    if named == nil then
        return now + CODE_LIFE
    end
    local until_named = clock.expiry({ timeout_express = named }, now, CODE_LIFE)
    return until_named and math.min(until_named, now + CODE_LIFE)
end

--- The order with a code that is still good: written down, or found.
local function keep(call, order, now)
    local key = { app_id = order.app_id, out_trade_no = order.out_trade_no }
    local token, ends = crypto.hex.encode(crypto.random(16)), code_until(call.content, now)
    db.commit {
        { "order.insert", {
            app_id = order.app_id, out_trade_no = order.out_trade_no, token = token,
            content = json.encode(content_of(call)), total = order.total, subject = order.subject,
            body = order.body, passback_params = order.passback_params, notify_url = order.notify_url,
            now = now, code_until = ends,
        } },
        { "order.renew", { app_id = order.app_id, out_trade_no = order.out_trade_no, token = token,
            code_until = ends, now = now } },
    }
    return db.first("order.get", key)
end

--- What the code of an order says: an address of this sandbox, as the caller wrote its name.
---@param state table {address}
---@param request table
---@param order table row of orders
---@return string
function orders.address(state, request, order)
    local host = request.headers.host
    if type(host) ~= "string" or not host:find("^[%w%.%-%[%]:]+$") then
        host = state.address
    end
    return "http://" .. host .. "/qr/" .. order.token
end

---@param state table
---@param call table
---@return table outcome members or failure
function orders.precreate(state, call)
    local now = time.now()
    local order, wrong = read_order(call, now, CODE_ORDER_LIFE)
    if not order then
        return wrong
    elseif not code_until(call.content, now) then
        return answers.invalid("qr_code_timeout_express")
    end
    local known = db.first("order.get", { app_id = order.app_id, out_trade_no = order.out_trade_no })
    local refused = refusal(call, order, known, now)
    if refused then
        return refused
    end
    local kept = keep(call, order, now)
    return {
        { "out_trade_no", kept.out_trade_no },
        { "qr_code", orders.address(state, call.request, kept) },
    }
end

-- ---- the payer scans ----

---@param token string
---@return table? order
function orders.by_token(token)
    return db.first("order.by_token", { token = token })
end

---@param out_trade_no string
---@return table? order
function orders.by_number(out_trade_no)
    return db.first("order.by_number", { out_trade_no = out_trade_no })
end

--- The trade behind a code: the first scan makes it. Its life begins with the scan.
---@param order table row of orders
---@return table? trade
---@return "code_over"|"order_over"|"other_order"|nil why
function orders.scan(order)
    local now = time.now()
    local trade = trades.get(order.app_id, order.out_trade_no)
    if trade and not agrees(trade, order) then
        return nil, "other_order"
    elseif trade then
        return trade
    elseif order.code_until <= now then
        return nil, "code_over"
    end
    local expires_at = clock.expiry(assert(json.decode(order.content)), now, CODE_ORDER_LIFE)
    if expires_at <= now then
        return nil, "order_over"
    end
    return trades.open {
        app_id = order.app_id, out_trade_no = order.out_trade_no, total = order.total,
        subject = order.subject, body = order.body, passback_params = order.passback_params,
        notify_url = order.notify_url, expires_at = expires_at,
    }
end

return orders
