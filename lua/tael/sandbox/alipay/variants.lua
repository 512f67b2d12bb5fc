--- Notifications that a test asks for: what each variant changes, before signing (fields), after it (signed),
--- in the finished form (body), or the states it tells one after the other (states).
local time = require "tael.time"

local clock = require "tael.sandbox.alipay.clock"
local notice = require "tael.sandbox.alipay.notice"
local yuan = require "tael.sandbox.alipay.yuan"

local variants = {}

local DAY = 24 * 3600 * 1000

local function other_digit(text)
    local last = tonumber(text:sub(-1)) or 0
    return text:sub(1, -2) .. (last + 1) % 10
end

local known = {
    duplicate = { says = "the notification of the payment, once more" },
    reorder = { says = "TRADE_SUCCESS first, WAIT_BUYER_PAY after it",
        states = { "TRADE_SUCCESS", "WAIT_BUYER_PAY" } },
    late = { says = "a payment of 25 hours ago", fields = function(fields)
        local before = clock.text(time.now() - 25 * DAY // 24)
        fields.gmt_create, fields.gmt_payment = before, before
    end },
    stale = { says = "sent in 2020", fields = function(fields)
        fields.notify_time = "2020-01-15 10:20:30"
    end },
    finished = { says = "TRADE_FINISHED", states = { "TRADE_FINISHED" } },
    closed = { says = "TRADE_CLOSED of an order that nobody paid", states = { "TRADE_CLOSED" },
        fields = function(fields)
            fields.gmt_close, fields.gmt_payment = clock.text(time.now()), nil
        end },
    partial_refund = { says = "TRADE_SUCCESS with a refund of 0.01 that nobody asked for",
        fields = function(fields)
            fields.refund_fee, fields.send_back_fee = "0.01", "0.01"
            fields.gmt_refund, fields.out_biz_no = clock.text(time.now()) .. ".000", "UNKNOWN"
        end },
    tamper = { says = "the amount was changed after signing", signed = function(fields)
        fields.total_amount = fields.total_amount == "0.01" and "0.02" or "0.01"
    end },
    changed_amount = { says = "another amount, signed", fields = function(fields)
        fields.total_amount = yuan.text(yuan.fen(fields.total_amount) + 1)
    end },
    other_app = { says = "another app_id, signed", fields = function(fields)
        fields.app_id = other_digit(fields.app_id)
    end },
    other_seller = { says = "another seller_id, signed", fields = function(fields)
        fields.seller_id = other_digit(fields.seller_id)
    end },
    other_order = { says = "another out_trade_no, signed", fields = function(fields)
        fields.out_trade_no = fields.out_trade_no:reverse()
    end },
    duplicate_parameter = { says = "total_amount twice", body = function(body)
        return body .. "&total_amount=0.01"
    end },
    unsigned = { says = "no sign", signed = function(fields)
        fields.sign = nil
    end },
    bad_signature = { says = "a signature that does not fit", signed = function(fields)
        fields.sign = (fields.sign:sub(1, 1) == "A" and "B" or "A") .. fields.sign:sub(2)
    end },
}

local other_names = { tampered_amount = "tamper", other_amount = "changed_amount" }

---@param name string
---@return table? variant {says, …}
function variants.get(name)
    return known[other_names[name] or name]
end

--- The names and what each is, by name.
---@return { name: string, says: string }[]
function variants.list()
    local list = {}
    for name, variant in pairs(known) do
        list[#list + 1] = { name = name, says = variant.says }
    end
    table.sort(list, function(a, b) return a.name < b.name end)
    return list
end

--- The bytes of `fields` as the variant has them.
---@param variant table
---@param fields table
---@param key userdata
---@return string
function variants.write(variant, fields, key)
    if variant.fields then
        variant.fields(fields)
    end
    local body = notice.body(fields, key, variant.signed)
    return variant.body and variant.body(body) or body
end

--- The messages of one variant of a trade's notification, in the order of sending.
---@param trade table
---@param app table
---@param name string
---@param changes table<string, string> further fields, signed
---@return string[]? bodies nil: no such variant
function variants.bodies(trade, app, name, changes)
    local variant = variants.get(name)
    if not variant then
        return nil
    end
    local bodies = {}
    for i, status in ipairs(variant.states or { "TRADE_SUCCESS" }) do
        local fields = notice.of_payment(trade, app)
        fields.trade_status = status
        local paid = status ~= "WAIT_BUYER_PAY"
        fields.gmt_payment = paid and (fields.gmt_payment or clock.text(time.now())) or nil
        for field, value in pairs(changes) do
            fields[field] = value
        end
        bodies[i] = variants.write(variant, fields, app.alipay_key)
    end
    return bodies
end

return variants
