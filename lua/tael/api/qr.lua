--- GET /qr/{payment}.svg: the QR code of a payment that waits to be scanned, as an image that any page may
--- show. Whoever knows the payment's id may see it; the id cannot be guessed.
local ids = require "tael.kernel.ids"
local payments = require "tael.kernel.payments"
local qr = require "tael.qr"
local store = require "tael.store"
local task = require "tael.task"

local M = {}

local QUIET, PIXELS = 4, 8 -- light modules around the code; size of a module

local function plain(status, body, headers)
    local all = { ["content-type"] = "text/plain; charset=utf-8", ["cache-control"] = "no-store" }
    for name, value in pairs(headers or {}) do
        all[name] = value
    end
    return { status = status, headers = all, body = body }
end

--- Dark modules of one row as runs: "M4 4h7v1h-7z".
local function runs(row, y)
    local parts, at = {}, 1
    while true do
        local from, to = row:find("1+", at)
        if not from then
            return table.concat(parts)
        end
        local length = to - from + 1
        parts[#parts + 1] = ("M%d %dh%dv1h-%dz"):format(from - 1 + QUIET, y + QUIET, length, length)
        at = to + 1
    end
end

---@param rows string[] of tael.qr
---@return string svg
function M.image(rows)
    local size, parts = #rows + 2 * QUIET, {}
    for y, row in ipairs(rows) do
        parts[y] = runs(row, y - 1)
    end
    return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
        .. 'shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="%s"/></svg>\n'):format(
        size, size, size * PIXELS, size * PIXELS, size, size, table.concat(parts))
end

--- What is to be scanned, when there is something: the newest code that can still be paid, also when the
--- payer has looked at another way meanwhile.
local function code_of(text)
    local id = ids.decode("pay", text)
    local rows, err = {}, nil
    if id then
        rows, err = store.query("payment.find", { payment = id })
    end
    if not rows or not rows[1] then
        return nil, err
    end
    task.set_scope(rows[1].merchant)
    local payment, attempts
    payment, err = payments.row_of(id)
    if payment then
        attempts, err = payments.attempts_of(payment)
    end
    for _, attempt in ipairs(attempts or {}) do
        local view
        view, err = payments.view_by(payment, attempt)
        local action = view and view.next_action
        if not view or type(action) == "table" and action.type == "qr_code" then
            return action and action.code_url, err
        end
    end
    return nil, err
end

---@param call tael.api.Call
function M.svg(call)
    local code, err = code_of(call.params.payment)
    local rows = code and qr.encode(code)
    if not rows then
        return err and err.code ~= "not_found" and plain(503, "try again\n", { ["retry-after"] = "1" })
            or plain(404, "not found\n")
    end
    return { status = 200, body = M.image(rows), headers = {
        ["content-type"] = "image/svg+xml", ["cache-control"] = "no-store",
        ["content-security-policy"] = "default-src 'none'", ["x-content-type-options"] = "nosniff",
    } }
end

return M
