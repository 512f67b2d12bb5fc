--- The payer's side: the page of an order, Pay, Refuse, and the way back to the shop with Alipay's signature
--- (protocol reference §10).
local time = require "tael.time"

local clock = require "tael.sandbox.alipay.clock"
local notify = require "tael.sandbox.alipay.notify"
local pages = require "tael.sandbox.alipay.pages"
local trades = require "tael.sandbox.alipay.trades"
local wire = require "tael.sandbox.alipay.wire"

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
        total_amount = ("%d.%02d"):format(trade.total // 100, trade.total % 100),
    }
    fields.sign = wire.sign_fields(fields, app.alipay_key)
    local mark = trade.return_url:find("?", 1, true) and "&" or "?"
    return trade.return_url .. mark .. wire.write_form(fields)
end

local function redirect(location)
    return { status = 302, headers = { location = location, ["cache-control"] = "no-store" }, body = "" }
end

--- Pays a trade, and starts its notification when this call is the one that paid.
---@param state table {apps, speed, notify}
---@param trade table
---@return table trade as it is now
function cashier.pay(state, trade)
    local app = state.apps[trade.app_id]
    local paid, delivery = trades.pay(trade, function(as_paid)
        return state.notify ~= false and notify.row(as_paid, app) or nil
    end)
    if delivery then
        notify.start(delivery.notify_id, state.apps, state.speed)
    end
    return paid
end

local actions = {
    pay = function(state, trade)
        local now = cashier.pay(state, trade)
        if now.paid_at and now.return_url then
            return redirect(cashier.return_target(now, state.apps[now.app_id]))
        end
        return redirect("/cashier/" .. now.token)
    end,
    refuse = function(_, trade)
        return pages.refused(trade)
    end,
}

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
    elseif not action and (request.method == "GET" or request.method == "HEAD") then
        return pages.trade(trade)
    elseif action and actions[action] and request.method == "POST" then
        return actions[action](state, trade)
    end
    return pages.missing()
end

return cashier
