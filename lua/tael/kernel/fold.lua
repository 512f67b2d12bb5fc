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

local parts = { "payment", "attempt", "refund", "details", "evidence" }
local named = { attempt = true, refund = true, evidence = true } -- by an id

local function is_object(value)
    return type(value) == "table" and not json.is_array(value)
end

local function part_wrong(name, columns)
    if not is_object(columns) then
        return ("its %s is no object"):format(name)
    elseif named[name] and math.type(columns.id) ~= "integer" then
        return ("its %s has no id"):format(name)
    elseif name == "evidence" and type(columns.kind) ~= "string" then
        return "its evidence is of no kind"
    elseif columns.request ~= nil and not (type(columns.request) == "string"
        and crypto.hex.decode(columns.request)) then
        return ("its %s has no digest of a request"):format(name)
    end
end

--- What an event holds, in the form that fold.add takes; nil and what is wrong with it.
---@param event table row of events
---@return table? data
---@return string? wrong
function fold.read(event)
    local data = json.decode(event.data)
    if not is_object(data) then
        return nil, "it holds no JSON object"
    end
    for _, name in ipairs(parts) do
        local wrong = data[name] ~= nil and part_wrong(name, data[name])
        if wrong then
            return nil, wrong
        end
    end
    return data
end

--- Adds one event, in the order of versions.
---@param folded tael.kernel.Folded
---@param event table row of events
---@param data table? what it holds, when that was read
function fold.add(folded, event, data)
    local wrong
    if not data then
        data, wrong = fold.read(event)
    end
    if not data then
        error(("event %d: %s"):format(event.id, wrong), 0)
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
