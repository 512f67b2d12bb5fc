--- Whole lives of payments in the simulated world: payers that pay early, late or never, a merchant that
--- closes, asks and refunds at the same moment, a channel that loses, repeats and forges, and machines that
--- die. Every choice follows from the seed.
--- POST /live {api, sandbox, key, seed, orders, faults} -> {wrong: [text …], counts}: what in the end is not
--- as the sandbox's money says. Empty: every payment and refund says what really happened to the money.
local form = require "tael.form"
local http = require "tael.http"
local json = require "tael.json"
local task = require "tael.task"
local time = require "tael.time"

local accounts = require "simtest.accounts"

local app = {}

function app.plan()
    return { workers = 1, log = { level = "info" } }
end

--- What may go wrong with any call, and with some of them.
local ANY = { "lost_before", "lost_after", "reset_before", "reset_after", "busy_before", "busy_after",
    "http_502_before", "http_502_after", "wrong_signature", "unsigned", "unsigned_success", "double_node",
    "garbage", "html", "empty", "cut_body", "no_code" }
local SOME = {
    precreate = {}, query = {}, refund_query = {},
    close = { "paid_meanwhile" }, cancel = { "paid_meanwhile", "retry" },
    refund = { "in_process", "in_process_fails", "query_lags", "balance_too_low", "notice_first" },
}
local OPS = { "precreate", "query", "close", "cancel", "refund", "refund", "refund_query" }
local NOTICES = { "duplicate", "lose", "delay", "tamper", "bad_signature" }

-- ---- choices ----

--- Own generator: math.random belongs to the whole state.
local function chooser(seed)
    local state = seed * 2 + 1
    local function draw()
        state = state * 6364136223846793005 + 1442695040888963407
        return (state >> 33) & 0x7fffffff
    end
    local choose = {}
    function choose.number(low, high)
        return low + draw() % (high - low + 1)
    end
    function choose.chance(percent)
        return draw() % 100 < percent
    end
    function choose.one(list)
        return list[1 + draw() % #list]
    end
    return choose
end

-- ---- requests ----

--- Sends until something answers: an engine that has just crashed is restarted by the test.
local function request(call)
    for _ = 1, 2000 do
        local answer = http.request(call)
        if answer and answer.status < 500 and answer.status ~= 429 then
            return answer
        end
        time.sleep(500)
    end
    error("no answer from " .. call.url)
end

local function api(shop, method, path, body)
    local headers = { authorization = "Bearer " .. shop.key }
    headers["content-type"] = body and "application/json" or nil
    local answer = request {
        method = method, url = shop.api .. path, body = body and json.encode(body), headers = headers,
        timeout_ms = 60000,
    }
    return answer.raw ~= "" and assert(json.decode(answer.raw)) or {}, answer.status
end

local function lever(shop, method, path, body)
    local answer = request { method = method, url = shop.sandbox .. path,
        body = body and json.encode(body) or nil,
        headers = body and { ["content-type"] = "application/json" } or nil }
    return json.decode(answer.raw)
end

-- ---- what happens to one order ----

--- None of the simulator's magic amounts, which would go on after a crash of the machine.
local function plain_amount(choose, yuan)
    return choose.number(0, yuan) * 100 + choose.number(1, 60)
end

local function create(shop, choose, name)
    local body = {
        merchant_order_id = name, amount = plain_amount(choose, 9), currency = "CNY", subject = "coffee",
        channel = "alipay", product = choose.chance(50) and "qr" or "page",
        expires_in = choose.one { 60, 90, 300, 1800 },
    }
    local payment, status = api(shop, "POST", "/v1/payments", body)
    if status ~= 201 then
        error(("create answered %d %s"):format(status, json.encode(payment)))
    end
    return payment
end

--- What a payer's device opens; nil while there is nothing to open.
local function address_of(shop, payment)
    for _ = 1, 20 do
        local action = payment.next_action
        if type(action) == "table" and action.type ~= "wait" then
            return action.url or action.code_url
        end
        time.sleep(3000)
        payment = api(shop, "GET", "/v1/payments/" .. payment.id)
        if payment.state ~= "pending" then
            return nil
        end
    end
end

local function payer(shop, choose, payment)
    time.sleep(choose.number(0, 70000))
    local url = address_of(shop, payment)
    if not url then
        return
    end
    http.request { method = "GET", url = url } -- a browser that fails is a payer who goes away
    if not choose.chance(85) then
        return
    end
    time.sleep(choose.number(0, 40000))
    for _, attempt in ipairs(api(shop, "GET", "/v1/payments/" .. payment.id .. "/attempts").data) do
        local path = "/sandbox/trades/" .. attempt.order_no .. "/pay"
        http.request { method = "POST", url = shop.sandbox .. path, body = "" }
    end
end

local function closer(shop, choose, payment)
    time.sleep(choose.number(0, 90000))
    local verb = choose.one { "close", "close", "cancel", "sync" }
    api(shop, "POST", "/v1/payments/" .. payment.id .. "/" .. verb, {})
end

local function refund(shop, payment, number, amount)
    local body = { merchant_refund_id = payment.merchant_order_id .. "-r" .. number, amount = amount }
    local answer, status = api(shop, "POST", "/v1/payments/" .. payment.id .. "/refunds", body)
    if status ~= 201 and status ~= 409 then
        error(("refund answered %d %s"):format(status, json.encode(answer)))
    end
end

--- By its attempts: a payment's own answer signs the payer's page anew each time.
local function await_paid(shop, payment)
    for _ = 1, 60 do
        for _, attempt in ipairs(api(shop, "GET", "/v1/payments/" .. payment.id .. "/attempts").data) do
            if attempt.state == "succeeded" then
                return payment
            end
        end
        time.sleep(2500)
    end
end

--- Several refunds at once, which together may be more than was paid.
local function refunder(shop, choose, payment)
    local paid = await_paid(shop, payment)
    if not paid then
        return
    end
    local running = 0
    for number = 1, choose.number(1, 4) do
        local amount = math.min(plain_amount(choose, paid.amount // 100), paid.amount)
        running = running + 1
        task.spawn(function()
            time.sleep(choose.number(0, 3000))
            refund(shop, paid, number, amount)
            running = running - 1
        end)
    end
    while running > 0 do
        time.sleep(500)
    end
end

local function spoil(shop, choose)
    local op = choose.one(OPS)
    local names = SOME[op]
    if #names == 0 or choose.chance(70) then
        names = ANY
    end
    lever(shop, "POST", "/sandbox/behaviour", { op = op, fault = choose.one(names),
        times = choose.number(1, 2) })
    if choose.chance(40) then
        lever(shop, "POST", "/sandbox/behaviour", { notices = choose.one(NOTICES),
            times = choose.number(1, 3) })
    end
end

local function live(shop, choose, name)
    local payment = create(shop, choose, name)
    local open = 0
    local function at_once(percent, fn)
        if choose.chance(percent) then
            open = open + 1
            task.spawn(function()
                fn(shop, choose, payment)
                open = open - 1
            end)
        end
    end
    at_once(90, payer)
    at_once(35, closer)
    at_once(35, closer)
    at_once(75, refunder)
    if choose.chance(shop.faults) then
        spoil(shop, choose)
    end
    while open > 0 do
        time.sleep(1000)
    end
    return payment.id
end

-- ---- the end: nothing open, then the books against the money ----

local OPEN_PAYMENT = { created = true, pending = true, authorized = true }
local OPEN_REFUND = { created = true, pending = true, unknown = true }

local function refunds_of(shop, id)
    return api(shop, "GET", "/v1/refunds?limit=100&payment=" .. form.encode({ x = id }):sub(3)).data
end

local function is_settled(shop, id)
    local payment = api(shop, "GET", "/v1/payments/" .. id)
    if OPEN_PAYMENT[payment.state] then
        return false
    end
    for _, made in ipairs(refunds_of(shop, id)) do
        if made.state == "abnormal" then
            lever(shop, "POST", "/sandbox/balance", { add = 100 })
            api(shop, "POST", "/v1/refunds/" .. made.id .. "/retry", {})
            return false
        elseif OPEN_REFUND[made.state] then
            return false
        end
    end
    return true
end

local function settle(shop, list)
    for _ = 1, 400 do
        local open = 0
        for _, id in ipairs(list) do
            open = open + (is_settled(shop, id) and 0 or 1)
        end
        if open == 0 then
            return true
        end
        time.sleep(30000)
    end
    return false
end

local function facts_of(shop, id)
    return {
        payment = api(shop, "GET", "/v1/payments/" .. id),
        attempts = api(shop, "GET", "/v1/payments/" .. id .. "/attempts").data,
        refunds = refunds_of(shop, id),
    }
end

function app.handle(call)
    local shop = assert(json.decode(call.body))
    local list, finished = {}, 0
    for n = 1, shop.orders do
        task.spawn(function()
            list[n] = live(shop, chooser(shop.seed * 64 + n), "L" .. n)
            finished = finished + 1
        end)
    end
    while finished < shop.orders do
        time.sleep(1000)
    end
    lever(shop, "POST", "/sandbox/behaviour", { fault = json.null, notices = json.null })
    local settled = settle(shop, list)
    local bill, facts = lever(shop, "GET", "/sandbox/bill"), {}
    for i, id in ipairs(list) do
        facts[i] = facts_of(shop, id)
    end
    local wrong, counts = accounts.compare(facts, bill)
    if not settled then
        wrong[#wrong + 1] = "something is still open"
    end
    return { status = 200, headers = { ["content-type"] = "application/json" },
        body = json.encode { wrong = json.array(wrong), counts = counts,
            facts = #wrong > 0 and json.array(facts) or nil, bill = #wrong > 0 and bill or nil } }
end

return app
