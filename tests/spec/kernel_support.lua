--- What the specs of the kernel share: stand-ins for the modules that need a running engine, and rows as
--- the store would give them.
require "tests.spec.channel_support"
local id = require "tael.id"

local support = {}

support.EPOCH_MS = 1577836800000

local store = require "tael.store"
store.id_ms = store.id_ms or function(number) return (number >> 22) + support.EPOCH_MS end

pcall(id.set_key, "a key for specs, thirty-two bytes")

support.now = 1768443630000

--- An id as the store makes them.
function support.id(ms, low)
    return (ms - support.EPOCH_MS) << 22 | (low or 1)
end

local function with(row, changed)
    for name, value in pairs(changed or {}) do
        row[name] = value
    end
    return row
end

---@param changed table? columns
function support.payment(changed)
    return with({
        merchant = 3, id = support.id(support.now, 1), merchant_order_id = "A1001", request = ("r"):rep(16),
        state = "pending", late = 0, amount = 1234, currency = "CNY", capture = "automatic",
        parallel = "none",
        authorized_amount = 0, captured_amount = 0, refund_reserved = 0, refunded_amount = 0,
        attempt = support.id(support.now, 2), detail_event = 11, version = 1, last_event = 11,
        last_hash = ("h"):rep(32), updated_at = support.now, expires_at = support.now + 1800000,
    }, changed)
end

---@param changed table? columns
function support.attempt(changed)
    return with({
        merchant = 3, id = support.id(support.now, 2), payment = support.id(support.now, 1), account = 7,
        product = "page", state = "issued", amount = 1234, currency = "CNY",
        expires_at = support.now + 1800000, updated_at = support.now,
    }, changed)
end

---@param changed table? members
function support.success(changed)
    return with({
        kind = "payment", state = "succeeded", channel_state = "PAID", amount = 1234, currency = "CNY",
        trade_no = "T1", code = "PAID", at = support.now + 5000,
    }, changed)
end

---@param changed table? members
function support.case(changed)
    return with({
        payment = support.payment(), attempt = support.attempt(), fact = support.success(),
        now = support.now + 6000, grace = 120000, waits_unopened = true, others_open = false,
        policy = { late = "review", duplicate = "refund" },
    }, changed)
end

return support
