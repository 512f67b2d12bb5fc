--- Loads channel packages from the scripts folder, each into an environment of its own.
---
--- 1 Source text only. 2 A package sees pure functions and its own files; it cannot wait, read the clock or
--- reach the store, and writing a global is an error. 3 A package that does not pass the manifest's checks
--- is never handed out; the error names file, line and field.
local manifest = require "tael.channel.manifest"

local loader = {}

local max_source = 256 * 1024 -- bytes of one file (threats R31)

local script_error = { __tostring = function(err) return err.message end }

local function refuse(file, line, field, message)
    local where = line and (file .. ":" .. line) or file
    local subject = field and field ~= "" and (where .. ": " .. field .. ": ") or (where .. ": ")
    error(setmetatable({ code = "script_refused", file = file, line = line, field = field,
        message = subject .. message }, script_error), 0)
end

local function read(path)
    local file = io.open(path, "rb")
    if not file then
        return nil
    end
    local text = file:read(max_source + 1)
    file:close()
    return text or ""
end

local function copy(source, names)
    local out = {}
    for _, name in ipairs(names) do
        out[name] = source[name]
    end
    return out
end

-- Modules that a package may require: the pure part of each.
local modules = {
    ["tael.form"] = function()
        return copy(require "tael.form", { "decode", "encode", "canonical" })
    end,
    ["tael.json"] = function()
        return copy(require "tael.json",
            { "decode", "encode", "array", "object", "null", "is_array", "is_decimal", "span" })
    end,
    ["tael.money"] = function()
        return copy(require "tael.kernel.money", { "parse", "format", "exponent" })
    end,
    ["tael.time"] = function()
        return copy(require "tael.time", { "format", "parse", "rfc3339", "parse_rfc3339" })
    end,
}

local base = {
    "assert", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring", "type", "xpcall",
    "rawequal", "rawlen", "rawget", "setmetatable", "_VERSION",
}

local function environment(require_own)
    local env = copy(_G, base)
    for _, name in ipairs { "math", "string", "table", "utf8" } do
        local functions = {}
        for key, value in pairs(_G[name]) do
            functions[key] = value
        end
        env[name] = functions
    end
    env.string.dump, env.math.random, env.math.randomseed = nil, nil, nil
    env.require = require_own
    return setmetatable({}, {
        __index = function(_, name)
            local value = env[name]
            if value == nil then
                error("unknown global '" .. tostring(name) .. "'", 2)
            end
            return value
        end,
        __newindex = function(_, name)
            error("a package must not write the global '" .. tostring(name) .. "'", 2)
        end,
        __metatable = false,
    })
end

local function compile(path, env)
    local text = read(path)
    if not text then
        return nil
    end
    if #text > max_source then
        refuse(path, nil, nil, "is larger than 256 KiB")
    end
    local chunk, message = load(text, "@" .. path, "t", env)
    if not chunk then
        local line = message:match(":(%d+):")
        refuse(path, tonumber(line), nil, (message:gsub("^.-:%d+: ", "")))
    end
    return chunk, text
end

--- The require of one package: allowed modules, and its own files, each loaded once.
local function own_require(folder, name)
    local loaded, env = {}, nil
    local function require_own(wanted)
        if loaded[wanted] ~= nil then
            return loaded[wanted]
        end
        local value
        if modules[wanted] then
            value = modules[wanted]()
        else
            local own = "^channels%." .. name .. "%.([a-z][a-z0-9_]*)$"
            local file = type(wanted) == "string" and wanted:match(own)
            if not file then
                error("module '" .. tostring(wanted) .. "' is not for channel packages", 2)
            end
            local chunk = compile(folder .. "/channels/" .. name .. "/" .. file .. ".lua", env)
            if not chunk then
                error("module '" .. wanted .. "' was not found", 2)
            end
            value = chunk()
        end
        loaded[wanted] = value == nil and true or value
        return loaded[wanted]
    end
    env = environment(require_own)
    return require_own, env
end

--- The line where a field of the manifest is written: each part of the path is sought after the one before.
--- nil when it is not in this text (made by a loop, or in another file).
local function line_of(text, path)
    local at, found = 1, nil
    for part in path:gmatch("[^.]+") do
        local plain = part:gsub("%W", "%%%0")
        local from, to = text:find("%f[%w_]" .. plain .. "%f[^%w_][%]\"']*%s*=", at)
        if not from then
            break
        end
        at, found = to + 1, from
    end
    if not found then
        return nil
    end
    local _, breaks = text:sub(1, found):gsub("\n", "")
    return breaks + 1
end

local function run(chunk, path)
    local ok, value = xpcall(chunk, function(err)
        if getmetatable(err) == script_error then
            return err
        end
        return setmetatable({ code = "script_refused", file = path, message = tostring(err) }, script_error)
    end)
    if not ok then
        error(value, 0)
    end
    return value
end

local function load_package(folder, name)
    local path = folder .. "/channels/" .. name .. "/init.lua"
    local _, env = own_require(folder, name)
    local chunk, text = compile(path, env)
    if not chunk then
        return nil
    end
    local package = run(chunk, path)
    local faults = manifest.check(package, name)
    if #faults > 0 then
        local first = faults[1]
        local more = #faults > 1 and (" (and " .. #faults - 1 .. " more)") or ""
        refuse(path, line_of(text, first.field), first.field, first.message .. more)
    end
    return package
end

--- The packages of a scripts folder by name, each loaded when it is first asked for; nil when there is no
--- such file. Indexing raises {code="script_refused", message, file, line?, field?} for a broken package.
---@param folder string
---@return table<string, tael.channel.Package>
function loader.load(folder)
    return setmetatable({}, {
        __index = function(packages, name)
            if type(name) ~= "string" or not name:find("^[a-z][a-z0-9]*$") or #name < 2 or #name > 16 then
                return nil
            end
            local package = load_package(folder, name)
            rawset(packages, name, package)
            return package
        end,
        __newindex = function()
            error("packages are read only", 2)
        end,
    })
end

--- One file of a package, in the package's environment: for specs that test its parts.
---@param folder string
---@param module string "channels.alipay.answer"
function loader.module(folder, module)
    local name = assert(module:match("^channels%.([a-z][a-z0-9]*)%."), "not a module of a package")
    return own_require(folder, name)(module)
end

return loader
