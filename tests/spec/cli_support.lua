--- The modules that only an engine has, for specs of the command line: enough to load them.
local function absent(name)
    package.preload[name] = package.preload[name] or function()
        return setmetatable({}, { __index = function(_, member)
            return function() error(name .. "." .. member .. ": only inside the engine") end
        end })
    end
end

for _, name in ipairs { "tael.task", "tael.terminal", "tael.http", "tael.store" } do
    absent(name)
end

local support = {}

--- A file that remembers what was written.
function support.file()
    local written = {}
    return {
        write = function(_, ...)
            for _, text in ipairs { ... } do
                written[#written + 1] = text
            end
            return true
        end,
        flush = function() return true end,
        text = function() return table.concat(written) end,
    }
end

return support
