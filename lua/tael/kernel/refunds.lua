--- Refunds: asked for once however often they are sent, read, listed, tried again.
--- A create is one unit: [the idempotency row,] the payment's reservation, refund, event, timer. Only then is
--- the channel called; the answer to the caller waits for the channel's first word, but not for ever.
--- 1 The reservation decides races, not a read before: what is under way never exceeds what was captured.
--- 2 A twin, a retry and a replay get the refund as it is now. 3 The same key or number with another body is
--- refused.
local calls = require "tael.kernel.calls"
local events_wake = require "tael.kernel.events_wake"
local idempotency = require "tael.kernel.idempotency"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local log = require "tael.log"
local metrics = require "tael.kernel.metrics"
local payments = require "tael.kernel.payments"
local refund_drive = require "tael.kernel.refund_drive"
local refund_plan = require "tael.kernel.refund_plan"
local refund_units = require "tael.kernel.refund_units"
local registry = require "tael.kernel.registry"
local scanned = require "tael.kernel.scanned"
local settle = require "tael.kernel.settle"
local states = require "tael.kernel.states"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local views = require "tael.kernel.views"

local refunds = {}

local OPERATION = "refunds.create"
local ROUNDS = 256 -- a lost round is somebody else's unit of the same payment
local ANSWER_MS, LOOK_MS, PAUSE_MS = 10000, 250, 1000

local function problem(code, detail, more)
    local err = more or {}
    err.code, err.detail = code, detail
    return nil, err
end

-- ---- reading ----

---@param id_text string "ref_…"
---@return table? row
---@return table? err
local function row_of(id_text)
    local id = ids.decode("ref", id_text)
    local row, err
    if id then
        row, err = payments.one("refund.get", { refund = id })
    end
    if row or err then
        return row, err
    end
    return problem("not_found", "there is no such refund")
end

--- Refunds of the scope's merchant only: another's is as missing as one that never was.
---@param id_text string "ref_…"
---@return table? view
---@return table? err
function refunds.get(id_text)
    local row, err = row_of(id_text)
    if not row then
        return nil, err
    end
    return views.refund(row)
end

local BY_STATE = { piece = "refund.piece", list = "refund.list" }

--- One more than a page holds, if there are as many; else where to go on, when not all was looked at.
local function rows_of(filters)
    if filters.merchant_refund_id then
        local row, err = payments.one("refund.by_merchant_no",
            { merchant_refund_id = filters.merchant_refund_id })
        if err then
            return nil, err
        end
        local fits = row and (not filters.state or row.state == filters.state)
            and (not filters.payment or row.payment == filters.payment)
            and row.id < filters.before and row.id >= filters.since
        return { fits and row or nil }
    end
    local params, n = { payment = filters.payment, state = filters.state, before = filters.before,
        since = filters.since }, filters.limit + 1
    local rows, rest
    if filters.state and not filters.payment then
        rows, rest = scanned.list(BY_STATE, params, n)
    else
        params.n = n
        rows, rest = store.query(filters.payment and "refund.list_payment" or "refund.list", params)
    end
    if not rows then
        return payments.store_problem(rest)
    end
    return rows, rest
end

--- Newest first. `next` is the `before` of the following page; by state one may hold less than it could.
---@param filters { limit: integer, before: integer?, since: integer?, state: string?, payment: integer?,
---  merchant_refund_id: string? }
---@return table[]? views
---@return integer|table|nil next, or err
function refunds.list(filters)
    filters.before, filters.since = filters.before or math.maxinteger, filters.since or 0
    local rows, next_before = rows_of(filters)
    if not rows then
        return nil, next_before
    end
    if #rows > filters.limit then
        rows[#rows] = nil
        next_before = rows[#rows].id
    end
    local list = {}
    for i, row in ipairs(rows) do
        list[i] = views.refund(row)
    end
    return list, next_before
end

-- ---- creating ----

local function twin_problem(code, refund, pointer, detail)
    return problem(code, detail, { existing = ids.encode("ref", refund.id), pointer = pointer })
end

--- The refund that a key or a number already leads to, with what that means for this request.
---@return table? row
---@return table? err the request is another one
local function find_twin(request)
    local object = request.key_digest and idempotency.object(request.key_digest)
    if object then
        local refund, err = payments.one("refund.get", { refund = object })
        if refund and (refund.request ~= request.digest or refund.payment ~= request.payment_id) then
            return twin_problem("idempotency_key_reused", refund, nil,
                "this Idempotency-Key was used for another refund; use a new key")
        end
        return refund, err
    end
    local number = request.input.merchant_refund_id
    local refund, err = nil, nil
    if number then
        refund, err = payments.one("refund.by_merchant_no", { merchant_refund_id = number })
    end
    if refund and (refund.request ~= request.digest or refund.payment ~= request.payment_id) then
        return twin_problem("merchant_refund_id_taken", refund, "/merchant_refund_id",
            "this merchant_refund_id belongs to another refund")
    elseif refund and request.key_digest then -- the key was used for this body: it means no other any more
        local done
        done, err = idempotency.keep(request.key_digest, refund.id)
        if not done then
            if err.code == "guard" then
                return find_twin(request)
            end
            return payments.store_problem(err)
        end
    end
    return refund, err
end

--- Has the channel said anything about it, or is there nothing to wait for?
local function is_answered(id)
    local refund = payments.one("refund.get", { refund = id })
    if not refund or refund.state ~= "created" and refund.state ~= "pending" then
        return true
    end
    for _, row in ipairs(store.query("call.of_object", { object = id }) or {}) do
        if row.class ~= nil then
            return true
        end
    end
    return false
end

--- ⏸ Until the channel's first answer; the wait ends, the refund goes on.
local function wait_for_answer(id)
    local ends = time.monotonic() + ANSWER_MS
    while time.monotonic() < ends and not is_answered(id) do
        task.wait("refund:" .. id, LOOK_MS)
    end
end

--- Sends it in a task of its own, which no client can end.
local function begin(id, actor, payment)
    task.spawn(function()
        local row = payments.one("refund.get", { refund = id })
        if row then
            refund_drive.start(row, actor)
            refund_drive.waiting(payment)
        end
    end)
end

local function result_of(id, replayed)
    local row, err = payments.one("refund.get", { refund = id })
    if not row then
        return nil, err or { code = "store_unavailable", detail = "the refund cannot be read; ask again" }
    end
    return { refund = views.refund(row), replayed = replayed }
end

local function announce(new)
    local name = ids.encode("ref", new.id)
    metrics.count("tael_refunds_total", { channel = registry.account(new.account).channel,
        state = "created" })
    log.info("refund.created", { refund = name, payment = ids.encode("pay", new.payment.id),
        amount = new.amount, currency = new.payment.currency, actor = new.actor })
    events_wake.announce(task.scope())
end

---@class tael.kernel.RefundRequest
---@field payment string "pay_…"
---@field actor string "key_…"
---@field input { amount: integer?, merchant_refund_id: string?, reason: string? } the validated body
---@field digest string 16 bytes of SHA-256 over operation, payment and canonical accepted body
---@field idempotency_key string?

--- The unit, again while others move the payment; the twin of the request where there is one.
---@return integer? id
---@return boolean|table|nil replayed, or err
local function reserve(request)
    local checked = false
    for _ = 1, ROUNDS do
        local twin, err = find_twin(request)
        if twin or err then
            return twin and twin.id, err or true
        end
        local new
        new, err = refund_plan.make(request, checked)
        if not new then -- perhaps because the twin of this request has just taken the money
            twin = find_twin(request)
            return twin and twin.id, twin and true or err
        end
        checked = true
        local done
        done, err = settle.commit(refund_units.creation(new))
        if done then
            announce(new)
            begin(new.id, new.actor, new.payment.id)
            return new.id, false
        elseif err.code ~= "guard" or err.otherwise ~= "twin" and err.otherwise ~= "reread" then
            return payments.store_problem(err)
        end
    end
    return payments.store_problem { code = "busy" }
end

--- Gives money back, or finds the refund that this request already made. Answers after the channel's first
--- word, or after ten seconds.
---@param request tael.kernel.RefundRequest
---@return { refund: table, replayed: boolean }?
---@return table? err {code, detail, pointer?, existing?, members?}
function refunds.create(request)
    request.payment_id = ids.decode("pay", request.payment)
    if not request.payment_id then
        return problem("not_found", "there is no such payment")
    end
    if request.idempotency_key then
        request.key_digest = idempotency.digest(OPERATION, request.idempotency_key)
    end
    local id, replayed = reserve(request)
    if not id then
        return nil, replayed
    end
    wait_for_answer(id)
    return result_of(id, replayed)
end

-- ---- again ----

local RETRIED = json.array { "created", "pending", "unknown", "abnormal" }

--- Sends what is abnormal again, under the same number; asks about what is open.
---@param id_text string "ref_…"
---@param actor string
---@return { refund: table }?
---@return table? err
function refunds.retry(id_text, actor)
    local row, err = row_of(id_text)
    if not row then
        return nil, err
    elseif not states.refund_open[row.state] and row.state ~= "abnormal" then
        return problem("state_conflict", "the refund is " .. row.state .. ": nothing is left to try again",
            { members = { state = row.state, allowed = RETRIED } })
    elseif refund_drive.in_flight(row.id) or calls.recent(row.id, nil, PAUSE_MS) then
        wait_for_answer(row.id)
        return result_of(row.id, false)
    end
    local again = row.state == "abnormal"
    local why = refund_drive.turn { id = row.id, actor = actor, ask = again and "send" or nil,
        holds = row.due or 0 }
    if again and why == "waits" then
        return problem("attempt_open",
            "another refund of this payment is under way; repeat when it has settled")
    end
    task.spawn(refund_drive.waiting, row.payment)
    return result_of(row.id, false)
end

refunds.fire, refunds.turn = refund_drive.fire, refund_drive.turn

return refunds
