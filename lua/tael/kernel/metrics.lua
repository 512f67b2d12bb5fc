--- Counters of the kernel, in Prometheus' text form, summed over the workers. Thousands of merchants have
--- tens of thousands of series: they are added up and written down some at a time, while payments go on.
local json = require "tael.json"
local sorted = require "tael.sorted"
local task = require "tael.task"
local workers = require "tael.kernel.workers"

local metrics = {}

local help = {
    tael_payments_total = "payments that entered a state",
    tael_refunds_total = "refunds that entered a state",
    tael_notifications_total = "inbound messages by verdict and failed check",
    tael_calls_total = "calls to channels by class",
    tael_routes_refused_total = "requests for the operator's own routes that were refused, by status",
    tael_rules_total = "merchants' rules that were asked, and those that failed",
    tael_scripts_over_share_total = "calls of merchants' scripts left out, being over their share",
    tael_script_calls_total = "calls of merchants' scripts that may have effects, by result",
    tael_script_total = "what merchants' scripts count",
    tael_jobs_total = "slots of the operator's jobs that came to an end, by result",
    tael_http_requests_total = "requests answered by Lua, by route, method and status",
    tael_alarms_total = "what a person should know",
}

local PIECE = 1000 -- series: some 3 ms

---@class tael.kernel.Counter one series; whoever counts in it often keeps it
---@field package name string
---@field package labels string
---@field count integer

local counters = {} -- name -> labels text -> tael.kernel.Counter
local all = {} ---@type tael.kernel.Counter[] in the order in which they were counted first

local order = {} -- name -> label names, sorted once

local function order_of(name, labels)
    local names = {}
    for label in pairs(labels) do
        names[#names + 1] = label
    end
    table.sort(names)
    order[name] = names
    return names
end

--- A series has the same labels each time.
local function label_text(name, labels)
    local text
    for _, label in ipairs(order[name] or order_of(name, labels)) do
        local value = tostring(labels[label])
        if value:find('[\\"\n]') then
            value = value:gsub('[\\"\n]', "_")
        end
        text = (text and text .. "," or "") .. label .. '="' .. value .. '"'
    end
    return text
end

--- The series of these labels, to be counted in.
---@param name string
---@param labels table<string, string>
---@return tael.kernel.Counter
function metrics.counter(name, labels)
    local series = counters[name]
    if not series then
        series = {}
        counters[name] = series
    end
    local text = label_text(name, labels)
    local counter = series[text]
    if not counter then
        counter = { name = name, labels = text, count = 0 }
        series[text], all[#all + 1] = counter, counter
    end
    return counter
end

---@param name string
---@param labels table<string, string>
function metrics.count(name, labels)
    local counter = metrics.counter(name, labels)
    counter.count = counter.count + 1
end

--- Counts in the series of two labels, whose counters it keeps: for what is counted with every request.
---@param name string
---@param one string label
---@param other string label
---@return fun(value: string, other_value: string)
function metrics.by_two(name, one, other)
    local kept = {} ---@type table<string, table<string, tael.kernel.Counter>>
    return function(value, other_value)
        local of = kept[value]
        local counter = of and of[other_value]
        if not counter then
            of = of or {}
            counter = metrics.counter(name, { [one] = value, [other] = other_value })
            kept[value], of[other_value] = of, counter
        end
        counter.count = counter.count + 1
    end
end

--- This worker's series from that one on: name, labels, count, and so on.
workers.answer("metrics", function(from)
    local piece = json.array {}
    for i = from, math.min(from + PIECE - 1, #all) do
        local counter = all[i]
        table.move({ counter.name, counter.labels, counter.count }, 1, 3, #piece + 1, piece)
    end
    return piece
end)

local function add(sums, piece)
    for i = 1, #piece, 3 do
        local name, labels = piece[i], piece[i + 1]
        local of = sums[name] or { names = {}, counts = {} }
        sums[name] = of
        if not of.counts[labels] then
            of.names[#of.names + 1] = labels
        end
        of.counts[labels] = (of.counts[labels] or 0) + piece[i + 2]
    end
end

--- Every counter of every worker, added up, by name; nil: a worker did not answer.
local function summed()
    local _, count = task.worker()
    local sums, from, more = {}, 1, true
    while more do
        local pieces = workers.ask("metrics", from)
        if #pieces < count then
            return nil
        end
        from, more = from + PIECE, false
        for _, piece in ipairs(pieces) do
            add(sums, piece)
            more = more or #piece == 3 * PIECE
        end
        if more then
            task.last()
        end
    end
    return sums
end

--- Every counter of every worker, added up. Waits.
---@return string? text nil: a worker did not answer, and a sum without it would look like a restart
function metrics.text()
    local sums = summed()
    if not sums then
        return nil
    end
    local pieces, lines = {}, {}
    for _, name in ipairs(sorted(sums)) do
        lines[#lines + 1] = ("# HELP %s %s"):format(name, help[name] or name)
        lines[#lines + 1] = ("# TYPE %s counter"):format(name)
        for _, labels in ipairs(sums[name].names) do
            lines[#lines + 1] = ("%s{%s} %d"):format(name, labels, sums[name].counts[labels])
            if #lines >= PIECE then
                pieces[#pieces + 1] = table.concat(lines, "\n")
                lines = {}
                task.last()
            end
        end
    end
    if lines[1] then
        pieces[#pieces + 1] = table.concat(lines, "\n")
    end
    return table.concat(pieces, "\n") .. "\n"
end

return metrics
