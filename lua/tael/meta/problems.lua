---@meta tael.problems

--- The problems that the engine answers itself: before an application is asked, or in its place.
---@class tael.problems
local problems = {}

--- What they are called, by code.
---@return table<string, string>
function problems.titles() end

return problems
