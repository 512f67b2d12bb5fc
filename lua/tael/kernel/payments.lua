--- Payments as they are: read and listed. What makes and changes them stands in files of its own.
local details_of = require "tael.kernel.details"
local ids = require "tael.kernel.ids"
local log = require "tael.log"
local metrics = require "tael.kernel.metrics"
local registry = require "tael.kernel.registry"
local scanned = require "tael.kernel.scanned"
local store = require "tael.store"
local task = require "tael.task"
local views = require "tael.kernel.views"

local payments = {}

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
            detail = "too much is waiting at the store; send it again shortly" }
    end
    if code ~= "unavailable" then -- that was told when it began, not for each who meets it
        log.error("store.failed", { code = code, statement = err and err.statement,
            message = err and err.message })
    end
    return nil, { code = "store_unavailable", detail = "the store did not take it; send it again" }
end

local OF_STORE = { busy = true, unavailable = true, constraint = true, damaged = true, guard = true }

--- What the caller is told: a problem as it is, an error of the store in its own words.
---@param err table
---@return nil
---@return table problem
local function told(err)
    if OF_STORE[err.code] then
        return store_problem(err)
    end
    return nil, err
end

-- ---- reading ----

---@param payment table row
---@param attempt table? row of its newest attempt, when it has just been read
---@return table? view
---@return table? problem
local function view_of(payment, attempt)
    local details, err = details_of.read(payment)
    if not details then
        return store_problem(err)
    end
    if payment.attempt and not attempt then
        local rows
        rows, err = store.query("attempt.get", { attempt = payment.attempt })
        if not rows then
            return store_problem(err)
        end
        attempt = rows[1]
    end
    return views.payment(payment, details, attempt)
end

local count = metrics.by_two("tael_payments_total", "channel", "state")

--- Its newest order's; before there is one, the one that was chosen for it.
local function account_of(payment)
    if payment.attempt then
        local rows = store.query("attempt.get", { attempt = payment.attempt })
        return rows and rows[1] and rows[1].account
    end
    local details = details_of.read(payment)
    return details and details.held and details.held.account
end

--- ⏸ Counts that a payment entered a state without a channel's word. It reads: whoever waits is told before.
---@param payment table row
---@param state string
function payments.entered(payment, state)
    local id = account_of(payment)
    local account = id and registry.account(id)
    count(account and account.channel or "", state)
end

--- The payment as it is paid by this attempt, which need not be its newest.
---@param payment table row
---@param attempt table row
---@return table? view
---@return table? problem
function payments.view_by(payment, attempt)
    return view_of(setmetatable({ attempt = attempt.id }, { __index = payment }), attempt)
end

---@param id integer
---@return table? row
---@return table? problem
local function row_of(id)
    local rows, err = store.query("payment.get", { payment = id })
    if not rows then
        return store_problem(err)
    elseif not rows[1] then
        return problem("not_found", "there is no such payment")
    end
    return rows[1]
end

--- The first row; nil without a problem: there is none.
---@param statement string
---@param params table<string, any>
---@return table? row
---@return table? problem
function payments.one(statement, params)
    local rows, err = store.query(statement, params)
    if not rows then
        return store_problem(err)
    end
    return rows[1]
end

--- The newest attempt as its columns stand beside the payment's.
local function attempt_beside(row)
    return row.a_state and {
        merchant = row.merchant, id = row.attempt, payment = row.id, prev = row.a_prev,
        account = row.a_account, product = row.a_product, state = row.a_state, amount = row.a_amount,
        currency = row.a_currency, trade_no = row.a_trade_no, evidence = row.a_evidence, code = row.a_code,
        expires_at = row.a_expires_at, updated_at = row.a_updated_at, next_action = row.a_next_action,
        due = row.a_due,
    } or nil
end

---@param id integer
---@return table? view
---@return table? problem, or the payment's row
local function whole_view(id)
    local rows, err = store.query("payment.whole", { payment = id })
    if not rows then
        return store_problem(err)
    end
    local row = rows[1]
    if not row then
        return problem("not_found", "there is no such payment")
    end
    local details
    details, err = details_of.of_event(row.data)
    if not details then
        return store_problem(err)
    end
    return views.payment(row, details, attempt_beside(row)), row
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
    local view, payment = whole_view(id)
    if not view then
        return nil, payment
    end
    if options and options.expand and options.expand.attempts then
        local err
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

--- Keys that name one payment at most: the rows, or nil and the store's error.
local rows_by = {
    merchant_order_id = function(number)
        return store.query("payment.by_order", { merchant_order_id = number })
    end,
    order_no = function(number)
        local attempt = ids.attempt_of(number)
        local rows, err = store.query("attempt.get", { attempt = attempt or 0 })
        if not rows or not rows[1] then
            return rows, err
        end
        return store.query("payment.get", { payment = rows[1].payment })
    end,
    trade_no = function(number)
        for _, account in ipairs(registry.merchant(task.scope()).accounts) do
            local rows, err = store.query("attempt.by_trade", { account = account.id, trade_no = number })
            if not rows then
                return nil, err
            elseif rows[1] then
                return store.query("payment.get", { payment = rows[1].payment })
            end
        end
        return {}
    end,
}
local KEYS = { "merchant_order_id", "order_no", "trade_no" }

--- Goes its newest attempt through this channel?
local function goes_through(row, channel)
    local rows, err = store.query("attempt.get", { attempt = row.attempt or 0 })
    if not rows then
        return nil, err
    end
    return rows[1] ~= nil and registry.account(rows[1].account).channel == channel
end

local function fits(row, filters)
    local fit = (not filters.state or row.state == filters.state) and row.id < filters.before
        and row.id >= filters.since
    if fit and filters.channel then
        return goes_through(row, filters.channel)
    end
    return fit
end

--- The payment that all the keys name and that fits the rest; nil: no key is given.
---@return table[]? rows
---@return table? err of the store
local function rows_of_keys(filters)
    local found
    for _, key in ipairs(KEYS) do
        if filters[key] then
            local rows, err = rows_by[key](filters[key])
            if not rows then
                return nil, err
            end
            local other = found and found[1] and rows[1] and rows[1].id ~= found[1].id
            found = (other or found and not found[1]) and {} or rows
        end
    end
    if found and found[1] then
        local fit, err = fits(found[1], filters)
        if not fit then
            return not err and {} or nil, err
        end
    end
    return found
end

local BY_STATE = { piece = "payment.piece", list = "payment.list" }
local BY_CHANNEL = { piece = "payment.piece", list = "payment.list_channel" }

--- Those in the order of the index, or what its filters leave of them.
local function rows_in_order(filters)
    local params = { before = filters.before, since = filters.since, state = filters.state,
        channel = filters.channel }
    if filters.state or filters.channel then
        return scanned.list(filters.channel and BY_CHANNEL or BY_STATE, params, filters.limit + 1)
    end
    params.n = filters.limit + 1
    return store.query("payment.list", params)
end

--- Newest first. `next` is the `before` of the following page; with filters one may hold less than it could.
---@param filters table limit, before?, since?, state?, channel?, merchant_order_id?, order_no?, trade_no?
---@return table[]? views
---@return integer|table|nil next, or err
function payments.list(filters)
    filters.before, filters.since = filters.before or math.maxinteger, filters.since or 0
    local rows, next_before = rows_of_keys(filters)
    if not rows and not next_before then
        rows, next_before = rows_in_order(filters)
    end
    if not rows then
        return store_problem(next_before)
    end
    if #rows > filters.limit then
        rows[#rows] = nil
        next_before = rows[#rows].id
    end
    local list, err = views_of(rows)
    if not list then
        return nil, err
    end
    return list, next_before
end

-- ---- what changes them, in files of their own, which need this one first ----

--- Creates a payment for the scope's merchant, or finds the one that this request already made.
---@param request tael.kernel.Create
---@return { payment: table, replayed: boolean }?
---@return table? err {code, detail, pointer?, existing?, payment?}
function payments.create(request)
    return require("tael.kernel.creation").create(request)
end

--- Closes it at the channel, then here.
---@param id_text string "pay_…"
---@param actor string
---@return tael.kernel.Closed?
---@return table? err
function payments.close(id_text, actor)
    return require("tael.kernel.closing").close(id_text, actor)
end

--- Reverses it, whether it was paid or not.
---@param id_text string "pay_…"
---@param actor string
---@return tael.kernel.Closed?
---@return table? err
function payments.cancel(id_text, actor)
    return require("tael.kernel.closing").cancel(id_text, actor)
end

--- Asks the channel now.
---@param id_text string "pay_…"
---@param actor string
---@return tael.kernel.Closed?
---@return table? err
function payments.sync(id_text, actor)
    return require("tael.kernel.closing").sync(id_text, actor)
end

payments.store_problem, payments.told, payments.attempts_of = store_problem, told, attempts_of
payments.row_of, payments.view_of = row_of, view_of

return payments
