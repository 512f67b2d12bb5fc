---@meta tael.terminal

--- The person or the program at the other end of a command. Only in commands of the `tael` program.
---@class tael.terminal
local terminal = {}

--- Is it a terminal, or a file or pipe?
---@param stream "stdin"|"stdout"|"stderr"
---@return boolean
function terminal.is(stream) end

--- Width of the terminal at stdout; nil: it is none.
---@return integer?
function terminal.columns() end

--- Waits for a line of standard input, without its end. Longer than 4096 bytes it comes in pieces. One task
--- at a time may wait.
---@return string? line nil: the input has ended
function terminal.line() end

--- Waits for Ctrl-C. Only while a task waits here does it not end the program.
function terminal.interrupt() end

return terminal
