--- Payments are made here, once however often they are asked for.
--- A create is one unit: [the idempotency row,] payment, attempt, event, timer [, call]. The order leaves for
--- the channel, in what the payer is given or in a call of ours, after that unit is durable.
--- 1 The unique indexes decide, not a read before: a twin is looked for when they, or a check, have said no.
--- 2 A twin, a retry and a replay get the payment as it is now, rendered from stored facts; an order whose
--- answer never came is gone on with. 3 The same key or order with another body is refused. 4 The merchant's
--- own rules are asked first: what they deny is not written, what they send to review waits for a person, and
--- no channel hears of it. 5 What they want to know of the past is read before they are asked, and grows in
--- the unit that makes the payment; the limits of a day are guards of that unit.
local context = require "tael.kernel.context"
local counters = require "tael.kernel.counters"
local crypto = require "tael.crypto"
local details_of = require "tael.kernel.details"
local due = require "tael.kernel.due"
local events_wake = require "tael.kernel.events_wake"
local idempotency = require "tael.kernel.idempotency"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local log = require "tael.log"
local merchant_day = require "tael.kernel.merchant_day"
local metrics = require "tael.kernel.metrics"
local orders = require "tael.kernel.orders"
local payments = require "tael.kernel.payments"
local registry = require "tael.kernel.registry"
local rules = require "tael.scripts.rules"
local rule_inputs = require "tael.scripts.inputs"
local settle = require "tael.kernel.settle"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local units = require "tael.kernel.units"
local views = require "tael.kernel.views"
local ways = require "tael.kernel.ways"

local creation = {}

local OPERATION = "payments.create"
local LIFE_MIN_MS, LIFE_MAX_MS = 60000, 1296000000

local function problem(code, detail, pointer)
    return nil, { code = code, detail = detail, pointer = pointer }
end

local function existing(payment)
    return ids.encode("pay", payment.id)
end

--- The payment that a key or an order number already leads to, with what that means for this request.
---@return table? row
---@return table? err the request is another one
local function find_twin(request)
    if request.key_digest then
        local object = idempotency.object(request.key_digest)
        if object then
            local payment, err = payments.row_of(object)
            if payment and payment.request ~= request.digest then
                return nil, { code = "idempotency_key_reused", existing = existing(payment),
                    detail = "this Idempotency-Key was used for another body; use a new key" }
            end
            return payment, err
        end
    end
    local rows = store.query("payment.by_order", { merchant_order_id = request.input.merchant_order_id })
    local payment = rows and rows[1]
    if payment and payment.request ~= request.digest then
        return nil, { code = "merchant_order_id_taken", existing = existing(payment),
            pointer = "/merchant_order_id",
            detail = "this merchant_order_id belongs to a payment that was created with another body" }
    elseif payment and request.key_digest then -- the key was used for this body: it means no other any more
        local done, err = idempotency.keep(request.key_digest, payment.id)
        if not done then
            if err.code == "guard" then
                return find_twin(request)
            end
            return payments.store_problem(err)
        end
    end
    return payment
end

--- When the order ends, in ms.
local function choose_end(input, now)
    local pointer = input.expires_at and "/expires_at" or "/expires_in"
    local expires_at = now + registry.config.payments.expires
    if input.expires_in then
        expires_at = now + input.expires_in * 1000
    elseif input.expires_at then
        expires_at = math.type(input.expires_at) == "integer" and input.expires_at
            or time.parse_rfc3339(input.expires_at)
        if not expires_at then
            return problem("invalid_field", "expires_at must be a time such as 2026-11-23T12:31:07.102Z",
                pointer)
        end
    end
    if expires_at - now < LIFE_MIN_MS or expires_at - now > LIFE_MAX_MS then
        return problem("invalid_field", "a payment may stay open for 60 s to 15 d", pointer)
    end
    return expires_at
end

--- What the manifest or the package had against the order, as a problem that names the request's field.
local function build_problem(err)
    if err.code == "script_failed" then
        settle.alarm("script_failed", { channel = err.channel, detail = err.detail })
    end
    local pointer = err.field and "/" .. err.field:gsub("%.", "/") or nil
    return problem(err.code, err.detail, pointer)
end

--- The first attempt, checked and built.
---@param input tael.kernel.OrderPlan
---@return tael.kernel.Order?
---@return table? problem that names the request's field
local function plan_first(input)
    local order, err = orders.plan(input)
    if not order then
        return build_problem(err)
    end
    return order
end

--- Of the payment, not of the request: nothing that this one could put right.
local NOT_OF_REQUEST = { invalid_field = true, missing_field = true }

--- An attempt of a payment that is there already: what is wrong with the payment's own fields, or has become
--- too short of its time, is no fault of this request.
---@param input tael.kernel.OrderPlan
---@param of_request table<string, true> fields that the request may say itself
---@return tael.kernel.Order?
---@return table? problem
function creation.plan_attempt(input, of_request)
    local order, err = plan_first(input)
    if not order and err and err.pointer and not of_request[err.pointer:sub(2)] then
        err.pointer = nil
        err.code = NOT_OF_REQUEST[err.code] and "state_conflict" or err.code
        err.detail = "no order of this payment can be made now: " .. err.detail
    end
    return order, err
end

local WHATEVER_WAY = { "limits", "risk", "price", "route" }
local NAMED_WAY = { "limits", "risk", "price" } -- the request says through what it goes

---@class tael.kernel.Judged what the merchant's rules make of a payment that is asked for
---@field verdicts table<string, tael.scripts.Verdict>
---@field counted tael.kernel.Counted? nil: nothing is counted
---@field day tael.kernel.Day
---@field taken { attempts: integer, amount: integer }? what of the day's limits was taken

--- A limit of the day whose name was put together: what it has taken was not read beforehand.
local function gives_unnamed(limits, counting)
    return limits.max_day_count and not (counting and counting.day_count)
        or limits.max_day_amount and not (counting and counting.day_amount)
end

--- What the merchant's own rules say of it.
---@return tael.kernel.Judged?
---@return table? err of the store
local function ask_rules(input, payment, now)
    local merchant = registry.merchant(task.scope())
    local named, payer = input.channel or input.account, input.payer ~= json.null and input.payer or nil
    local judged = { day = merchant_day.of(now, merchant.zone), verdicts = nil, counted = nil, taken = nil }
    local unread
    local counting
    local list = named and NAMED_WAY or WHATEVER_WAY
    judged.verdicts, counting = rules.ask(merchant.slug, list, function(wanted)
        local given = { payment = rule_inputs.payment(merchant, input, payment, now),
            channels = not named and rule_inputs.channels(merchant) or nil }
        if wanted then
            local past
            judged.counted = counters.of_new(wanted, merchant, payer)
            past, unread = counters.read(wanted, judged.counted, input.currency, now, judged.day)
            given.history, judged.taken = past and past.history or {}, past and past.taken
        end
        return given
    end)
    judged.counted = judged.counted or counters.of_new(counting, merchant, payer)
    if not unread and gives_unnamed(judged.verdicts.limits, counting) then
        judged.taken, unread = counters.taken(input.currency, now, judged.day)
    end
    return not unread and judged or nil, unread
end

local function over_day(limit, most, day)
    return { code = "limit_exceeded", pointer = limit == "max_day_amount" and "/amount" or nil,
        detail = ("the merchant's rules allow %s %d on one day; the next begins at %s"):format(limit, most,
            time.rfc3339(day.ends)),
        members = { limit = limit, max = most, free_at = time.rfc3339(day.ends) } }
end

--- The limit of the day that has no room for it, by what is known to be taken.
local function full_day(limits, judged, amount, taken)
    if limits.max_day_count and taken.attempts >= limits.max_day_count then
        return over_day("max_day_count", limits.max_day_count, judged.day)
    elseif limits.max_day_amount and taken.amount + amount > limits.max_day_amount then
        return over_day("max_day_amount", limits.max_day_amount, judged.day)
    end
end

local NOTHING_TAKEN = { attempts = 0, amount = 0 }

--- As a problem, what they do not let through.
local function refused_by(judged, input)
    local limits, risk = judged.verdicts.limits, judged.verdicts.risk
    local max = limits.max_amount
    if max and input.amount > max then
        return { code = "limit_exceeded", pointer = "/amount",
            detail = ("the merchant's rules allow at most %d"):format(max),
            members = { limit = "max_amount", max = max } }
    elseif risk.risk == "deny" then
        return { code = "denied_by_rule", detail = risk.reason }
    end
    return full_day(limits, judged, input.amount, judged.taken or NOTHING_TAKEN)
end

--- Who decided what, for the record.
local function decision_of(verdicts, by)
    local route, risk = verdicts.route or {}, verdicts.risk
    local decision = { by = by, reason = nil, script = nil, generation = nil, risk = nil }
    if by == "rule" then
        decision.reason, decision.script, decision.generation = route.reason, "rules.lua", route.generation
    end
    if risk.by == "rule" or risk.failed then
        decision.risk = { by = risk.by, risk = risk.risk, reason = risk.reason,
            generation = risk.generation }
    end
    return decision
end

--- What counting it adds to its unit, and what its row keeps of that.
local function counted_in(judged, columns)
    local limits, counted = judged.verdicts.limits, judged.counted
    if not counted and (limits.max_day_count or limits.max_day_amount) then
        counted = counters.uncounted()
    end
    if counted then
        return counters.created(counted, columns, judged.day, limits)
    end
end

--- Everything that can be refused is refused here, before anything is written.
---@return table? columns
---@return table? order, or problem; nil: the payment waits for a person, and nothing goes to a channel
local function plan(request)
    local input = request.input
    if (input.capture or "automatic") ~= "automatic" then
        return problem("product_not_supported", "payments are captured automatically", "/capture")
    end
    local payment, attempt = store.next_id(), store.next_id()
    local now = due.made(attempt)
    local expires_at, err = choose_end(input, now)
    if not expires_at then
        return nil, err
    end
    local judged, unread = ask_rules(input, payment, store.id_ms(attempt))
    if not judged then
        return payments.store_problem(unread)
    end
    local verdicts = judged.verdicts
    local account, product, by = ways.choose(input, verdicts.route)
    if not account then
        return nil, product
    end
    local refusal = refused_by(judged, input)
    if refusal then
        return nil, refusal
    end
    local columns = {
        payment = payment, now = now, merchant_order_id = input.merchant_order_id, amount = input.amount,
        currency = input.currency, state = "pending", capture = "automatic",
        parallel = input.parallel or registry.config.payments.parallel or "none", expires_at = expires_at,
        request = request.digest, request_hex = crypto.hex.encode(request.digest), actor = request.actor,
        key_digest = request.key_digest, account = account,
        details = details_of.input(input, payment, decision_of(verdicts, by)),
    }
    columns.details.fee = verdicts.price.fee
    columns.counting, columns.counted = counted_in(judged, columns)
    if verdicts.risk.risk == "review" then
        columns.state, columns.reason = "review", "risk"
        columns.details.held = { account = account.id, product = product }
        return columns
    end
    local order
    order, err = plan_first {
        payment = { id = payment, merchant_order_id = input.merchant_order_id, amount = input.amount,
            currency = input.currency },
        details = columns.details, account = account, product = product, expires_at = expires_at,
        id = attempt,
    }
    if not order then
        return nil, err
    end
    columns.order = order.row
    return columns, order
end

--- The payment's row as it stands after the unit, without reading it back.
local function created_row(columns)
    return {
        id = columns.payment, merchant = task.scope(), merchant_order_id = columns.merchant_order_id,
        state = columns.state, reason = columns.reason, late = 0,
        amount = columns.amount, currency = columns.currency,
        capture = columns.capture, parallel = columns.parallel, authorized_amount = 0, captured_amount = 0,
        refund_reserved = 0, refunded_amount = 0, version = 1, attempt = columns.order and columns.order.id,
        updated_at = columns.now, expires_at = columns.expires_at,
    }
end

local count_created = metrics.by_two("tael_payments_total", "channel", "state")

local function announce(columns)
    local account = columns.account
    count_created(account.channel, columns.state)
    log.info("payment.created", { payment = ids.encode("pay", columns.payment), channel = account.channel,
        account = account.slug, amount = columns.amount, currency = columns.currency, actor = columns.actor,
        state = columns.state ~= "pending" and columns.state or nil })
    events_wake.announce(task.scope())
end

--- The payment as it is, or why its order never came to be.
local function answer(payment, attempt, replayed)
    if payment.state == "pending" and not payment.closing and orders.refused(attempt) then
        return nil, { code = "channel_refused_configuration", payment = ids.encode("pay", payment.id) }
    end
    local view, err = payments.view_of(payment, attempt)
    if not view then
        return nil, err
    end
    return { payment = view, replayed = replayed }
end

--- The rows as they are now.
local function reread(payment)
    local row, err = payments.row_of(payment.id)
    if not row then
        return nil, err
    end
    local rows
    rows, err = store.query("attempt.get", { attempt = row.attempt })
    if not rows or not rows[1] then
        return payments.store_problem(err)
    end
    return row, rows[1]
end

--- The same request once more.
local function replay(payment, actor)
    if not payment.attempt then
        return answer(payment, nil, true)
    end
    local rows, err = store.query("attempt.get", { attempt = payment.attempt })
    local attempt = rows and rows[1]
    if not attempt then
        return payments.store_problem(err)
    end
    if payment.state == "pending" and orders.unfinished(attempt) then
        orders.await(attempt, payment, actor)
        payment, attempt = reread(payment)
        if not payment then
            return nil, attempt
        end
    end
    return answer(payment, attempt, true)
end

local function made(columns, order)
    if not order then
        return { payment = views.payment_with(created_row(columns), columns.details, nil, json.null),
            replayed = false }
    elseif order.next_action then
        context.hand_out(order.row, order.next_action)
        return { payment = views.payment_with(created_row(columns), columns.details, order.row,
            order.next_action), replayed = false }
    end
    local row, attempt = reread { id = columns.payment }
    if not row then
        return nil, attempt
    end
    return answer(row, attempt, false)
end

--- What this request already made, or what is against making it.
local function replay_twin(request, refused)
    local twin, err = find_twin(request)
    if not twin then
        return nil, err or refused
    end
    return replay(twin, request.actor)
end

--- One durable unit; an order leaves for its channel after it.
local function begin(columns, order, actor)
    local statements = units.creation(columns)
    if order then
        return orders.begin(order, { payment = created_row(columns), details = columns.details,
            statements = statements, actor = actor, committed = function() announce(columns) end })
    end
    local done, err = settle.commit(statements)
    if done then
        announce(columns)
    end
    return done, err
end

---@class tael.kernel.Create
---@field actor string "key_…"
---@field input table the validated body
---@field digest string 16 bytes of SHA-256 over operation and canonical accepted body
---@field idempotency_key string?

local ROUNDS = 3
-- somebody was faster: with the same order, or to the last place
local AGAIN = { twin = true, day_limit = true }

--- Creates a payment for the scope's merchant, or finds the one that this request already made.
---@param request tael.kernel.Create
---@return { payment: table, replayed: boolean }?
---@return table? err {code, detail, pointer?, existing?, payment?}
function creation.create(request)
    if request.idempotency_key then
        request.key_digest = idempotency.digest(OPERATION, request.idempotency_key)
    end
    for _ = 1, ROUNDS do
        local columns, order = plan(request)
        if not columns then
            return replay_twin(request, order)
        end
        local done, err = begin(columns, order, request.actor)
        if done then
            return made(columns, order)
        elseif err.code ~= "guard" or not AGAIN[err.otherwise] then
            return payments.store_problem(err)
        elseif err.otherwise == "twin" then
            return replay_twin(request,
                { code = "store_unavailable", detail = "the twin of this request cannot be read" })
        end
    end
    return nil, { code = "overloaded", detail = "too many payments at once; send it again" }
end

return creation
