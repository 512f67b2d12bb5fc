--- With what code a command ends, and how a command says that it did not do what was asked.
local exits = {
    done = 0, no = 1, usage = 2, configuration = 3, unreachable = 4, refused = 5, store = 6, unknown = 7,
    internal = 70,
}

---@class tael.cli.Failure
---@field exit integer
---@field message string  one sentence
---@field more string[]?  further lines
---@field next string?    what to do now; nil: what holds for all failures of this exit code

--- For `return exits.fail(…)` in a command.
---@param exit integer
---@param message string
---@param next_step string?
---@return nil
---@return tael.cli.Failure
function exits.fail(exit, message, next_step)
    return nil, { exit = exit, message = message, next = next_step }
end

return exits
