--- The payer's browser coming back from the channel. It proves nothing and changes nothing: it is told what
--- the store says, after the channel was asked when the payment is still open.
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
        other = "The payment is being checked.", title = "Payment", order = "Order",
    },
    ["zh-CN"] = {
        paid = "支付成功，谢谢。", pending = "正在等待支付确认。", closed = "该支付已关闭，未扣款。",
        returned = "该支付已关闭，所付款项已退回。", failed = "支付被拒绝。", other = "该支付正在核对。", title = "支付", order = "订单",
    },
}

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function escape(text)
    return (text:gsub("[&<>\"']", entities))
end

local function language(header)
    return (header or ""):lower():find("^%s*zh") and "zh-CN" or "en"
end

--- Was it closed after money had come: by our reversal, or at the channel?
local function was_returned(payment, attempt)
    if payment.state ~= "closed" then
        return false
    elseif payment.reason == "voided" then
        return true
    end
    local rows = store.query("attempt.find", { attempt = attempt })
    local row = rows and rows[1]
    return row ~= nil and row.state == "expired" and row.code == states.GIVEN_BACK
end

--- Our own page, for payments without a return_url. It asks again by itself while the payment is open.
local function page(payment, attempt, locale)
    local text = texts[locale]
    local said = was_returned(payment, attempt) and text.returned or text[payment.state] or text.other
    local open = payment.state == "pending"
    local lines = {
        "<!DOCTYPE html>",
        ('<html lang="%s"><head><meta charset="utf-8">'):format(locale),
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        open and '<meta http-equiv="refresh" content="2">' or "",
        ("<title>%s</title></head><body>"):format(text.title),
        ('<h1 data-state="%s">%s</h1>'):format(payment.state, said),
        ("<p>%s %s</p>"):format(escape(payment.currency), money.format(payment.amount, payment.currency)),
        ("<p>%s %s</p>"):format(text.order, escape(payment.merchant_order_id)),
        "</body></html>",
    }
    return {
        status = 200, body = table.concat(lines, "\n"),
        headers = {
            ["content-type"] = "text/html; charset=utf-8", ["cache-control"] = "no-store",
            ["content-security-policy"] = "default-src 'none'", ["referrer-policy"] = "no-referrer",
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

local function not_found()
    return { status = 404, headers = { ["content-type"] = "text/plain; charset=utf-8" }, body = "not found" }
end

--- The attempt that the path names, at an account of that channel.
local function find(channel, number)
    local attempt = ids.attempt_of(number)
    local rows = attempt and store.query("attempt.find", { attempt = attempt })
    local row = rows and rows[1]
    local account = row and registry.account(row.account)
    if not account or account.channel ~= channel then
        return nil
    end
    return row, account
end

local function read_payment(id)
    local rows = store.query("payment.get", { payment = id })
    return rows and rows[1]
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

--- GET or POST /return/<channel>/<order number>. Sets the task's scope to the payment's merchant.
---@param inbound { channel: string, payment: string, request: table }
---@return { status: integer, headers: table<string, string>, body: string } response
function returns.receive(inbound)
    local attempt, account = find(inbound.channel, inbound.payment)
    if not attempt then
        return not_found()
    end
    task.set_scope(attempt.merchant)
    local payment = read_payment(attempt.payment)
    local prepared = registry.prepared(account)
    if not payment or not prepared then
        return not_found()
    end
    local request = inbound.request
    local package = registry.package(account)
    local signed = not package.return_
        or returned.verify(package, prepared, request.query or "", time.now()) == inbound.payment
    if payment.state == "pending" and signed then
        payment = ask(payment, attempt.id, "payment:" .. payment.id)
    end
    local details = details_of.read(payment)
    if details and details.return_url then
        return redirect(details.return_url, payment)
    end
    return page(payment, attempt.id, language(request.headers["accept-language"]))
end

return returns
