--- The sandbox's store as its rooms use it: a read gives rows, a unit gives what refused it, and a store that
--- does not work ends the request.
local store = require "tael.store"

local db = {}

local function stopped(err)
    error("sandbox store: " .. tostring(err.message or err.code))
end

---@param name string
---@param params table?
---@return table[] rows
function db.all(name, params)
    local rows, err = store.query(name, params)
    return rows or stopped(err)
end

---@param name string
---@param params table?
---@return table? row
function db.first(name, params)
    return db.all(name, params)[1]
end

--- Commits the statements. Nil and a word when one of them refused: of its guard, or "taken" for a key that
--- is there already.
---@param list table[]
---@return table? result
---@return string? word
function db.commit(list)
    local result, err = store.commit(list)
    if result then
        return result
    elseif err.code == "guard" then
        return nil, err.otherwise or "guard"
    elseif err.code == "constraint" then
        return nil, "taken"
    end
    stopped(err)
end

return db
