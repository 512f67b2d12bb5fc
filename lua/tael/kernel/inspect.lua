--- What can be seen of notifications afterwards: one, many, and why one was refused. Rows and the ring's
--- entries look the same from outside.
local channel_steps = require "tael.channel.notification"
local form = require "tael.form"
local ids = require "tael.kernel.ids"
local inbound = require "tael.kernel.inbound"
local json = require "tael.json"
local message = require "tael.message"
local money = require "tael.kernel.money"
local notifications = require "tael.kernel.notifications"
local payments = require "tael.kernel.payments"
local redact = require "tael.kernel.redact"
local refused = require "tael.kernel.refused"
local registry = require "tael.kernel.registry"
local scanned = require "tael.kernel.scanned"
local secrets = require "tael.kernel.secrets"
local store = require "tael.store"
local task = require "tael.task"
local verdict = require "tael.kernel.verdict"
local views = require "tael.kernel.views"

local inspect = {}

local TRIALS = 12

--- Runs fn for the merchant that a record belongs to; an operator (scope 0) may look at any.
local function as_merchant(merchant, fn, ...)
    local scope = task.scope()
    task.set_scope(merchant)
    local value = fn(...)
    task.set_scope(scope)
    return value
end

---@param number integer
---@return table? record
---@return boolean|table proved it is a row: the signature held; or problem
local function find(number)
    local scope = task.scope()
    local rows, err
    if scope == 0 then
        rows, err = store.query("notification.find", { notification = number })
    else
        rows, err = store.query("notification.get", { notification = number })
    end
    if not rows then
        return payments.store_problem(err)
    elseif rows[1] then
        return rows[1], true
    end
    return refused.get(number, scope), false
end

--- The bytes, from this row or the one that it repeats. The scope is the record's merchant.
---@param record table
---@return string?
function inspect.bytes_of(record)
    local at = record
    if record.first then
        local rows = store.query("notification.get", { notification = record.first })
        at = rows and rows[1] or record
    end
    return at.raw and secrets.open(at.raw, notifications.place(at.id)) or nil
end

local function skipped_of(package)
    local skipped = {}
    if package and package.notification and not package.notification.open then
        skipped.decrypt = "this channel does not encrypt"
    end
    return skipped
end

local function repeats_of(record)
    if not record.payment or record.first then
        return {}
    end
    local rows = store.query("notification.repeats", { payment = record.payment, first = record.id })
    local list = {}
    for i, row in ipairs(rows or {}) do
        list[i] = row.id
    end
    return list
end

--- Account, package and prepared account of a record, when they are still configured.
local function room_of(record)
    local account = registry.account(record.account)
    return account, registry.package(account), registry.prepared(account)
end

local function signed_text_of(record)
    local account, package, prepared = room_of(record)
    local raw = prepared and inspect.bytes_of(record)
    if not raw then
        return nil
    end
    local text, fields = inbound.signed_text(package, prepared, account, raw, record.at)
    return redact.signed_text(text, fields), raw
end

local function key_of(record)
    return record.key_text or record.key_id and ("%08x"):format(record.key_id)
end

--- A channel's own words go with its package.
local function answered_of(package, record)
    if package and package.notify then
        return notifications.answer_of(package, record)
    end
    return { status = record.verdict == "error" and 500 or 200, body = "" }
end

local function view_of(record, proved, signed_text, repeats)
    local _, package = room_of(record)
    local checks = record.checks and verdict.decode(record.checks)
    return views.notification(record, {
        checks = verdict.view(checks, skipped_of(package)), signed_text = signed_text, repeats = repeats,
        answered = answered_of(package, record), key = key_of(record), proved = proved,
    })
end

--- The scope is the record's merchant.
---@param record table row, or an entry of the ring
---@param proved boolean
---@return table view
function inspect.view(record, proved)
    return view_of(record, proved, signed_text_of(record), repeats_of(record))
end

---@param text string "ntf_…"
---@return table? record
---@return boolean|table proved, or err
function inspect.find(text)
    local number = ids.decode("ntf", text)
    if not number then
        return nil, { code = "not_found" }
    end
    local record, proved = find(number)
    if not record then
        return nil, type(proved) == "table" and proved or { code = "not_found" }
    end
    return record, proved
end

---@param text string "ntf_…"
---@return table? view
---@return table? err
function inspect.get(text)
    local record, proved = inspect.find(text)
    if not record then
        return nil, proved
    end
    return as_merchant(record.merchant, inspect.view, record, proved)
end

-- ---- lists ----

local OF_MERCHANT = { piece = "notification.piece", list = "notification.list" }

local function rows_of(filters, n)
    local params = { before = filters.before, since = filters.since, verdict = filters.verdict,
        effect = filters.effect, channel = filters.channel }
    if filters.payment then
        params.payment, params.n = filters.payment, n
        return store.query("notification.list_payment", params)
    end
    return scanned.list(OF_MERCHANT, params, n)
end

--- The ring holds only refusals without effect, of no known payment.
local function ring_entries(filters, n)
    if filters.payment or filters.verdict and filters.verdict ~= "refused"
        or filters.effect and filters.effect ~= "none" then
        return {}
    end
    local accounts
    if filters.channel then
        accounts = json.array {}
        for _, account in ipairs(registry.merchant(task.scope()).accounts) do
            accounts[#accounts + 1] = account.channel == filters.channel and account.id or nil
        end
    end
    return refused.list { merchant = task.scope(), before = filters.before, since = filters.since, limit = n,
        accounts = accounts }
end

--- Newest first, rows and ring together. A page may hold less than it could.
---@param filters table limit, before?, since?, payment?, channel?, verdict?, effect?; numbers, not public ids
---@return table[]? views
---@return integer|table|nil next, or err
function inspect.list(filters)
    filters.before, filters.since = filters.before or math.maxinteger, filters.since or 0
    local wanted = filters.limit + 1
    local rows, rest = rows_of(filters, wanted)
    if not rows then
        return payments.store_problem(rest)
    end
    local all = {}
    for _, row in ipairs(rows) do
        all[#all + 1] = { row, true }
    end
    filters.since = math.max(filters.since, rest or 0) -- what is older comes behind the rows that are
    for _, entry in ipairs(ring_entries(filters, wanted)) do
        all[#all + 1] = { entry, false }
    end
    table.sort(all, function(a, b) return a[1].id > b[1].id end)
    local list = {}
    for i = 1, math.min(#all, filters.limit) do
        list[i] = view_of(all[i][1], all[i][2], nil, {})
    end
    return list, #all > filters.limit and all[filters.limit][1].id or rest
end

-- ---- why ----

local hints = {
    source = "the sender came too often; it will send again",
    size = "not the method, media type or length that this channel uses",
    decode = "the body is not strictly decodable; something between the channel and here changed it",
    form = "fields that sign are missing: the sender is not the channel, or something cut the body",
    algorithm = "the account is configured for another signature algorithm than the message names",
    window = "an old message; the channel repeats with a new time, a replay does not",
    identity = "the message is for another application or seller: compare the account's fields",
    decrypt = "the account's decryption key is not the one that the channel used",
    order = "the order number is not one of this account's: a message of another system, or of a test",
    amount = "compare the order at the channel with the payment before you decide anything",
    state = "the payment had moved on; nothing was changed",
    commit = "our store did not take it; the channel sends it again",
}

--- Is there one field that, with our order's amount in it, makes the signature fit? Then that field was
--- changed on the way.
local function changed_field(record, raw)
    local account, package, prepared = room_of(record)
    local made = message.new { account = account.id, raw = raw, at = record.at, content = "form" }
    local claims = made and channel_steps.claims(package, prepared, made)
    local number = claims and ids.attempt_of(claims.order_no)
    local rows = number and store.query("attempt.get", { attempt = number })
    local attempt = rows and rows[1]
    if not attempt then
        return nil
    end
    local fields, ours, trials = made.form, money.format(attempt.amount, attempt.currency), 0
    for name, value in pairs(made.form) do
        if trials < TRIALS and value ~= ours and money.parse(value, attempt.currency) then
            trials = trials + 1
            fields[name] = ours
            local trial = message.new { account = account.id, raw = form.encode(fields), at = record.at,
                content = "form" }
            if trial and channel_steps.verify(package, prepared, trial) then
                return { field = name, received = redact.value(name, value), signed = ours }
            end
            fields[name] = value
        end
    end
end

local function explained(record, proved)
    local text, raw = signed_text_of(record)
    local view = view_of(record, proved, text, repeats_of(record))
    local account, package = room_of(record)
    view.hint = hints[record.failed_check] or json.null
    view.differs = json.null
    if record.failed_check == "signature" then
        view.hint = ("the sender does not hold the channel's key, or the key of account %s/%s is old: "
            .. "compare it with tael keys show"):format(account.channel, account.slug)
        if raw and package and package.notify.content == "form" then
            view.differs = changed_field(record, raw) or json.null
        end
    end
    return view
end

--- The view, and what to do about it: hint, and differs {field, received, signed} when one changed field
--- explains a wrong signature.
---@param text string "ntf_…"
---@return table? view
---@return table? err
function inspect.explain(text)
    local record, proved = inspect.find(text)
    if not record then
        return nil, proved
    end
    return as_merchant(record.merchant, explained, record, proved)
end

return inspect
