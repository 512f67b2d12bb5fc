--- Magic amounts: the last two digits of total_amount, or of refund_amount, make something go wrong without
--- any lever. One table for the code, for GET /sandbox and for the README.
local db = require "tael.sandbox.alipay.db"

local magic = {}

--- of: whose digits. op: the call that is met (notice: the notification of the payment; pay: the payer).
--- times: how often for one order or refund, always without it. paid: only once the trade is paid.
---@class tael.sandbox.MagicRule
---@field of "total"|"refund"
---@field digits integer
---@field op string
---@field fault string
---@field times? integer
---@field paid? boolean
---@field says string
magic.rules = {
    { of = "total", digits = 61, op = "precreate", fault = "lost_before", times = 1,
        says = "precreate: no answer, the order is not there" },
    { of = "total", digits = 62, op = "precreate", fault = "lost_after", times = 1,
        says = "precreate: no answer, the order is there" },
    { of = "total", digits = 63, op = "precreate", fault = "busy_before", times = 1,
        says = "precreate: 20000, the order is not there" },
    { of = "total", digits = 64, op = "precreate", fault = "busy_after", times = 1,
        says = "precreate: 20000, the order is there" },
    { of = "total", digits = 65, op = "pay", fault = "payer_balance_too_low",
        says = "the payer has too little: the order cannot be paid" },
    { of = "total", digits = 66, op = "notice", fault = "lose",
        says = "the payment is never notified" },
    { of = "total", digits = 67, op = "notice", fault = "duplicate",
        says = "every delivery of the notification comes twice at once" },
    { of = "total", digits = 68, op = "notice", fault = "bad_signature",
        says = "the first delivery has a wrong signature, the next is right" },
    { of = "total", digits = 69, op = "notice", fault = "changed_amount",
        says = "the first delivery names another amount, signed; the next is right" },
    { of = "total", digits = 70, op = "notice", fault = "tamper",
        says = "the first delivery was changed after signing, the next is right" },
    { of = "total", digits = 71, op = "notice", fault = "delay",
        says = "the notification comes a minute late" },
    { of = "total", digits = 72, op = "query", fault = "wrong_signature", times = 1, paid = true,
        says = "the first query after the payment is signed wrongly" },
    { of = "total", digits = 73, op = "query", fault = "unsigned", times = 1, paid = true,
        says = "the first query after the payment is not signed" },
    { of = "total", digits = 74, op = "query", fault = "unsigned_success", times = 1,
        says = "the first query says paid, without a signature" },
    { of = "total", digits = 75, op = "query", fault = "double_node", times = 1,
        says = "the first query has a second, unsigned node that says paid" },
    { of = "total", digits = 76, op = "close", fault = "lost_after", times = 1,
        says = "close: no answer, the order is closed" },
    { of = "total", digits = 77, op = "close", fault = "paid_meanwhile", times = 1,
        says = "the payer pays in the moment of the close, which is refused" },
    { of = "total", digits = 78, op = "cancel", fault = "retry", times = 1,
        says = "the first cancel does nothing and says retry_flag Y" },
    { of = "total", digits = 79, op = "cancel", fault = "lost_after", times = 1,
        says = "cancel: no answer, the order is cancelled" },

    { of = "refund", digits = 61, op = "refund", fault = "lost_before", times = 1,
        says = "refund: no answer, nothing moved" },
    { of = "refund", digits = 62, op = "refund", fault = "lost_after", times = 1,
        says = "refund: no answer, the money moved" },
    { of = "refund", digits = 63, op = "refund", fault = "busy_before", times = 1,
        says = "refund: 20000, nothing moved" },
    { of = "refund", digits = 64, op = "refund", fault = "busy_after", times = 1,
        says = "refund: 20000, the money moved" },
    { of = "refund", digits = 65, op = "refund", fault = "balance_too_low",
        says = "the seller has too little until POST /sandbox/balance tops up" },
    { of = "refund", digits = 66, op = "refund", fault = "in_process", times = 1,
        says = "fund_change N: in process, done after ten seconds" },
    { of = "refund", digits = 67, op = "refund", fault = "in_process_fails", times = 1,
        says = "fund_change N: in process, undone after ten seconds; a repeat succeeds" },
    { of = "refund", digits = 68, op = "refund", fault = "reset_before", times = 1,
        says = "refund: the connection breaks, nothing moved" },
    { of = "refund", digits = 69, op = "refund", fault = "reset_after", times = 1,
        says = "refund: the connection breaks, the money moved" },
    { of = "refund", digits = 70, op = "refund", fault = "wrong_signature", times = 1,
        says = "the money moved, the answer is signed wrongly" },
    { of = "refund", digits = 71, op = "refund", fault = "unsigned_success", times = 1,
        says = "nothing moved, an answer without a signature says it did" },
    { of = "refund", digits = 72, op = "refund", fault = "http_502_after", times = 1,
        says = "the money moved, the answer is a 502" },
    { of = "refund", digits = 73, op = "refund", fault = "query_lags", times = 1,
        says = "the money moved, refund query does not know it for ten seconds" },
    { of = "refund", digits = 74, op = "refund", fault = "refused",
        says = "ACQ.TRADE_NOT_ALLOW_REFUND" },
    { of = "refund", digits = 75, op = "refund_query", fault = "busy_before", times = 1,
        says = "the first refund query answers 20000" },
    { of = "refund", digits = 76, op = "refund", fault = "html", times = 1,
        says = "the money moved, the answer is an HTML page" },
    { of = "refund", digits = 77, op = "refund", fault = "notice_first", times = 1,
        says = "the refund is notified before it is answered" },
    { of = "refund", digits = 78, op = "refund", fault = "slow_body", times = 1,
        says = "the money moved, half of the answer comes after five seconds" },
    { of = "refund", digits = 79, op = "refund", fault = "no_code", times = 1,
        says = "nothing moved, the answer has a sub_code and no code" },
}

local index = {}
for _, rule in ipairs(magic.rules) do
    index[("%s %d %s"):format(rule.of, rule.digits, rule.op)] = rule
end

---@param of "total"|"refund"
---@param fen integer?
---@param op string
---@return tael.sandbox.MagicRule?
function magic.rule(of, fen, op)
    return fen and index[("%s %d %s"):format(of, fen % 100, op)]
end

local function key_of(rule, app_id, object)
    return { app_id = app_id, name = rule.of .. " " .. rule.digits, object = object }
end

--- How often the rule has had its effect on the object, and since when.
---@param rule tael.sandbox.MagicRule
---@param app_id string
---@param object string
---@return integer times
---@return integer? first_at
function magic.seen(rule, app_id, object)
    local effect = db.first("effect.get", key_of(rule, app_id, object))
    return effect and effect.times or 0, effect and effect.first_at
end

--- Counts one effect.
---@param rule tael.sandbox.MagicRule
---@param app_id string
---@param object string
---@param now integer
function magic.note(rule, app_id, object, now)
    local key = key_of(rule, app_id, object)
    key.now = now
    db.commit { { "effect.note", key } }
end

return magic
