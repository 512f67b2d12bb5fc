--- What rules are given: plain data, made anew for each crossing. Nothing in it is the kernel's own table.
local counters = require "tael.kernel.counters"
local json = require "tael.json"
local ids = require "tael.kernel.ids"
local merchant_day = require "tael.kernel.merchant_day"
local registry = require "tael.kernel.registry"
local time = require "tael.time"

local inputs = {}

--- The moment as a merchant's clock on the wall shows it.
local function local_time(now, zone)
    local year, month, day, hour, minute = time.format(now, zone):match("^(%d+)-(%d+)-(%d+) (%d+):(%d+)")
    return {
        year = math.tointeger(tonumber(year)), month = math.tointeger(tonumber(month)),
        day = math.tointeger(tonumber(day)), hour = math.tointeger(tonumber(hour)),
        minute = math.tointeger(tonumber(minute)),
        -- 1 is Sunday; the first day of 1970 was a Thursday
        wday = (merchant_day.of(now, zone).number + 4) % 7 + 1,
    }
end

local function plain(value)
    return value ~= json.null and value or nil
end

local function copy(map)
    local out = {}
    for name, value in pairs(plain(map) or {}) do
        out[name] = plain(value)
    end
    return out
end

---@param merchant table of the registry
---@param input table accepted body of payments.create
---@param id integer
---@param now integer ms
---@return tael.PaymentInput
function inputs.payment(merchant, input, id, now)
    local payer = plain(input.payer) or {}
    return {
        id = ids.encode("pay", id), merchant_order_id = input.merchant_order_id, amount = input.amount,
        currency = input.currency, subject = input.subject, channel = plain(input.channel),
        account = plain(input.account), product = plain(input.product), device = plain(input.device),
        capture = plain(input.capture) or "automatic", metadata = copy(input.metadata),
        payer = { ip = plain(payer.client_ip), key = counters.payer_key(merchant.id, payer) }, now = now,
        local_time = local_time(now, merchant.zone),
    }
end

--- A payment that there is.
---@param merchant table of the registry
---@param payment table row
---@param details table
---@param attempt table row that is spoken of
---@param now integer ms
---@return tael.RulePayment
function inputs.existing(merchant, payment, details, attempt, now)
    local account = registry.account(attempt.account)
    return {
        id = ids.encode("pay", payment.id), merchant_order_id = payment.merchant_order_id,
        amount = payment.amount, currency = payment.currency, subject = details.subject,
        metadata = copy(details.metadata), state = payment.state, reason = payment.reason,
        late = payment.late == 1, captured_amount = payment.captured_amount,
        refunded_amount = payment.refunded_amount,
        refundable_amount = payment.captured_amount - payment.refund_reserved,
        channel = account and account.channel, account = account and account.slug,
        product = attempt.product, now = now, local_time = local_time(now, merchant.zone),
    }
end

---@param attempt table row
---@return tael.RuleAttempt
function inputs.attempt(attempt)
    local account = registry.account(attempt.account)
    return {
        id = ids.encode("att", attempt.id), channel = account and account.channel,
        account = account and account.slug, product = attempt.product, state = attempt.state,
        amount = attempt.amount, currency = attempt.currency,
    }
end

local function names_of(map)
    local names = {}
    for name in pairs(map) do
        names[name] = true
    end
    return names
end

--- The merchant's accounts that can be used, in the order in which they were first configured.
---@param merchant table of the registry
---@return tael.ChannelInput[]
function inputs.channels(merchant)
    local list = {}
    for _, account in ipairs(merchant.accounts) do
        if account.fields then
            list[#list + 1] = {
                name = account.channel, account = account.slug,
                products = names_of(registry.package(account).products),
            }
        end
    end
    return list
end

return inputs
