--- Counters of the kernel, in Prometheus' text form, summed over the workers.
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

---@class tael.kernel.Counter one series; whoever counts in it often keeps it
---@field count integer

local PIECE = 512 -- series that are told, and read, in one turn: others wait for no more

local counters = {} -- name -> labels text -> tael.kernel.Counter

--- All of them as they came: none goes.
local list = {} ---@type { name: string, labels: string, counter: tael.kernel.Counter }[]

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
        counter = { count = 0 }
        series[text], list[#list + 1] = counter, { name = name, labels = text, counter = counter }
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

workers.answer("metrics", function(asked)
    local piece = {}
    for i = asked.from, math.min(asked.from + PIECE - 1, #list) do
        piece[#piece + 1] = { list[i].name, list[i].labels, list[i].counter.count }
    end
    return piece
end)

--- Adds a worker's piece.
---@return boolean more may follow
local function add(sums, piece)
    for _, one in ipairs(piece) do
        local name, labels, count = one[1], one[2], one[3]
        local of = sums[name] or { order = {}, by = {} }
        sums[name] = of
        if not of.by[labels] then
            of.order[#of.order + 1] = labels
        end
        of.by[labels] = (of.by[labels] or 0) + count
    end
    return #piece == PIECE
end

--- Every series of every worker, added up, by name.
local function sums_of_all()
    local sums, from = {}, 1
    local _, count = task.worker()
    repeat
        local more, answers = false, workers.ask("metrics", { from = from })
        if #answers < count then
            return nil
        end
        for _, piece in ipairs(answers) do
            more = add(sums, piece) or more
        end
        from = from + PIECE
        task.last()
    until not more
    return sums
end

local function add_lines(lines, name, of)
    lines[#lines + 1] = ("# HELP %s %s\n# TYPE %s counter"):format(name, help[name] or name, name)
    for i, labels in ipairs(of.order) do
        lines[#lines + 1] = ("%s{%s} %d"):format(name, labels, of.by[labels])
        if i % PIECE == 0 then
            task.last()
        end
    end
end

--- Every counter of every worker, added up. Waits.
---@return string? text nil: a worker did not answer, and a sum without it would look like a restart
function metrics.text()
    local sums, lines = sums_of_all(), {}
    if not sums then
        return nil
    end
    for _, name in ipairs(sorted(sums)) do
        add_lines(lines, name, sums[name])
    end
    return table.concat(lines, "\n") .. "\n"
end

return metrics
