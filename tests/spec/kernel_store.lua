--- The engine's statements on a real SQLite (the sqlite3 program), for specs that need units with guards but
--- no engine: the loader's rewrites, named parameters, stamps, and a unit that is undone when a guard fails.
--- One program a store, spoken to line by line: its input is a pipe, its output a named one.
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
---@field merchant integer
---@field clock fun(): integer ms
---@field input file*
---@field output file*
---@field path string of the named pipe
---@field last_id integer

local methods = {}
methods.__index = methods

local END = "@end"

--- What sqlite3 prints for this SQL, errors included, line by line.
function methods:run(sql)
    self.input:write(sql, "\n.print ", END, "\n")
    self.input:flush()
    local lines = {}
    for line in self.output:lines() do
        if line == END then
            return lines
        end
        lines[#lines + 1] = line
    end
    error "sqlite3 has ended"
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

local function is_error(line)
    return line ~= nil and line:find("^%u?%l* ?[Ee]rror") ~= nil
end

function methods:query(name, params)
    check_params(name, params)
    local lines = self:run(kernel_store.bind(name, with_scope(params, self.merchant)))
    assert(not is_error(lines[1]), lines[1])
    local rows, names = {}, nil
    for _, line in ipairs(lines) do
        local values, count = values_of(line)
        if not names then
            names = values
        else
            local row = {}
            for i = 1, count do
                local member, column = names[i]:match("^(%w+)%.(.+)$")
                if member then -- as engine/bind/store.c gives it
                    row[member] = row[member] or {}
                    row[member][column] = values[i]
                else
                    row[names[i]] = values[i]
                end
            end
            rows[#rows + 1] = row
        end
    end
    return rows
end

--- One statement of a unit, with its stamps; nil, err when its guard or a constraint stops the unit.
local function step(self, statement, stamps)
    local name, params = statement[1], with_scope(statement[2], self.merchant)
    local known = kernel_store.statements[name]
    for param in known.sql:gmatch(":(seq_[a-z_]+)") do
        stamps[param] = stamps[param] or self:next_id()
        params[param] = stamps[param]
    end
    local line = self:run(kernel_store.bind(name, params))[1]
    if line and line:find("constraint failed", 1, true) then
        return nil, { code = "constraint", statement = name, constraint = line }
    end
    assert(not line, line)
    local changes = tonumber(self:run("SELECT changes();")[2])
    if known.rows and changes ~= known.rows then
        return nil, { code = "guard", statement = name, otherwise = known.otherwise }
    end
    return true
end

--- One unit: all of it, or nothing and why.
function methods:commit(list)
    local stamps = {}
    for _, statement in ipairs(list) do
        check_params(statement[1], statement[2])
    end
    self:run("BEGIN IMMEDIATE;")
    for _, statement in ipairs(list) do
        local done, err = step(self, statement, stamps)
        if not done then
            self:run("ROLLBACK;")
            return nil, err
        end
    end
    self:run("COMMIT;")
    return { stamps = stamps }
end

function methods:remove()
    self.input:close()
    self.output:close()
    os.remove(self.path)
end

--- A new database with the whole schema.
---@param merchant integer
---@param clock fun(): integer
---@return tests.Store
function kernel_store.new(merchant, clock)
    local path = os.tmpname()
    os.remove(path)
    assert(os.execute("mkfifo -m 600 " .. path))
    local input = assert(io.popen(("sqlite3 -batch :memory: > %s 2>&1"):format(path), "w"))
    local self = setmetatable({ merchant = merchant, clock = clock, input = input, path = path, last_id = 0,
        output = assert(io.open(path, "r")) }, methods)
    local said = self:run(kernel_store.schema .. "\n.mode quote\n.headers on")
    assert(#said == 0, said[1])
    return self
end

return kernel_store
