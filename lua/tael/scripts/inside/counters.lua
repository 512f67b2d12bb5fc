--- The names of history's counters, in one table: for the engine, for the check and for specs in an isolate.
local counters = {}

counters.SUBJECTS = { "merchant", "ip", "payer", "device" }
counters.METRICS = { "attempts", "paid", "failed", "refunds", "amount" }
counters.WINDOWS = { "1h", "1d", "7d", "30d" }
counters.TODAY = "attempts_today"

---@class tael.scripts.Counter
---@field subject string
---@field metric string
---@field window string "1h", …, "today"

---@type table<string, tael.scripts.Counter> by name
counters.known = { [counters.TODAY] = { subject = "merchant", metric = "attempts", window = "today" } }

for _, subject in ipairs(counters.SUBJECTS) do
    for _, metric in ipairs(counters.METRICS) do
        for _, window in ipairs(counters.WINDOWS) do
            counters.known[("%s_%s_%s"):format(subject, metric, window)] = { subject = subject,
                metric = metric, window = window }
        end
    end
end

return counters
