--- The payer's browser coming back from the channel. It proves nothing and changes nothing: it is told what
--- the store says, after the channel was asked when the payment is still open.
local crypto = require "tael.crypto"
local details_of = require "tael.kernel.details"
local ids = require "tael.kernel.ids"
local log = require "tael.log"
local money = require "tael.kernel.money"
local query = require "tael.kernel.query"
local registry = require "tael.kernel.registry"
local returned = require "tael.channel.returned"
local states = require "tael.kernel.states"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"

local returns = {}

local PATIENCE_MS = 3000

local texts = {
    en = {
        paid = "Paid. Thank you.", pending = "We are waiting for the payment to be confirmed.",
        closed = "This payment is closed. Nothing was paid.", failed = "The payment was declined.",
        returned = "This payment is closed. What was paid has been given back.",
        returning = "What was paid is being given back.", refunded = "What was paid has been given back.",
        other = "The payment is being checked.", title = "Payment", order = "Order",
    },
    ["zh-CN"] = {
        paid = "支付成功，谢谢。", pending = "正在等待支付确认。", closed = "该支付已关闭，未扣款。",
        returned = "该支付已关闭，所付款项已退回。", returning = "所付款项正在退回。", refunded = "所付款项已退回。",
        failed = "支付被拒绝。", other = "该支付正在核对。", title = "支付", order = "订单",
    },
}

local STYLE = "body{overflow-wrap:anywhere}" -- an order's number may be longer than a telephone is wide
local STYLE_HASH = crypto.base64.encode(crypto.digest("sha256", STYLE))

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function escape(text)
    return (text:gsub("[&<>\"']", entities))
end

local locales = { en = "en", zh = "zh-CN" }

--- Of the languages that we have, the one that the browser wants most; of several, the one it names first.
local function language(header)
    local best, most = "en", 0
    for range in (header or ""):gmatch("[^,]+") do
        local tag, weight = range:lower():match("^%s*(%a+)[%w-]*%s*(.*)$")
        local locale = tag and locales[tag]
        local q = locale and (weight == "" and 1 or tonumber(weight:match("^;%s*q=([%d.]+)%s*$"))) or 0
        if q > most then
            best, most = locale, q
        end
    end
    return best
end

--- A row; nil when there is none, false when the store does not say.
local function read(statement, params)
    local rows = store.query(statement, params)
    if not rows then
        return false
    end
    return rows[1]
end

--- Did any order of the payment hold money that was given back at the channel?
---@return boolean? held nil: the store does not say
local function was_given_back(payment)
    local at = payment.attempt
    while at do
        local row = read("attempt.get", { attempt = at })
        if row == false then
            return nil
        elseif row and row.state == "expired" and row.code == states.GIVEN_BACK then
            return true
        end
        at = row and row.prev
    end
    return false
end

--- What the payer is told: the word of a text. Money that goes back is nothing to thank for, and a payment
--- that was closed by our reversal, or at the channel after money had come, is none that was not paid.
---@return string? word nil: the store does not say
local function word_of(payment)
    if payment.state == "paid" and payment.captured_amount > 0
        and payment.refund_reserved >= payment.captured_amount then
        return payment.refunded_amount >= payment.captured_amount and "refunded" or "returning"
    elseif payment.state ~= "closed" then
        return payment.state
    elseif payment.reason == "voided" then
        return "returned"
    end
    local given_back = was_given_back(payment)
    if given_back == nil then
        return nil
    end
    return given_back and "returned" or "closed"
end

--- Our own page, for payments without a return_url. It asks again by itself while the payment is open.
local function page(payment, word, locale)
    local text = texts[locale]
    local open = payment.state == "pending"
    local lines = {
        "<!DOCTYPE html>",
        ('<html lang="%s"><head><meta charset="utf-8">'):format(locale),
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        open and '<meta http-equiv="refresh" content="2">' or "",
        ("<title>%s</title><style>%s</style></head><body>"):format(text.title, STYLE),
        ('<h1 data-state="%s">%s</h1>'):format(payment.state, text[word] or text.other),
        ("<p>%s %s</p>"):format(escape(payment.currency), money.format(payment.amount, payment.currency)),
        ("<p>%s %s</p>"):format(text.order, escape(payment.merchant_order_id)),
        "</body></html>",
    }
    return {
        status = 200, body = table.concat(lines, "\n"),
        headers = {
            ["content-type"] = "text/html; charset=utf-8", ["cache-control"] = "no-store",
            ["content-security-policy"] = ("default-src 'none'; style-src 'sha256-%s'"):format(STYLE_HASH),
            ["referrer-policy"] = "no-referrer",
            ["x-content-type-options"] = "nosniff",
        },
    }
end

--- A byte that a Location cannot hold; URLs that were accepted long ago may.
local function escaped(byte)
    return ("%%%02X"):format(byte:byte())
end

local function redirect(url, payment)
    url = url:gsub("[^!-~]", escaped)
    local address, fragment = url:match("^([^#]*)(.*)$")
    local mark = address:find("?", 1, true) and "&" or "?"
    return { status = 303, body = "", headers = {
        ["location"] = ("%s%spayment_id=%s&state=%s%s"):format(address, mark, ids.encode("pay", payment.id),
            payment.state, fragment),
        ["cache-control"] = "no-store", ["referrer-policy"] = "no-referrer",
    } }
end

local function plain(status, text, wait)
    return { status = status, body = text, headers = { ["content-type"] = "text/plain; charset=utf-8",
        ["cache-control"] = "no-store", ["retry-after"] = wait } }
end

--- Of a row that was not read: there is none, or nobody knows.
local function missing(row)
    return row == false and plain(503, "try again\n", "1") or plain(404, "not found")
end

--- The attempt that the path names, at an account of that channel.
---@return table|false|nil attempt
---@return table? account
local function find(channel, number)
    local attempt = ids.attempt_of(number)
    local row = attempt and read("attempt.find", { attempt = attempt })
    local account = row and registry.account(row.account)
    if row and (not account or account.channel ~= channel) then
        return nil
    end
    return row, account
end

local function read_payment(id)
    return read("payment.get", { payment = id })
end

--- Asks the channel about the order that the payer comes back from, which need not be the newest, for at most
--- a few seconds of his time; a notification that comes first ends it.
local function ask(payment, attempt, key)
    task.spawn(function()
        local ran, message = pcall(query.sync, attempt, "return")
        if not ran then
            log.error("return.failed", { message = tostring(message) })
        end
        task.wake(key)
    end)
    task.wait(key, PATIENCE_MS)
    return read_payment(payment.id) or payment
end

--- May the channel be asked for this browser's sake? Not at an account that is no longer configured.
local function may_ask(account, inbound)
    local prepared, package = registry.prepared(account), registry.package(account)
    return prepared ~= nil and (not package.return_
        or returned.verify(package, prepared, inbound.request.query or "", time.now()) == inbound.payment)
end

--- GET or POST /return/<channel>/<order number>. Sets the task's scope to the payment's merchant.
---@param inbound { channel: string, payment: string, request: table }
---@return { status: integer, headers: table<string, string>, body: string } response
function returns.receive(inbound)
    local attempt, account = find(inbound.channel, inbound.payment)
    if not attempt then
        return missing(attempt)
    end
    task.set_scope(attempt.merchant)
    local payment = read_payment(attempt.payment)
    if not payment then
        return missing(payment)
    elseif payment.state == "pending" and may_ask(account, inbound) then
        payment = ask(payment, attempt.id, "payment:" .. payment.id)
    end
    local details, err = details_of.read(payment)
    if details and details.return_url then
        return redirect(details.return_url, payment)
    end
    local word = word_of(payment)
    if not word or not details and err.code ~= "damaged" then
        return missing(false)
    end
    return page(payment, word, language(inbound.request.headers["accept-language"]))
end

return returns
