-- One row an order, by SQLite through LuaJIT's FFI; one durable commit a request, which the worker waits for.
-- luacheck: globals ngx
local ffi = require "ffi"
ffi.cdef [[
typedef struct sqlite3 sqlite3; typedef struct sqlite3_stmt sqlite3_stmt; typedef void (*destructor)(void *);
int sqlite3_open(const char *, sqlite3 **); int sqlite3_exec(sqlite3 *, const char *, void *, void *, void *);
int sqlite3_busy_timeout(sqlite3 *, int);
int sqlite3_prepare_v2(sqlite3 *, const char *, int, sqlite3_stmt **, void *);
int sqlite3_bind_text(sqlite3_stmt *, int, const char *, int, destructor);
int sqlite3_bind_int64(sqlite3_stmt *, int, int64_t);
int sqlite3_step(sqlite3_stmt *); int sqlite3_reset(sqlite3_stmt *); int sqlite3_changes(sqlite3 *);
int64_t sqlite3_last_insert_rowid(sqlite3 *); const char *sqlite3_column_text(sqlite3_stmt *, int);
int64_t sqlite3_column_int64(sqlite3_stmt *, int); const char *sqlite3_errmsg(sqlite3 *);
]]
local ROW, DONE, CONSTRAINT = 100, 101, 19
local COPY = ffi.cast("destructor", -1)
local sqlite = ffi.load("libsqlite3.so.0")
local place = ffi.new("sqlite3*[1]")
assert(sqlite.sqlite3_open(os.getenv("DATABASE"), place) == 0, "database")
local db = place[0]
sqlite.sqlite3_busy_timeout(db, 10000)
sqlite.sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", nil, nil, nil)

local function prepare(sql)
    local statement = ffi.new("sqlite3_stmt*[1]")
    assert(sqlite.sqlite3_prepare_v2(db, sql, -1, statement, nil) == 0, ffi.string(sqlite.sqlite3_errmsg(db)))
    return statement[0]
end

local insert = prepare([[INSERT INTO orders
    (merchant_order_id, amount, currency, channel, product, subject, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)]])
local update = prepare([[UPDATE orders SET status = 'paid', trade_no = ?, paid_at = ?
    WHERE merchant_order_id = ? AND amount = ? AND status = 'pending']])
local find = prepare("SELECT status, amount, coalesce(trade_no, '') FROM orders WHERE merchant_order_id = ?")

local function bind(statement, ...)
    for i = 1, select("#", ...) do
        local value = select(i, ...)
        if type(value) == "string" then
            sqlite.sqlite3_bind_text(statement, i, value, #value, COPY)
        else
            sqlite.sqlite3_bind_int64(statement, i, value)
        end
    end
end

local function now()
    return ngx.now() * 1000
end

local M = {}

--- The order's id; nil: there is one of this number.
function M.create(order)
    bind(insert, order.merchant_order_id, order.amount, order.currency, order.channel, order.product,
        order.subject, now())
    local code = sqlite.sqlite3_step(insert)
    sqlite.sqlite3_reset(insert)
    assert(code == DONE or code == CONSTRAINT, "insert")
    return code == DONE and tonumber(sqlite.sqlite3_last_insert_rowid(db)) or nil
end

local function is_paid(order_no, trade_no, amount)
    bind(find, order_no)
    local paid = sqlite.sqlite3_step(find) == ROW
        and ffi.string(sqlite.sqlite3_column_text(find, 0)) == "paid"
        and tonumber(sqlite.sqlite3_column_int64(find, 1)) == amount
        and ffi.string(sqlite.sqlite3_column_text(find, 2)) == trade_no
    sqlite.sqlite3_reset(find)
    return paid
end

function M.pay(order_no, trade_no, amount)
    bind(update, trade_no, now(), order_no, amount)
    local code = sqlite.sqlite3_step(update)
    local changes = sqlite.sqlite3_changes(db)
    sqlite.sqlite3_reset(update)
    assert(code == DONE, "update")
    return changes == 1 or is_paid(order_no, trade_no, amount)
end

return M
