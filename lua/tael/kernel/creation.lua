--- Payments are made here, once however often they are asked for.
--- A create is one unit: [the idempotency row,] payment, attempt, event, timer [, call]. The order leaves for
--- the channel, in what the payer is given or in a call of ours, after that unit is durable.
--- 1 The unique indexes decide, not a read before: a twin is looked for when they, or a check, have said no.
--- 2 A twin, a retry and a replay get the payment as it is now, rendered from stored facts; an order whose
--- answer never came is gone on with. 3 The same key or order with another body is refused.
local context = require "tael.kernel.context"
local crypto = require "tael.crypto"
local details_of = require "tael.kernel.details"
local events_wake = require "tael.kernel.events_wake"
local idempotency = require "tael.kernel.idempotency"
local ids = require "tael.kernel.ids"
local log = require "tael.log"
local metrics = require "tael.kernel.metrics"
local orders = require "tael.kernel.orders"
local payments = require "tael.kernel.payments"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local units = require "tael.kernel.units"
local views = require "tael.kernel.views"

local creation = {}

local OPERATION = "payments.create"
local LIFE_MIN_MS, LIFE_MAX_MS = 60000, 1296000000
local PRODUCT_OF_DEVICE = { desktop = "page", mobile = "wap", wallet = "jsapi", terminal = "qr" }

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
    end
    return payment
end

--- Which account the payment goes through, and who decided.
local function choose_account(input)
    local merchant = task.scope()
    local channel = input.channel
    if input.account then
        local account = registry.account(input.account)
        if not account or account.merchant ~= merchant or not account.fields then
            return problem("invalid_field", "account '" .. input.account .. "' is not one of yours",
                "/account")
        elseif channel and account.channel ~= channel then
            return problem("invalid_field", ("account '%s' is of the channel '%s'"):format(account.slug,
                account.channel), "/account")
        end
        return account, "request"
    end
    local account = registry.default_account(merchant, channel)
    if account then
        return account, channel and "request" or "default"
    elseif channel then
        return problem("invalid_field", "you have no account of the channel '" .. channel .. "'", "/channel")
    end
    return problem("missing_field", "channel is needed: you have several accounts, or none", "/channel")
end

local function choose_product(input, package)
    local product = input.product or PRODUCT_OF_DEVICE[input.device or "desktop"]
    if not product or not package.products[product] then
        return problem("product_not_supported", ("%s: product '%s' is not supported"):format(package.name,
            tostring(product or input.device)), "/product")
    end
    return product
end

--- The way that a request names, or the one that there is.
---@param input { channel: string?, account: string?, product: string?, device: string? }
---@return table? account
---@return string|table product, or problem
---@return string? by who decided
function creation.route(input)
    local account, by = choose_account(input)
    if not account then
        return nil, by
    end
    local product, err = choose_product(input, registry.package(account.channel))
    if not product then
        return nil, err
    end
    return account, product, by
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

--- A further attempt, or the first: checked and built, with what was against it as a problem that names the
--- request's field.
---@param input tael.kernel.OrderPlan
---@return tael.kernel.Order?
---@return table? problem
function creation.plan_attempt(input)
    local order, err = orders.plan(input)
    if not order then
        return build_problem(err)
    end
    return order
end

--- Everything that can be refused is refused here, before anything is written.
local function plan(request)
    local input = request.input
    local account, product, by = creation.route(input)
    if not account then
        return nil, product
    elseif (input.capture or "automatic") ~= "automatic" then
        return problem("product_not_supported", product .. " captures automatically", "/capture")
    end
    local payment, attempt = store.next_id(), store.next_id()
    local now = store.id_ms(attempt)
    local expires_at, err = choose_end(input, now)
    if not expires_at then
        return nil, err
    end
    local columns = {
        payment = payment, now = now, merchant_order_id = input.merchant_order_id, amount = input.amount,
        currency = input.currency, state = "pending", capture = "automatic",
        parallel = input.parallel or registry.config.payments.parallel or "none", expires_at = expires_at,
        request = request.digest, request_hex = crypto.hex.encode(request.digest), actor = request.actor,
        key_digest = request.key_digest, details = details_of.input(input, payment, { by = by }),
    }
    local order
    order, err = creation.plan_attempt {
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
        state = columns.state, late = 0, amount = columns.amount, currency = columns.currency,
        capture = columns.capture, parallel = columns.parallel, authorized_amount = 0, captured_amount = 0,
        refund_reserved = 0, refunded_amount = 0, attempt = columns.order.id, version = 1,
        updated_at = columns.now, expires_at = columns.expires_at,
    }
end

local created = {} ---@type table<string, tael.kernel.Counter> by channel and state

local function count_created(channel, state)
    local key = channel .. "\n" .. state
    local counter = created[key]
    if not counter then
        counter = metrics.counter("tael_payments_total", { channel = channel, state = state })
        created[key] = counter
    end
    counter.count = counter.count + 1
end

local function announce(columns)
    local account = registry.account(columns.order.account)
    count_created(account.channel, columns.state)
    log.info("payment.created", { payment = ids.encode("pay", columns.payment), channel = account.channel,
        account = account.slug, amount = columns.amount, currency = columns.currency, actor = columns.actor })
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
    if order.next_action then
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

---@class tael.kernel.Create
---@field actor string "key_…"
---@field input table the validated body
---@field digest string 16 bytes of SHA-256 over operation and canonical accepted body
---@field idempotency_key string?

--- Creates a payment for the scope's merchant, or finds the one that this request already made.
---@param request tael.kernel.Create
---@return { payment: table, replayed: boolean }?
---@return table? err {code, detail, pointer?, existing?, payment?}
function creation.create(request)
    if request.idempotency_key then
        request.key_digest = idempotency.digest(OPERATION, request.idempotency_key)
    end
    local columns, order = plan(request)
    if not columns then
        return replay_twin(request, order)
    end
    local done, err = orders.begin(order, { payment = created_row(columns), details = columns.details,
        statements = (units.creation(columns)), actor = request.actor,
        committed = function() announce(columns) end })
    if done then
        return made(columns, order)
    elseif err.code ~= "guard" or err.otherwise ~= "twin" then
        return payments.store_problem(err)
    end
    return replay_twin(request,
        { code = "store_unavailable", detail = "the twin of this request cannot be read" })
end

return creation
