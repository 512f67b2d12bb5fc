--- The state table: which moves exist. The SQL guards hold the same table; a spec compares the two.
--- A move that is not here is refused, whoever asks for it.
local states = {}

local function set(words)
    local out = {}
    for word in words:gmatch("%S+") do
        out[word] = true
    end
    return out
end

states.payment = set "created pending authorized paid closed failed review"

--- Moves of an attempt by a verified word of the channel; success is a statement of its own
--- (attempt.succeed). issued -> unknown is only for a word that nobody knows.
states.attempt = {
    new = set "issued sent",
    issued = set "waiting_payer expired unknown succeeded",
    sent = set "waiting_payer processing declined cancelled expired unknown succeeded",
    waiting_payer = set "cancelled expired unknown succeeded",
    processing = set "cancelled unknown succeeded",
    unknown = set "waiting_payer processing declined cancelled expired succeeded",
    authorized = set "succeeded",
    declined = set "succeeded",
    cancelled = set "succeeded",
    expired = set "succeeded",
    succeeded = {},
}

--- While one of these, the channel may still take money for the order.
states.attempt_open = set "new issued sent waiting_payer processing unknown authorized"

--- What an order's code says that has ended because its money was given back at the channel.
states.GIVEN_BACK = "given_back"

--- Has this order ended, and what it may have held gone back? What says that it was paid may be older.
---@param attempt table row
---@return boolean
function states.went_back(attempt)
    return attempt.state == "cancelled" or attempt.state == "expired" and attempt.code == states.GIVEN_BACK
end

--- Does this timer count for the attempt? Rows from before there was a `due` have none: while they are open,
--- any timer counts.
---@param attempt table row, or what a timer's row says of it: state, due
---@param timer integer
---@return boolean
function states.counts(attempt, timer)
    return attempt.due == timer or attempt.due == nil and states.attempt_open[attempt.state] == true
end

--- Where an amount that is not ours puts the payment before a person.
states.reviewable = set "created pending authorized closed failed"

--- Moves of a refund. unknown is left only by the channel's verified word; failed only frees the money when
--- the channel said no, or does not know a refund that it declined; abnormal is tried again by a person.
states.refund = {
    created = set "pending",
    pending = set "succeeded failed abnormal unknown",
    unknown = set "pending succeeded failed abnormal",
    abnormal = set "pending succeeded failed",
    succeeded = {},
    failed = {},
    cancelled = {},
}

--- While one of these, the channel may have taken the refund and its next look is due. What is abnormal is
--- not given back, and waits for a person.
states.refund_open = set "created pending unknown"

--- Who wants a payment closed, and what another wish makes of it: reversing is more than closing.
states.closing = {
    none = set "merchant expired cancel",
    merchant = set "cancel",
    expired = set "cancel",
    cancel = {},
}

--- While one of these, no other attempt may start: the order may be taking money, and nobody knows.
local undecided = set "new sent processing unknown authorized"

--- May another attempt of the payment start?
---@param payment table row
---@param open_attempts table[] rows of its attempts that are open
---@return boolean may
---@return "state_conflict"|"attempt_open"|nil why not
function states.may_start(payment, open_attempts)
    if payment.state ~= "pending" and payment.state ~= "created" or payment.closing then
        return false, "state_conflict"
    end
    for _, attempt in ipairs(open_attempts) do
        if undecided[attempt.state] or payment.parallel ~= "refund_surplus" then
            return false, "attempt_open"
        end
    end
    return true
end

---@param from string
---@param to string
function states.may(from, to)
    local moves = states.attempt[from]
    return moves ~= nil and moves[to] == true
end

return states
