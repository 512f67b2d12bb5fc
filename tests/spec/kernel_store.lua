--- The engine's statements on a real SQLite (the sqlite3 program), for specs that need units with guards but
--- no engine: the loader's rewrites, named parameters, stamps, and a unit that is undone when a guard fails.
--- Each call is a process of its own on one file, so nothing is shared but what was committed.
local files = require "tael.sql.files"

local kernel_store = {}

local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("a")
    file:close()
    return text
end

--- The rewrites of the loader (engine/store/sql.h), for this schema.
local function for_sqlite(text)
    local lines = {}
    for line in (text .. "\n"):gmatch("(.-)\n") do
        if not line:find("%-%- postgres$") then
            lines[#lines + 1] = (line:gsub("%-%-.*$", ""))
        end
    end
    return (table.concat(lines, "\n"):gsub("%f[%w_]id BIGINT NOT NULL,", "id INTEGER PRIMARY KEY,")
        :gsub(", PRIMARY KEY %(merchant, id%)", ""):gsub("BIGINT", "INTEGER"):gsub("BYTEA", "BLOB")
        :gsub("\n%);", "\n) STRICT;"))
end

---@type string the schema with all migrations
kernel_store.schema = ""
for _, name in ipairs(files.migrations) do
    kernel_store.schema = kernel_store.schema .. for_sqlite(read("lua/tael/sql/migrations/" .. name))
end

---@type table<string, { sql: string, rows: integer?, otherwise: string?, bytes: table<string, true> }>
kernel_store.statements = {}
for _, name in ipairs(files.statements) do
    for word, body in read("lua/tael/sql/" .. name):gmatch("%-%- name: (%S+)\n(.-;)") do
        local rows, otherwise = body:match("%-%- rows: (%d+) else (%S+)")
        local bytes = {}
        for param in (body:match("%-%- bytes: ([^\n]+)") or ""):gmatch("%S+") do
            bytes[param] = true
        end
        kernel_store.statements[word] = { sql = for_sqlite(body), bytes = bytes,
            rows = math.tointeger(tonumber(rows or body:match("%-%- rows: (%d+)"))), otherwise = otherwise }
    end
end

local function literal(value, is_bytes)
    if value == nil then
        return "NULL"
    elseif math.type(value) == "integer" then
        return tostring(value)
    elseif is_bytes then
        return "x'" .. value:gsub(".", function(c) return ("%02x"):format(c:byte()) end) .. "'"
    end
    assert(type(value) == "string", "a parameter is a " .. type(value))
    return "'" .. value:gsub("'", "''") .. "'"
end

--- The statement's SQL with these values in place of its parameters.
---@param name string
---@param params table
---@return string
function kernel_store.bind(name, params)
    local statement = assert(kernel_store.statements[name], "no statement " .. name)
    return (statement.sql:gsub(":([a-z_]+)", function(param)
        return literal(params[param], statement.bytes[param])
    end))
end

--- A parameter that the statement does not have is a mistake.
local function check_params(name, params)
    local sql = kernel_store.statements[name].sql
    for param in pairs(params or {}) do
        if not sql:find(":" .. param .. "%f[^%w_]") then
            error(("%s has no parameter %s"):format(name, param), 3)
        end
    end
end

local function value_of(text)
    if text == "NULL" then
        return nil
    elseif text:sub(1, 2) == "X'" then
        return (text:sub(3, -2):gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end))
    elseif text:sub(1, 1) == "'" then
        return (text:sub(2, -2):gsub("''", "'"))
    end
    return math.tointeger(tonumber(text))
end

--- A line of sqlite3's quote mode: literals with commas between.
local function values_of(line)
    local list, count, at = {}, 0, 1
    while at <= #line do
        local stop
        local open = line:match("^X?()'", at)
        if open then
            stop = open
            repeat
                stop = assert(line:find("'", stop + 1, true), line)
                local doubled = line:sub(stop + 1, stop + 1) == "'"
                stop = doubled and stop + 1 or stop
            until not doubled
        else
            stop = (line:find(",", at, true) or #line + 1) - 1
        end
        count = count + 1
        list[count] = value_of(line:sub(at, stop))
        at = stop + 2
    end
    return list, count
end

---@class tests.Store
---@field path string
---@field merchant integer
---@field clock fun(): integer ms

local methods = {}
methods.__index = methods

--- What sqlite3 prints for this script, errors included.
function methods:run(script)
    local name = os.tmpname()
    local file = assert(io.open(name, "wb"))
    file:write(script)
    file:close()
    local pipe = assert(io.popen(("sqlite3 -batch %s < %s 2>&1"):format(self.path, name)))
    local out = pipe:read("a")
    pipe:close()
    os.remove(name)
    return out
end

function methods:next_id()
    self.last_id = math.max(self.last_id + 1, self.clock() - 1577836800000 << 22)
    return self.last_id
end

local function with_scope(params, merchant)
    local out = { merchant = merchant }
    for name, value in pairs(params or {}) do
        out[name] = value
    end
    return out
end

function methods:query(name, params)
    check_params(name, params)
    local sql = kernel_store.bind(name, with_scope(params, self.merchant))
    local out = self:run(".mode quote\n.headers on\n" .. sql)
    assert(not out:find("^Error") and not out:find("\nError"), out)
    local rows, names = {}, nil
    for line in out:gmatch("[^\n]+") do
        local values, count = values_of(line)
        if not names then
            names = values
        else
            local row = {}
            for i = 1, count do
                row[names[i]] = values[i]
            end
            rows[#rows + 1] = row
        end
    end
    return rows
end

--- SQL of one statement and its guard, marked so that a failure names it.
local function step(self, idx, statement, stamps)
    local name, params = statement[1], with_scope(statement[2], self.merchant)
    for param in kernel_store.statements[name].sql:gmatch(":(seq_[a-z_]+)") do
        stamps[param] = stamps[param] or self:next_id()
        params[param] = stamps[param]
    end
    local sql = (".print @%d\n%s\n"):format(idx, kernel_store.bind(name, params))
    local rows = kernel_store.statements[name].rows
    return rows and ("%sINSERT INTO guard SELECT changes(), %d;\n"):format(sql, rows) or sql
end

--- One unit: all of it, or nothing and why.
function methods:commit(list)
    local stamps, script = {}, {}
    for i, statement in ipairs(list) do
        check_params(statement[1], statement[2])
        script[i] = step(self, i, statement, stamps)
    end
    local out = self:run(".bail on\nCREATE TEMP TABLE guard (n INTEGER, want INTEGER, CHECK (n = want));\n"
        .. "BEGIN IMMEDIATE;\n" .. table.concat(script) .. "COMMIT;\n.print @done\n")
    if out:find("@done", 1, true) then
        return { stamps = stamps }
    end
    local last
    for idx in out:gmatch("@(%d+)") do
        last = tonumber(idx)
    end
    local name = list[assert(last, out)][1]
    if out:find("n = want", 1, true) then
        return nil, { code = "guard", statement = name, otherwise = kernel_store.statements[name].otherwise }
    elseif out:find("constraint failed", 1, true) then
        return nil, { code = "constraint", statement = name, constraint = out }
    end
    error(name .. ": " .. out)
end

function methods:remove()
    os.remove(self.path)
end

--- A new database with the whole schema.
---@param merchant integer
---@param clock fun(): integer
---@return tests.Store
function kernel_store.new(merchant, clock)
    local self = setmetatable({ path = os.tmpname(), merchant = merchant, clock = clock, last_id = 0 },
        methods)
    local out = self:run(kernel_store.schema)
    assert(out == "", out)
    return self
end

return kernel_store
