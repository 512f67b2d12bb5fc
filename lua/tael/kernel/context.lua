--- What a channel's pure functions get of the outside world. Of stored facts alone when the time is the
--- attempt's own: the same facts give the same signed bytes again, so a page URL need not be stored. What
--- was made of them lately is kept, since it costs a signature. It holds as long as the account and its key
--- are the same: of an order nothing changes once it has been handed out, its timestamp neither.
local call = require "tael.channel.call"
local crypto = require "tael.crypto"
local details_of = require "tael.kernel.details"
local due = require "tael.kernel.due"
local ids = require "tael.kernel.ids"
local log = require "tael.log"
local recent = require "tael.recent"
local registry = require "tael.kernel.registry"
local task = require "tael.task"

local context = {}

local HANDED_MAX = 512 -- of about 1.2 KB each, and as many older ones

local handed = recent.new(HANDED_MAX) -- attempt -> { prepared = account, action = next_action }

--- The nonce is as good as the time and the number it is made of: made when a channel asks for it.
local with_nonce = {
    __index = function(ctx, name)
        if name ~= "nonce" then
            return nil
        end
        local text = (">s4 s4 i8"):pack("tael.nonce.1", ctx.attempt.order_no, ctx.now)
        ctx.nonce = crypto.hex.encode(crypto.digest("sha256", text)):sub(1, 32)
        return ctx.nonce
    end,
    __metatable = false,
}

local notify_urls = setmetatable({}, { __mode = "k" }) -- by account

local function notify_url(account)
    local url = notify_urls[account]
    if not url then
        url = ("%s/notify/%s/%s"):format(registry.config.http.public_url, account.channel, account.slug)
        notify_urls[account] = url
    end
    return url
end

---@param payment table row
---@param details table
---@param attempt table row
---@param account table
---@param now integer ms
---@param refund table? row, for refund operations
---@return tael.channel.Context
function context.of(payment, details, attempt, account, now, refund)
    local number = ids.order_number(attempt.id)
    local ctx = call.context {
        now = now,
        payment = {
            merchant_order_id = payment.merchant_order_id, subject = details.subject,
            description = details.description, payer = details_of.payer(details, payment.id),
        },
        attempt = {
            order_no = number, amount = attempt.amount, currency = attempt.currency,
            product = attempt.product, expires_at = attempt.expires_at,
        },
        notify_url = notify_url(account),
        return_url = registry.config.http.public_url .. "/return/" .. account.channel .. "/" .. number,
        options = details.channel_options and details.channel_options[account.channel],
    }
    ctx.refund = refund and {
        refund_no = ids.order_number(refund.id, "ref"), amount = refund.amount, currency = refund.currency,
        reason = refund.reason,
    }
    return setmetatable(ctx, with_nonce)
end

--- Keeps what the payer of this order is handed.
---@param attempt table row
---@param action table next_action of its create
function context.hand_out(attempt, action)
    local prepared = registry.prepared(registry.account(attempt.account))
    handed:put(attempt.id, { prepared = prepared, action = action })
end

--- Asks the package for what the payer is sent to. Pure and repeatable.
local function build(payment, details, attempt, account, prepared)
    task.last(true)
    local ctx = context.of(payment, details, attempt, account, due.made(attempt.id))
    local request, err = call.build(registry.package(account), "create", prepared, ctx)
    if not request then
        log.warn("channel.build_failed", { channel = account.channel, account = account.slug,
            code = err.code, detail = err.detail })
        return nil, err
    end
    local result = request["local"]
    if not result or type(result.next_action) ~= "table" then
        return nil, { code = "script_failed", detail = account.channel
            .. ": create.build gave no next_action" }
    end
    return result.next_action
end

--- What the payer is sent to: the same for an order each time.
---@param payment table row
---@param details table
---@param attempt table row
---@return table? next_action not to be changed
---@return table? err {code, field?, detail}
function context.next_action(payment, details, attempt)
    local account = registry.account(attempt.account)
    local prepared = registry.prepared(account)
    if not prepared then
        return nil, { code = "no_channel_available", detail = "the account is no longer configured" }
    end
    local known = handed:get(attempt.id)
    if known and known.prepared == prepared then
        return known.action
    end
    local action, err = build(payment, details, attempt, account, prepared)
    if not action then
        return nil, err
    end
    context.hand_out(attempt, action)
    return action
end

return context
