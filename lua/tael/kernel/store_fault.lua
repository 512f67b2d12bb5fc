--- What is raised when the store did not take or give something that has to be: the store's error, with words
--- for whoever only logs it.
local store_fault = {}

local Fault = {}

function Fault:__tostring()
    return ("store: %s %s"):format(tostring(self.code), tostring(self.statement or self.message or ""))
end

---@param err tael.store.Error?
function store_fault.raise(err)
    err = err or {}
    error(setmetatable({ code = err.code, statement = err.statement, message = err.message }, Fault), 0)
end

--- Is it the store's own trouble? That it tells itself, once, when it begins; and a store that has been
--- stopped, under work that nobody waits for, is no fault at all.
---@param err any an error of the store, or what was raised
---@return boolean
function store_fault.is_told(err)
    return type(err) == "table" and err.code == "unavailable"
end

return store_fault
