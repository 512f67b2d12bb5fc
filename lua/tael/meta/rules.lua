---@meta

--- A merchant's rules: scripts/merchants/<slug>/rules.lua gives back a table of these functions. Each may be
--- absent; then, or when it fails, its default holds. They are pure: they see copies and change nothing. All
--- rules of a payment have some 2 ms together. `require "tael"` gives tael.json, `require "lib.x"` the
--- merchant's own scripts/merchants/<slug>/lib/x.lua. A second result is the reason, of at most 200 bytes.
---   limits: absent or failing, none.
---   risk: absent, allow; failing, review. What is denied is not written; what is under review waits for a
--- person, and no channel hears of it.
---   route: asked when the request names neither channel nor account; the first possible way is taken.
--- Absent or failing, the only account that there is.
---@class tael.Rules
---@field limits fun(payment: tael.PaymentInput): tael.Limits?
---@field risk fun(payment: tael.PaymentInput): "allow"|"review"|"deny", string?
---@field route fun(payment: tael.PaymentInput, channels: tael.ChannelInput[]): (string|tael.Way)[], string?

--- What is to be paid, as the request says. Amounts are integers of minor units, times ms since 1970 UTC.
---@class tael.PaymentInput
---@field id string "pay_…", which it will have
---@field merchant_order_id string
---@field amount integer
---@field currency string ISO 4217
---@field subject string
---@field channel string?
---@field account string?
---@field product string?
---@field device "desktop"|"mobile"|"wallet"|"terminal"|nil
---@field capture "automatic"|"manual"
---@field metadata table<string, any>
---@field payer { ip: string? }
---@field now integer
---@field local_time tael.LocalTime on the merchant's clock

---@class tael.LocalTime
---@field year integer
---@field month integer
---@field day integer
---@field hour integer
---@field minute integer
---@field wday integer 1 is Sunday

---@class tael.ChannelInput one of the merchant's accounts
---@field name string of its channel
---@field account string slug
---@field products table<string, true>

---@class tael.Way
---@field channel string?
---@field account string? slug
---@field product string?

---@class tael.Limits
---@field max_amount integer? of one payment; a larger one is answered limit_exceeded
