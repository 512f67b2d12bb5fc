--- What a call of a merchant's script may take, as the configuration says (scripts.budget). Work is counted
--- in steps (tael.isolate), as many as a processor does in that time, or some more.
local budgets = {}

budgets.STEPS_PER_MS = 150000

budgets.rule_steps = 2 * budgets.STEPS_PER_MS -- of all rules of a payment together
budgets.call_steps = 50 * budgets.STEPS_PER_MS
budgets.wall_ms = 10000
budgets.effects = 32

--- At the start of a worker.
---@param wanted { rule_cpu_ms: integer, cpu_ms: integer, wall: integer, effects: integer } wall: ms
function budgets.open(wanted)
    budgets.rule_steps = wanted.rule_cpu_ms * budgets.STEPS_PER_MS
    budgets.call_steps = wanted.cpu_ms * budgets.STEPS_PER_MS
    budgets.wall_ms, budgets.effects = wanted.wall, wanted.effects
end

return budgets
