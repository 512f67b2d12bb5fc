--- Loads channel packages from the scripts folder, or from the texts of a version, each into an environment
--- of its own.
---
--- 1 Source text only. 2 A package sees pure functions and its own files; it cannot wait, read the clock or
--- reach the store, and writing a global is an error. 3 A package that does not pass the manifest's checks
--- is never handed out; the error names file, line and field. 4 A load has an end: 50 million instructions.
local manifest = require "tael.channel.manifest"
local script = require "tael.script"

local loader = {}

local max_source = 256 * 1024 -- bytes of one file (threats R31)

local script_error = { __tostring = function(err) return err.message end }

local function refusal(file, line, field, message)
    local where = line and (file .. ":" .. line) or file
    local subject = field and field ~= "" and (where .. ": " .. field .. ": ") or (where .. ": ")
    return setmetatable({ code = "script_refused", file = file, line = line, field = field,
        message = subject .. message }, script_error)
end

local function refuse(...)
    error(refusal(...), 0)
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
    "assert", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring", "type",
    "rawequal", "rawlen", "rawget", "setmetatable", "_VERSION",
}

--- xpcall whose handler runs when the call is over: one that runs inside could keep a load from ending.
local function call_handled(fn, handler, ...)
    local results = table.pack(pcall(fn, ...))
    if not results[1] then
        return false, handler(results[2])
    end
    return table.unpack(results, 1, results.n)
end

--- The globals of a package, found without calling anything. The table that its code sees is empty, so that
--- every write of a global, of a known name too, is met.
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
    env.require, env.xpcall = require_own, call_handled
    setmetatable(env, {
        __index = function(_, name)
            error("unknown global '" .. tostring(name) .. "'", 2)
        end,
    })
    return setmetatable({}, {
        __index = env,
        __newindex = function(_, name)
            error("a package must not write the global '" .. tostring(name) .. "'", 2)
        end,
        __metatable = false,
    })
end

local function compile(source, path)
    local text = source.read(path)
    if not text then
        return nil
    end
    if #text > max_source then
        refuse(path, nil, nil, "is larger than 256 KiB")
    end
    local chunk, message = load(text, "@" .. path, "t", source.env)
    if not chunk then
        local line = message:match(":(%d+):")
        refuse(path, tonumber(line), nil, (message:gsub("^.-:%d+: ", "")))
    end
    return chunk, text
end

--- One package while it is loaded: its environment, and the files that were read for it.
---@class tael.channel.Source
---@field folder string with a slash at its end
---@field read fun(path: string): string?
---@field name string
---@field env table
---@field files { path: string, text: string }[] in the order they were read
---@field loaded table<string, any> by module

local loading = {} -- stands for a module that has begun and not ended

--- A file of the package's own, run.
local function require_file(source, wanted)
    local own = "^channels%." .. source.name .. "%.([a-z][a-z0-9_]*)$"
    local file = type(wanted) == "string" and wanted:match(own)
    if not file then
        error("module '" .. tostring(wanted) .. "' is not for channel packages", 3)
    end
    local path = source.folder .. file .. ".lua"
    local chunk, text = compile(source, path)
    if not chunk then
        error("module '" .. wanted .. "' was not found", 3)
    end
    source.files[#source.files + 1] = { path = path, text = text }
    source.loaded[wanted] = loading
    return chunk()
end

--- The require of one package: allowed modules, and its own files, each loaded once.
local function open_source(folder, name, read_text)
    local source = { folder = folder .. name .. "/", name = name, read = read_text, files = {}, loaded = {} }
    local loaded = source.loaded
    source.require = function(wanted)
        local value = loaded[wanted]
        if value == loading then
            error("module '" .. wanted .. "' requires itself", 2)
        elseif value == nil then
            value = modules[wanted] and modules[wanted]()
            if value == nil then
                value = require_file(source, wanted)
            end
            value = value == nil and true or value
            loaded[wanted] = value
        end
        return value
    end
    source.env = environment(source.require)
    return source
end

-- ---- where a fault is ----

--- Where a field is written in this text: each part of its path is sought after the one before. nil when it
--- is not (made by a loop, or in another file).
---@return integer? line of the last part that was found
---@return boolean whole all parts were
local function line_of(text, path)
    local at, found, whole = 1, nil, true
    for part in path:gmatch("[^.]+") do
        local plain = part:gsub("%W", "%%%0")
        local from, to = text:find("%f[%w_]" .. plain .. "%f[^%w_][%]\"']*%s*=", at)
        if not from then
            whole = false
            break
        end
        at, found = to + 1, from
    end
    if not found then
        return nil, false
    end
    local _, breaks = text:sub(1, found):gsub("\n", "")
    return breaks + 1, whole
end

--- The file and line where a field of the manifest is written. A table that init.lua requires begins in
--- another file, without its name.
local function place_of(source, field)
    local init = source.files[1]
    local line, whole = line_of(init.text, field)
    if whole then
        return init.path, line
    end
    local inner = field:match("%.(.+)$") or field
    for i = 2, #source.files do
        local there, found = line_of(source.files[i].text, inner)
        if found then
            return source.files[i].path, there
        end
    end
    return init.path, line
end

--- What a file raised, with the innermost place in the package that led there.
local function raised(source, err)
    if getmetatable(err) == script_error then
        return err
    end
    local text = type(err) == "string" and err or ("raised a " .. type(err))
    for level = 2, 200 do
        local frame = debug.getinfo(level, "Sl")
        if not frame then
            break
        end
        local path = frame.source:match("^@(.*)$")
        if path and frame.currentline > 0 and path:sub(1, #source.folder) == source.folder then
            return refusal(path, frame.currentline, nil, (text:gsub("^[^\n]-:%d+: ", "", 1)))
        end
    end
    return refusal(source.folder .. "init.lua", nil, nil, text)
end

local function load_package(source)
    local name, path = source.name, source.folder .. "init.lua"
    local chunk, text = compile(source, path)
    if not chunk then
        return nil
    end
    source.files[1] = { path = path, text = text }
    local package, faults, fault
    local function run()
        package = chunk()
        faults = manifest.check(package, name)
    end
    local ended, err = script.bounded(function()
        xpcall(run, function(raw) fault = raised(source, raw) end)
    end)
    if fault or not ended then
        error(fault or err, 0)
    elseif #faults > 0 then
        local first = faults[1]
        local more = #faults > 1 and (" (and " .. #faults - 1 .. " more)") or ""
        local file, line = place_of(source, first.field)
        refuse(file, line, first.field, first.message .. more)
    end
    return package
end

---@param name string
---@return boolean
function loader.is_name(name)
    return name:find("^[a-z][a-z0-9]*$") ~= nil and #name >= 2 and #name <= 16
end

--- A package of these texts. Raises as indexing the packages of a folder does.
---@param name string
---@param files table<string, string> by path: "init.lua"
---@return tael.channel.Package? package nil: there is no init.lua
function loader.package(name, files)
    local folder = "channels/" .. name .. "/"
    return load_package(open_source("channels/", name, function(path)
        return files[path:sub(#folder + 1)]
    end))
end

--- The packages of a scripts folder by name, each loaded when it is first asked for; nil when there is no
--- such file. Indexing raises {code="script_refused", message, file, line?, field?} for a broken package.
---@param folder string
---@return table<string, tael.channel.Package>
function loader.load(folder)
    return setmetatable({}, {
        __index = function(packages, name)
            if type(name) ~= "string" or not loader.is_name(name) then
                return nil
            end
            local package = load_package(open_source(folder .. "/channels/", name, read))
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
    return open_source(folder .. "/channels/", name, read).require(module)
end

return loader
