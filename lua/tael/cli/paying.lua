--- Creating a payment from the command line, and waiting until it has ended.
local crypto = require "tael.crypto"
local exits = require "tael.cli.exits"
local following = require "tael.cli.following"
local inbox = require "tael.cli.inbox"
local money = require "tael.kernel.money"
local simulator = require "tael.cli.simulator"
local terminal = require "tael.terminal"
local text = require("tael.cli.texts").of
local time = require "tael.time"

local paying = {}

local DEFAULT_CURRENCY = "CNY"
local BUYER_WAIT_MS = 60000 -- once the simulated buyer has paid, or the channel did not answer
local GRACE_MS = 180000     -- beyond the end of its time: the engine asks the channel before it closes

-- ---- create ----

--- Decimal text as minor units, exactly.
---@param given string
---@param currency string
---@return integer? minor
---@return tael.cli.Failure?
function paying.amount(given, currency)
    local amount, err = money.parse(given, currency)
    if amount and money.in_range(amount) then
        return amount
    end
    local values = { given = given, currency = currency }
    if err and err.code == "currency_not_supported" then
        return exits.fail(exits.usage, text("pay.amount.no_currency", values),
            text "pay.amount.no_currency.next")
    end
    values.example = money.format(1234, currency)
    values.least, values.most = money.format(money.MIN, currency), money.format(money.MAX, currency)
    local wrong = err and err.code == "invalid_amount" and "pay.amount.invalid" or "pay.amount.out_of_range"
    return exits.fail(exits.usage, text(wrong, values), text("pay.amount.next", values))
end

local function product_of(channel)
    if channel.products.qr then
        return "qr"
    end
    local names = {}
    for name in pairs(channel.products) do
        names[#names + 1] = name
    end
    table.sort(names)
    return channel.products.page and "page" or names[1]
end

--- The account whose channel the sandbox is, of those that the words allow: nothing is made at a channel
--- where no simulated buyer can pay.
local function served_account(call)
    local answer, failure = call.client:get "/v1/accounts"
    if not answer then
        return nil, failure
    end
    for _, account in ipairs(answer.data) do
        local fits = (not call.flags.channel or account.channel == call.flags.channel)
            and (not call.flags.account or account.id == call.flags.account)
        if fits and simulator.of(call, account.id) then
            return account
        end
    end
    return exits.fail(exits.no, text "simulator.none", text "simulator.foreign.next")
end

--- The channel that was named, or that of the merchant's first account.
local function channel_of(call, wanted)
    local answer, failure = call.client:get "/v1/channels"
    if not answer then
        return nil, failure
    end
    for _, channel in ipairs(answer.data) do
        if not wanted or channel.name == wanted then
            return channel
        end
    end
    if wanted then
        return exits.fail(exits.no, text("pay.no_channel", { name = wanted }), text "pay.no_channel.next")
    end
    return exits.fail(exits.configuration, text "pay.no_account", text "pay.no_account.next")
end

--- Unique enough to be an order's name, and short enough to be typed again.
local function new_order()
    local stamp = time.format(time.now(), "UTC"):gsub("%D", "")
    return "cli-" .. stamp .. "-" .. crypto.hex.encode(crypto.random(3))
end

--- Channel and account of a payment.
local function place_of(call, simulated)
    local channel, account, failure
    if call.flags.channel or not simulated then
        channel, failure = channel_of(call, call.flags.channel)
    end
    if failure or not simulated then
        return channel, call.flags.account, failure
    end
    account, failure = served_account(call)
    if not account then
        return nil, nil, failure
    end
    channel, failure = channel_of(call, account.channel)
    return channel, account.id, failure
end

--- Does nobody name the way, so that the merchant's rule does? Not where it might lead to a channel at which
--- no simulated buyer can pay.
local function is_open(call, simulated)
    if call.flags.channel or call.flags.account then
        return false
    end
    local answer = simulated and call.client:get "/v1/accounts"
    for _, account in ipairs(answer and answer.data or {}) do
        if not simulator.of(call, account.id) then
            return false
        end
    end
    return true
end

--- Refusals of a request that names no way: nothing was written.
local NO_WAY = { missing_field = true, product_not_supported = true }

local function create_at_any(call, body)
    body.product, body.device = call.flags.product, not call.flags.product and "terminal" or nil
    local payment, failure = call.client:post("/v1/payments", body)
    return payment, failure, failure and failure.problem and NO_WAY[failure.problem.code] or false
end

local function create_at_named(call, body, simulated)
    local channel, account, failure = place_of(call, simulated)
    if not channel then
        return nil, failure
    end
    body.channel, body.account, body.device = channel.name, account, nil
    body.product = call.flags.product or product_of(channel)
    return call.client:post("/v1/payments", body)
end

---@param call tael.cli.Call with flags of tael pay
---@param given string decimal text
---@param simulated boolean? only at the sandbox
---@return table? payment
---@return tael.cli.Failure?
function paying.create(call, given, simulated)
    local flags = call.flags
    local currency = (flags.currency or DEFAULT_CURRENCY):upper()
    local amount, failure = paying.amount(given, currency)
    if not amount then
        return nil, failure
    end
    local body = { merchant_order_id = flags.order or new_order(), amount = amount, currency = currency,
        subject = flags.subject or text "pay.subject" }
    local payment, named = nil, true
    if is_open(call, simulated) then
        payment, failure, named = create_at_any(call, body)
    end
    if named then
        payment, failure = create_at_named(call, body, simulated)
    end
    if not payment and failure.exit == exits.unknown then
        failure.next = "tael payments list --order " .. body.merchant_order_id
    elseif not payment and failure.problem and failure.problem.code == "merchant_order_id_taken" then
        failure.next = text("pay.order_taken.next", { order = body.merchant_order_id })
    end
    return payment, failure
end

--- Who chose the way of a payment: its newest attempt says so; nil: it has none, or that is not known.
---@param call tael.cli.Call
---@param payment table
---@return { by: string, reason: any }?
function paying.decision(call, payment)
    local answer = call.client:get(call.client.path("/v1/payments/{}/attempts", payment.id))
    local decision = answer and answer.data[1] and answer.data[1].decision
    return type(decision) == "table" and decision or nil
end

-- ---- wait ----

local ENDED = { paid = true, closed = true, failed = true, review = true }

--- Is there nothing to wait for? Whoever waits for a review waits for a person.
---@param payment table
---@return boolean
function paying.has_ended(payment)
    return ENDED[payment.state] or false
end

---@param call tael.cli.Call
---@param id string
---@return string? order_no of the newest attempt
---@return tael.cli.Failure?
function paying.order_no(call, id)
    local answer, failure = call.client:get(call.client.path("/v1/payments/{}/attempts", id))
    if not answer then
        return nil, failure
    elseif not answer.data[1] then
        return exits.fail(exits.no, text("pay.no_attempt", { id = id }), "tael explain " .. id)
    end
    local newest = answer.data[1]
    for _, attempt in ipairs(answer.data) do
        newest = attempt.id > newest.id and attempt or newest
    end
    return newest.order_no
end

--- Tells of the payment whenever something happened to it.
local function watch_engine(call, id)
    return function(box)
        local news, failure = following.begin(call.client, { payment = id })
        while news do
            local payment
            payment, failure = call.client:get(call.client.path("/v1/payments/{}", id))
            if not payment then
                break
            end
            box:put("payment", payment)
            local events
            events, failure = news:next()
            news = events and news
        end
        box:put("failure", failure)
    end
end

local function watch_keyboard(box)
    while terminal.line() do
        box:put "enter"
    end
end

--- The simulated buyer pays, once, when it was asked for and the channel is ready for it.
local function buyer_pays(call, payment, how)
    if how.paid_at or not how.buyer or not how.pressed or not paying.ready(payment) then
        return true
    end
    local order_no, failure = paying.order_no(call, payment.id)
    if not order_no then
        return nil, failure
    end
    how.paid_at = time.monotonic()
    local trade
    trade, failure = how.buyer.simulator:pay(payment, order_no)
    if trade and trade.trade_status == "WAIT_BUYER_PAY" then
        return exits.fail(exits.no, text("pay.buyer_failed", { id = payment.id }),
            text("pay.left_open.next", { id = payment.id }))
    end
    return trade, failure
end

--- Has the channel given what the payer needs? Until then nobody can pay.
---@param payment table
---@return boolean
function paying.ready(payment)
    local action = payment.next_action
    return type(action) == "table" and action.type ~= "wait"
end

--- How long to wait, from the beginning.
local function limit_of(payment, how)
    if how.wait_ms then
        return how.wait_ms
    elseif how.buyer and how.buyer.yes or not paying.ready(payment) then
        return BUYER_WAIT_MS
    end
    local expires = time.parse_rfc3339(payment.expires_at)
    return math.max(expires - time.now(), 0) + GRACE_MS
end

--- What follows from news, or from a key that was pressed.
local function take(call, payment, how)
    if how.changed then
        how.changed(payment)
    end
    return buyer_pays(call, payment, how)
end

---@class tael.cli.Waiting
---@field buyer { simulator: tael.cli.Simulator, yes: boolean?, keyboard: boolean? }? who plays the buyer
---@field wait_ms integer?
---@field changed fun(payment: table)? told of the payment as it is, and as it comes
---@field pressed boolean? the simulated buyer was asked to pay: set here
---@field paid_at integer? monotonic ms at which the simulated buyer paid: set here

--- Waits until the payment has ended, Ctrl-C was pressed, or the time is over.
---@param call tael.cli.Call
---@param payment table
---@param how tael.cli.Waiting
---@return table|"interrupted"|nil payment as it stands now
---@return tael.cli.Failure?
function paying.await(call, payment, how)
    local box <close> = inbox.new()
    box:watch_interrupt()
    if how.changed then
        how.changed(payment)
    end
    box:spawn(watch_engine(call, payment.id))
    if how.buyer and how.buyer.keyboard then
        box:spawn(watch_keyboard)
    elseif how.buyer then
        box:put "enter"
    end
    local begun = time.monotonic()
    while not paying.has_ended(payment) do
        local left = begun + limit_of(payment, how) - time.monotonic()
        local name, value = box:take(math.max(left, 0))
        if name == "timeout" then
            break
        elseif name == "interrupt" then
            return "interrupted"
        elseif name == "failure" then
            return nil, value
        elseif name == "payment" then
            payment = value
        else
            how.pressed = true
        end
        local done, failure = take(call, payment, how)
        if not done then
            return nil, failure
        end
    end
    return payment
end

return paying
