--- The payer's side: the page of an order, the code that is scanned, Pay, Refuse, and the way back to the
--- shop with Alipay's signature (protocol reference §10).
local time = require "tael.time"

local clock = require "tael.sandbox.alipay.clock"
local orders = require "tael.sandbox.alipay.orders"
local pages = require "tael.sandbox.alipay.pages"
local payer = require "tael.sandbox.alipay.payer"
local picture = require "tael.sandbox.alipay.picture"
local trades = require "tael.sandbox.alipay.trades"
local wire = require "tael.sandbox.alipay.wire"
local yuan = require "tael.sandbox.alipay.yuan"

local cashier = {}

--- Where the browser goes after paying: return_url with what Alipay says, signed. No state is said.
---@param trade table
---@param app table
---@return string url
function cashier.return_target(trade, app)
    local fields = {
        app_id = trade.app_id, auth_app_id = trade.app_id, method = "alipay.trade.page.pay.return",
        charset = "utf-8", version = "1.0", sign_type = "RSA2", timestamp = clock.text(time.now()),
        out_trade_no = trade.out_trade_no, trade_no = trade.trade_no, seller_id = app.seller_id,
        total_amount = yuan.text(trade.total),
    }
    fields.sign = wire.sign_fields(fields, app.alipay_key)
    local address, fragment = trade.return_url:match("^([^#]*)(.*)$")
    local mark = address:find("?", 1, true) and "&" or "?"
    return address .. mark .. wire.write_form(fields) .. fragment
end

local function redirect(location)
    return { status = 302, headers = { location = location, ["cache-control"] = "no-store" }, body = "" }
end

local actions = {
    pay = function(state, trade)
        local now, why = payer.pay(state, trade)
        if why then
            return pages.too_little(now)
        elseif now.paid_at and now.return_url then
            return redirect(cashier.return_target(now, state.apps[now.app_id]))
        end
        return redirect("/cashier/" .. now.token)
    end,
    refuse = function(_, trade)
        if trade.status ~= "WAIT_BUYER_PAY" then -- paid or closed meanwhile, in another tab
            return redirect("/cashier/" .. trade.token)
        end
        return pages.refused(trade)
    end,
}

local function is_read(request)
    return request.method == "GET" or request.method == "HEAD"
end

---@param state table
---@param request table
---@param rest string what follows /cashier/
---@return table response
function cashier.handle(state, request, rest)
    local token, action = rest:match("^(%x+)$"), nil
    if not token then
        token, action = rest:match("^(%x+)/(%l+)$")
    end
    local trade = token and trades.by_token(token)
    if not trade or not state.apps[trade.app_id] then
        return pages.missing()
    elseif not action and is_read(request) then
        return pages.trade(trade)
    elseif action and actions[action] and request.method == "POST" then
        return actions[action](state, trade)
    end
    return pages.missing()
end

-- ---- the code ----

--- A browser that wants a picture says so; everything else is a payer who scans.
local function wants_picture(request, ending)
    local accept = request.headers.accept or ""
    return ending == ".svg" or accept:find("image/", 1, true) ~= nil and not accept:find("text/html", 1, true)
end

--- GET /qr/TOKEN scans the code, /qr/TOKEN.svg shows it.
---@param state table
---@param request table
---@param rest string what follows /qr/
---@return table response
function cashier.scan(state, request, rest)
    local token, ending = rest:match("^(%x+)(.*)$")
    local order = token and (ending == "" or ending == ".svg") and orders.by_token(token)
    if not order or not state.apps[order.app_id] or not is_read(request) then
        return pages.missing()
    elseif wants_picture(request, ending) then
        return picture.response(orders.address(state, request, order))
    elseif request.method == "HEAD" then
        return { status = 200, headers = { ["content-type"] = "text/html; charset=utf-8" }, body = "" }
    end
    local trade, why = orders.scan(order)
    return trade and pages.trade(trade) or pages.not_scanned(order, why)
end

return cashier
