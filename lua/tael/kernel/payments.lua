--- Payments: created once however often they are asked for, read, listed.
--- A create is one unit: [the idempotency row,] payment, attempt, event, timer. The order leaves for the
--- channel only in what the payer is given, after that unit is durable.
--- 1 The unique indexes decide races, not a read before. 2 A twin, a retry and a replay get the payment as
--- it is now, rendered from stored facts. 3 The same key or order with another body is refused.
local context = require "tael.kernel.context"
local crypto = require "tael.crypto"
local details_of = require "tael.kernel.details"
local due = require "tael.kernel.due"
local events_wake = require "tael.kernel.events_wake"
local idempotency = require "tael.kernel.idempotency"
local ids = require "tael.kernel.ids"
local log = require "tael.log"
local metrics = require "tael.kernel.metrics"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"
local states = require "tael.kernel.states"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local units = require "tael.kernel.units"
local views = require "tael.kernel.views"

local payments = {}

local OPERATION = "payments.create"
local LIFE_MIN_MS, LIFE_MAX_MS = 60000, 1296000000
local PRODUCT_OF_DEVICE = { desktop = "page", mobile = "wap", wallet = "jsapi", terminal = "qr" }

local function problem(code, detail, pointer)
    return nil, { code = code, detail = detail, pointer = pointer }
end

--- What the caller is told when the store did not take or give something.
---@param err table? of the store
---@return nil
---@return table problem
local function store_problem(err)
    local code = err and err.code
    if code == "busy" then
        return nil, { code = "overloaded",
            detail = "too much is waiting to be stored; send it again shortly" }
    end
    log.error("store.failed", { code = code, statement = err and err.statement,
        message = err and err.message })
    return nil, { code = "store_unavailable", detail = "the store did not take it; send it again" }
end

-- ---- reading ----

---@param payment table row
---@return table? view
---@return table? err
local function view_of(payment)
    local details, err = details_of.read(payment)
    if not details then
        return store_problem(err)
    end
    local rows
    if payment.attempt then
        rows, err = store.query("attempt.get", { attempt = payment.attempt })
        if not rows then
            return store_problem(err)
        end
    end
    return views.payment(payment, details, rows and rows[1])
end

local function row_of(id)
    local rows, err = store.query("payment.get", { payment = id })
    if not rows then
        return store_problem(err)
    elseif not rows[1] then
        return problem("not_found", "there is no such payment")
    end
    return rows[1]
end

--- The attempts of a payment, newest first.
---@param payment table row
---@return table[]? rows
---@return table? problem
local function attempts_of(payment)
    local list, at = {}, payment.attempt
    while at do
        local rows, err = store.query("attempt.get", { attempt = at })
        if not rows then
            return store_problem(err)
        end
        list[#list + 1] = rows[1]
        at = rows[1] and rows[1].prev
    end
    return list
end

local function attempt_views(payment)
    local list, err = attempts_of(payment)
    if not list then
        return nil, err
    end
    local details = details_of.read(payment)
    local out = {}
    for i, attempt in ipairs(list) do
        local calls = store.query("call.of_object", { object = attempt.id })
        if not calls then
            return problem("store_unavailable", "the store did not answer; ask again")
        end
        out[i] = views.attempt(attempt, calls, details and details.decision)
    end
    return out
end

--- Payments of the scope's merchant only: another's is as missing as one that never was.
---@param id_text string "pay_…"
---@param options { expand: table<string, true>? }?
---@return table? view
---@return table? err
function payments.get(id_text, options)
    local id = ids.decode("pay", id_text)
    if not id then
        return problem("not_found", "there is no such payment")
    end
    local payment, err = row_of(id)
    if not payment then
        return nil, err
    end
    local view
    view, err = view_of(payment)
    if not view then
        return nil, err
    end
    if options and options.expand and options.expand.attempts then
        view.attempts, err = attempt_views(payment)
        if not view.attempts then
            return nil, err
        end
    end
    return view
end

---@param id_text string "pay_…"
---@return table[]? views newest first
---@return table? err
function payments.attempts(id_text)
    local id = ids.decode("pay", id_text)
    if not id then
        return problem("not_found", "there is no such payment")
    end
    local payment, err = row_of(id)
    if not payment then
        return nil, err
    end
    return attempt_views(payment)
end

local function views_of(rows)
    local list = {}
    for i, row in ipairs(rows) do
        local view, err = view_of(row)
        if not view then
            return nil, err
        end
        list[i] = view
    end
    return list
end

local function rows_of_trade(trade_no)
    for _, account in ipairs(registry.merchant(task.scope()).accounts) do
        local rows = store.query("attempt.by_trade", { account = account.id, trade_no = trade_no })
        if rows and rows[1] then
            return store.query("payment.get", { payment = rows[1].payment })
        end
    end
    return {}
end

local function rows_of_order_number(number)
    local attempt = ids.attempt_of(number)
    local rows = attempt and store.query("attempt.get", { attempt = attempt })
    if not rows or not rows[1] then
        return {}
    end
    return store.query("payment.get", { payment = rows[1].payment })
end

--- Keys that name one payment at most.
local function rows_of_key(filters)
    if filters.merchant_order_id then
        return store.query("payment.by_order", { merchant_order_id = filters.merchant_order_id })
    elseif filters.order_no then
        return rows_of_order_number(filters.order_no)
    end
    return rows_of_trade(filters.trade_no)
end

local function fits(row, filters)
    return (not filters.state or row.state == filters.state) and row.id < filters.before
        and row.id >= filters.since
end

--- Newest first. `next` is the `before` of the following page.
---@param filters table limit, before?, since?, state?, channel?, merchant_order_id?, order_no?, trade_no?
---@return table[]? views
---@return integer|table|nil next, or err
function payments.list(filters)
    filters.before, filters.since = filters.before or math.maxinteger, filters.since or 0
    local rows, err
    if filters.merchant_order_id or filters.order_no or filters.trade_no then
        rows, err = rows_of_key(filters)
        if rows and rows[1] and not fits(rows[1], filters) then
            rows = {}
        end
    else
        local params = { before = filters.before, since = filters.since, state = filters.state,
            n = filters.limit + 1 }
        params.channel = filters.channel
        rows, err = store.query(filters.channel and "payment.list_channel" or "payment.list", params)
    end
    if not rows then
        return store_problem(err)
    end
    local next_before
    if #rows > filters.limit then
        rows[#rows] = nil
        next_before = rows[#rows].id
    end
    local list
    list, err = views_of(rows)
    if not list then
        return nil, err
    end
    return list, next_before
end

payments.find = payments.list

-- ---- creating ----

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
            local payment, err = row_of(object)
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

--- Everything that can be refused is refused here, before anything is written.
local function plan(request)
    local input = request.input
    local account, by = choose_account(input)
    if not account then
        return nil, by
    end
    local product, err = choose_product(input, registry.package(account.channel))
    if not product then
        return nil, err
    elseif (input.capture or "automatic") ~= "automatic" then
        return problem("product_not_supported", product .. " captures automatically", "/capture")
    end
    local payment, attempt = store.next_id(), store.next_id()
    local now = store.id_ms(attempt)
    local expires_at
    expires_at, err = choose_end(input, now)
    if not expires_at then
        return nil, err
    end
    local columns = {
        payment = payment, attempt = attempt, account = account.id, product = product, now = now,
        merchant_order_id = input.merchant_order_id, amount = input.amount, currency = input.currency,
        state = "pending", attempt_state = "issued", capture = "automatic",
        parallel = input.parallel or registry.config.payments.parallel or "none", expires_at = expires_at,
        request = request.digest, request_hex = crypto.hex.encode(request.digest), actor = request.actor,
        key_digest = request.key_digest, details = details_of.input(input, payment, { by = by }),
    }
    local attempt_row = { id = attempt, payment = payment, account = account.id, product = product,
        state = "issued", amount = input.amount, currency = input.currency, expires_at = expires_at }
    columns.next_action, err = context.next_action({ id = payment,
        merchant_order_id = input.merchant_order_id },
        columns.details, attempt_row)
    if not columns.next_action then
        return build_problem(err)
    end
    return columns
end

local function first_look(columns)
    local product = registry.package(registry.account(columns.account).channel).products[columns.product]
    return due.next {
        attempt = { state = columns.attempt_state, expires_at = columns.expires_at }, created = columns.now,
        now = columns.now, grace = registry.config.payments.grace, poll = registry.config.payments.poll,
        query_after = product.query_after_ms,
    }
end

--- The rows as they stand after the unit, without reading them back.
local function created_view(columns)
    local payment = {
        id = columns.payment, merchant = task.scope(), merchant_order_id = columns.merchant_order_id,
        state = columns.state, late = 0, amount = columns.amount, currency = columns.currency,
        capture = columns.capture, parallel = columns.parallel, authorized_amount = 0, captured_amount = 0,
        refund_reserved = 0, refunded_amount = 0, attempt = columns.attempt, version = 1,
        updated_at = columns.now, expires_at = columns.expires_at,
    }
    local attempt = { id = columns.attempt, account = columns.account, product = columns.product,
        state = columns.attempt_state }
    return views.payment_with(payment, columns.details, attempt, columns.next_action)
end

local function replay(payment)
    local view, err = view_of(payment)
    if not view then
        return nil, err
    end
    return { payment = view, replayed = true }
end

local function announce(columns)
    local account = registry.account(columns.account)
    metrics.count("tael_payments_total", { channel = account.channel, state = columns.state })
    log.info("payment.created", { payment = ids.encode("pay", columns.payment), channel = account.channel,
        account = account.slug, amount = columns.amount, currency = columns.currency, actor = columns.actor })
    events_wake.announce(task.scope())
end

---@class tael.kernel.Create
---@field actor string "key_…"
---@field input table the validated body
---@field digest string 16 bytes of SHA-256 over operation and canonical accepted body
---@field idempotency_key string?

--- Creates a payment for the scope's merchant, or finds the one that this request already made.
---@param request tael.kernel.Create
---@return { payment: table, replayed: boolean }?
---@return table? err {code, detail, pointer?, existing?}
function payments.create(request)
    if request.idempotency_key then
        request.key_digest = idempotency.digest(OPERATION, request.idempotency_key)
    end
    local twin, err = find_twin(request)
    if twin or err then
        if err then
            return nil, err
        end
        return replay(twin)
    end
    local columns
    columns, err = plan(request)
    if not columns then
        return nil, err
    end
    columns.due_id = due.id(first_look(columns))
    local done
    done, err = settle.commit((units.creation(columns)))
    if done then
        announce(columns)
        return { payment = created_view(columns), replayed = false }
    elseif err.code ~= "guard" or err.otherwise ~= "twin" then
        return store_problem(err)
    end
    twin, err = find_twin(request)
    if not twin then
        return nil, err or { code = "store_unavailable", detail = "the twin of this request cannot be read" }
    end
    return replay(twin)
end

payments.store_problem, payments.attempts_of = store_problem, attempts_of

--- States that a list may be filtered by.
payments.states = states.payment

return payments
