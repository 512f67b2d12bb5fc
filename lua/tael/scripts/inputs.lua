--- What rules are given: plain data, as the bytes that cross. Nothing in it is the kernel's own table.
local counters = require "tael.kernel.counters"
local ids = require "tael.kernel.ids"
local isolate = require "tael.isolate"
local json = require "tael.json"
local merchant_day = require "tael.kernel.merchant_day"
local registry = require "tael.kernel.registry"
local time = require "tael.time"

local inputs = {}

---@class tael.scripts.Minute of a clock on the wall
---@field number integer since 1970
---@field packed tael.isolate.Packed of a tael.LocalTime

local minutes = {} ---@type table<string, tael.scripts.Minute> the last of each zone

--- The moment as a merchant's clock on the wall shows it.
local function local_time(now, zone)
    local number, minute = now // 60000, minutes[zone]
    if not minute or minute.number ~= number then
        local year, month, day, hour, min = time.format(now, zone):match("^(%d+)-(%d+)-(%d+) (%d+):(%d+)")
        minute = { number = number, packed = isolate.pack {
            year = math.tointeger(tonumber(year)), month = math.tointeger(tonumber(month)),
            day = math.tointeger(tonumber(day)), hour = math.tointeger(tonumber(hour)),
            minute = math.tointeger(tonumber(min)),
            -- 1 is Sunday; the first day of 1970 was a Thursday
            wday = (merchant_day.of(now, zone).number + 4) % 7 + 1,
        } }
        minutes[zone] = minute
    end
    return minute.packed
end

-- What rules ask for most comes first: it is found by going through what is before it.
local payment_shape = isolate.shape {
    "amount", { "payer", "ip", "client_ip", "key" }, "metadata", "currency", "channel", "product", "account",
    "subject", "device", "now", "local_time", "merchant_order_id", "capture", "id",
}

local NOTHING = {}

---@param merchant table of the registry
---@param input table accepted body of payments.create
---@param id integer
---@param now integer ms
---@return tael.isolate.Packed of a tael.PaymentInput
function inputs.payment(merchant, input, id, now)
    local payer, capture, metadata = input.payer, input.capture, input.metadata
    if payer == json.null then
        payer = nil
    end
    payer = payer or NOTHING
    return payment_shape(input.amount, payer.client_ip, payer.client_ip,
        counters.payer_key(merchant.id, payer), metadata ~= json.null and metadata or NOTHING,
        input.currency, input.channel, input.product, input.account, input.subject, input.device, now,
        local_time(now, merchant.zone), input.merchant_order_id,
        capture ~= json.null and capture or "automatic", ids.encode("pay", id))
end

local existing_shape = isolate.shape {
    "id", "merchant_order_id", "amount", "currency", "subject", "metadata", "state", "reason", "late",
    "captured_amount", "refunded_amount", "refundable_amount", "channel", "account", "product", "now",
    "local_time",
}

--- A payment that there is.
---@param merchant table of the registry
---@param payment table row
---@param details table
---@param attempt table row that is spoken of
---@param now integer ms
---@return tael.isolate.Packed of a tael.RulePayment
function inputs.existing(merchant, payment, details, attempt, now)
    local account, metadata = registry.account(attempt.account), details.metadata
    return existing_shape(ids.encode("pay", payment.id), payment.merchant_order_id, payment.amount,
        payment.currency, details.subject, metadata ~= json.null and metadata or NOTHING, payment.state,
        payment.reason, payment.late == 1, payment.captured_amount, payment.refunded_amount,
        payment.captured_amount - payment.refund_reserved, account and account.channel,
        account and account.slug, attempt.product, now, local_time(now, merchant.zone))
end

local attempt_shape = isolate.shape { "id", "channel", "account", "product", "state", "amount", "currency" }

---@param attempt table row
---@return tael.isolate.Packed of a tael.RuleAttempt
function inputs.attempt(attempt)
    local account = registry.account(attempt.account)
    return attempt_shape(ids.encode("att", attempt.id), account and account.channel, account and account.slug,
        attempt.product, attempt.state, attempt.amount, attempt.currency)
end

local function names_of(map)
    local names = {}
    for name in pairs(map) do
        names[name] = true
    end
    return names
end

---@class tael.scripts.Channels
---@field accounts table[] of the registry, as they were: one that changes is another table
---@field packed tael.isolate.Packed

---@type table<table, tael.scripts.Channels> by merchant of the registry
local channels = setmetatable({}, { __mode = "k" })

local function is_of(known, accounts)
    local seen = known.accounts
    for i = 1, #accounts do
        if seen[i] ~= accounts[i] then
            return false
        end
    end
    return #seen == #accounts
end

local function make_channels(accounts)
    local list, seen = {}, {}
    for i, account in ipairs(accounts) do
        seen[i] = account
        if account.fields then
            list[#list + 1] = {
                name = account.channel, account = account.slug,
                products = names_of(registry.package(account).products),
            }
        end
    end
    return { accounts = seen, packed = isolate.pack(list) }
end

--- The merchant's accounts that can be used, in the order in which they were first configured.
---@param merchant table of the registry
---@return tael.isolate.Packed of tael.ChannelInput[]
function inputs.channels(merchant)
    local known = channels[merchant]
    if not known or not is_of(known, merchant.accounts) then
        known = make_channels(merchant.accounts)
        channels[merchant] = known
    end
    return known.packed
end

return inputs
