--- Payments of a past, as SQL for the sqlite3 program: rows, events, chains and sealed messages are made by
--- the kernel's own modules, as its units would have left them; `tael doctor --deep` finds nothing wrong.
--- Seals are left to the engine. Most are paid; every OPEN_EVERY-th still waits for its payer.
---   lua5.4 tests/bench/scale/seed.lua KEYS PAYMENTS   from the root, after make build/lua/tael_modules.so
package.cpath = "build/lua/?.so;" .. package.cpath
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
require "tael_modules"
local crypto = require "tael.crypto"
local id = require "tael.id"
local units = require "tael.kernel.units"

local EPOCH_MS = 1577836800000
local DAY_MS = 86400000
local SPAN_MS, PAUSE_MAX_MS = 7 * DAY_MS, 1000 -- so long ago the first one was made; between two, at most
local LIFE_MS = 15 * DAY_MS
local OPEN_EVERY = 50
local BATCH = 50 -- payments in one INSERT
local COMMIT = 10000

local keys, count = arg[1], math.tointeger(tonumber(arg[2]))
local now = os.time() * 1000
local pause = math.min(PAUSE_MAX_MS, SPAN_MS // count)

local function secret(name)
    local file = assert(io.open(keys .. "/" .. name .. ".secret"))
    local text = file:read("a"):gsub("%s+$", "")
    file:close()
    return assert(crypto.base64.decode(text))
end

local raw_key = secret("raw")
id.set_key(crypto.hmac("sha256", secret("ids"), "tael.ids.1"))

local function number(ms, low)
    return (ms - EPOCH_MS) << 22 | low
end

-- ---- SQL ----

local function blob(bytes)
    return "x'" .. crypto.hex.encode(bytes) .. "'"
end

local function text(value)
    return "'" .. value:gsub("'", "''") .. "'"
end

local tables = { ---@type { name: string, columns: string, rows: string[] }[]
    { name = "payments", columns = "merchant,id,merchant_order_id,request,state,amount,currency,"
        .. "captured_amount,attempt,detail_event,version,last_event,last_hash,updated_at,expires_at,"
        .. "paid_at" },
    { name = "attempts", columns = "merchant,id,payment,account,product,state,amount,currency,trade_no,"
        .. "evidence,code,expires_at,updated_at,due" },
    { name = "events", columns = "merchant,id,payment,object,version,prev,type,actor,at,data,hash" },
    { name = "notifications", columns = "merchant,id,account,payment,attempt,verdict,effect,key_id,source,at,"
        .. "digest,raw" },
    { name = "timers", columns = "merchant,id,kind,object" },
}
local by_name = {}
for _, one in ipairs(tables) do
    one.rows, by_name[one.name] = {}, one
end

local function add(name, ...)
    local rows = by_name[name].rows
    rows[#rows + 1] = "(" .. table.concat({ ... }, ",") .. ")"
end

local function flush()
    for _, one in ipairs(tables) do
        if #one.rows > 0 then
            io.write("INSERT INTO ", one.name, "(", one.columns, ") VALUES\n", table.concat(one.rows, ",\n"),
                ";\n")
            one.rows = {}
        end
    end
end

-- ---- one payment ----

local FORM = "app_id=2021000000000001&auth_app_id=2021000000000001&body=three+items+%%26+a+gift"
    .. "&buyer_id=2088102116773037&buyer_logon_id=abc***%%40example.com&buyer_pay_amount=%s&charset=utf-8"
    .. "&gmt_create=2026-11-25+22%%3A00%%3A14&gmt_payment=2026-11-25+22%%3A00%%3A19&invoice_amount=%s"
    .. "&notify_id=%s&notify_time=2026-11-25+22%%3A00%%3A20&notify_type=trade_status_sync&out_trade_no=%s"
    .. "&point_amount=0.00&receipt_amount=%s&seller_id=2088000000000001&sign=%s&sign_type=RSA2&subject=Order"
    .. "&total_amount=%s&trade_no=%s&trade_status=TRADE_SUCCESS&version=1.0"
local SIGN = crypto.url.encode(crypto.base64.encode(("s"):rep(256)))

local function form(order, attempt, trade_no)
    local yuan = ("%d.%02d"):format(order.amount // 100, order.amount % 100)
    return FORM:format(yuan, yuan, trade_no, id.number(attempt, "att"), yuan, SIGN, yuan, trade_no)
end

local function parameters(list, name)
    for _, statement in ipairs(list) do
        if statement[1] == name then
            return statement[2]
        end
    end
end

local function event(params, event_id)
    add("events", 1, event_id, params.payment, params.object, params.version, params.prev_event or "NULL",
        text(params.type), text(params.actor), params.now, text(params.data), blob(params.hash))
end

local function create(i, at, low)
    local payment, attempt, created = number(at, low + 1), number(at, low + 2), number(at, low + 3)
    local order = {
        payment = payment, now = at, merchant_order_id = ("S%09d"):format(i), amount = 100 + i * 7919 % 99999,
        currency = "CNY", state = "pending", capture = "automatic", parallel = "none",
        expires_at = at + LIFE_MS, request = crypto.digest("sha256", "S" .. i):sub(1, 16), actor = "seed",
        details = { decision = { by = "request" }, subject = ("Order %d 商品"):format(i) },
    }
    order.request_hex = crypto.hex.encode(order.request)
    order.order = { id = attempt, payment = payment, account = 1, product = "page", state = "issued",
        amount = order.amount, currency = "CNY", expires_at = order.expires_at, updated_at = at,
        due = number(now + DAY_MS, i & (1 << 22) - 1) }
    local made = parameters(units.creation(order), "event.insert")
    event(made, created)
    return order, created, made.hash
end

local function leave_open(order, created, hash)
    local attempt = order.order
    add("payments", 1, order.payment, text(order.merchant_order_id), blob(order.request), "'pending'",
        order.amount, "'CNY'", 0, attempt.id, created, 1, created, blob(hash), order.now, order.expires_at,
        "NULL")
    add("attempts", 1, attempt.id, order.payment, 1, "'page'", "'issued'", order.amount, "'CNY'", "NULL",
        "NULL", "NULL", order.expires_at, order.now, attempt.due)
    add("timers", 1, attempt.due, "'attempt'", attempt.id)
end

local function pay(i, order, created, hash, low)
    local at, attempt = order.now + 5000, order.order
    local notification, paid = number(at, low + 4), number(at, low + 5)
    local trade_no = os.date("!%Y%m%d", at // 1000) .. ("220014%010d%04d"):format(math.random(0, 9999999999),
        i % 10000)
    local raw = form(order, attempt.id, trade_no)
    local digest = crypto.digest("sha256", raw)
    local list, head = units.transition {
        decision = { event = "payment.paid",
            payment = { to = "paid", late = 0, captured_amount = order.amount, paid_at = at },
            attempt = { to = "succeeded", trade_no = trade_no, code = "TRADE_SUCCESS" } },
        payment = { id = order.payment, version = 1, last_event = created, last_hash = hash,
            amount = order.amount, currency = "CNY" },
        attempt = attempt, fact = {}, proof = { kind = "ntf", id = notification, digest = digest, key = 1 },
        actor = "channel:alipay", now = at,
    }
    event(parameters(list, "event.insert"), paid)
    add("payments", 1, order.payment, text(order.merchant_order_id), blob(order.request), "'paid'",
        order.amount, "'CNY'", order.amount, attempt.id, created, 2, paid, blob(head), at, order.expires_at,
        at)
    add("attempts", 1, attempt.id, order.payment, 1, "'page'", "'succeeded'", order.amount, "'CNY'",
        text(trade_no), notification, "'TRADE_SUCCESS'", order.expires_at, at, "NULL")
    add("notifications", 1, notification, 1, order.payment, attempt.id, "'pass'", "'applied'", 1,
        "'127.0.0.1'", at, blob(digest), blob(crypto.aes_gcm_seal(raw_key, raw, "ntf:" .. notification)))
end

math.randomseed(1)
io.write("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000;\nBEGIN;\n")
for i = 1, count do
    local low = (i & 15) << 3
    local order, created, hash = create(i, now - (count - i + 1) * pause - DAY_MS, low)
    if i % OPEN_EVERY == 0 then
        leave_open(order, created, hash)
    else
        pay(i, order, created, hash, low)
    end
    if i % BATCH == 0 or i == count then
        flush()
    end
    if i % COMMIT == 0 then
        io.write("COMMIT;\nBEGIN;\n")
    end
end
io.write("COMMIT;\nPRAGMA journal_mode = WAL;\n")
