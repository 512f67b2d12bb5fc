--- The rows that a payment's events lead to. Events hold every column that changed, as absolute values, so
--- the rows follow from them alone: for rebuilding, for checking, and for a payment as of one event.
local crypto = require "tael.crypto"
local json = require "tael.json"

local fold = {}

--- What columns are when no event has named them.
local payment_defaults = {
    late = 0, authorized_amount = 0, captured_amount = 0, refund_reserved = 0, refunded_amount = 0,
}

---@class tael.kernel.Folded
---@field payment table row
---@field attempts table<integer, table> rows by id
---@field refunds table<integer, table> rows by id
---@field details table

---@return tael.kernel.Folded
function fold.new()
    return { payment = {}, attempts = {}, refunds = {}, details = {} }
end

local function merge(row, columns)
    for name, value in pairs(columns) do
        if value == json.null then
            row[name] = nil
        else
            row[name] = value
        end
    end
end

--- What hangs on the payment: the first event that names it makes it.
local function touch(rows, event, columns)
    local row = rows[columns.id]
    if not row then
        row = { merchant = event.merchant, payment = event.payment }
        rows[columns.id] = row
    end
    merge(row, columns)
    if columns.request then
        row.request = crypto.hex.decode(columns.request)
    end
    row.updated_at = event.at
end

--- Adds one event, in the order of versions.
---@param folded tael.kernel.Folded
---@param event table row of events
function fold.add(folded, event)
    local data = json.decode(event.data)
    if type(data) ~= "table" then
        error(("event %d holds no JSON object"):format(event.id), 0)
    end
    local row = folded.payment
    if event.version == 1 then
        row.id, row.merchant = event.payment, event.merchant
        merge(row, payment_defaults)
    end
    merge(row, data.payment or {})
    if data.payment and data.payment.request then
        row.request = crypto.hex.decode(data.payment.request)
    end
    if data.attempt then
        touch(folded.attempts, event, data.attempt)
    end
    if data.refund then
        touch(folded.refunds, event, data.refund)
    end
    if data.details then
        folded.details, row.detail_event = data.details, event.id
    end
    row.version, row.last_event, row.last_hash, row.updated_at = event.version, event.id, event.hash, event.at
end

--- No part of the record: the timer that counts is set and forgotten without an event, and in what a payment
--- is counted for rules is no fact about it.
local unrecorded = { due = true, counted = true }

--- Columns in which two rows differ, in order of name.
---@param one table
---@param other table
---@return string[]
function fold.differences(one, other)
    local names = {}
    for name, value in pairs(one) do
        if other[name] ~= value and not unrecorded[name] then
            names[#names + 1] = name
        end
    end
    for name in pairs(other) do
        if one[name] == nil and not unrecorded[name] then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

return fold
