--- tael.lua: one Lua file that returns a table, checked against config/schema.lua.
--- 1 A key that is not in the schema is refused, with the nearest name, file and line. 2 Precedence: command
--- line, environment (TAEL_HTTP__LISTEN), file, default. 3 What comes out is plain data: durations in ms,
--- paths absolute; secrets stay references until config.secret reads one.
local crypto = require "tael.crypto"
local environment = require "tael.config.environment"
local file_of = require "tael.config.file"
local merchants_of = require "tael.config.merchants"
local place = require "tael.config.place"
local schema = require "tael.config.schema"
local values = require "tael.config.values"

local config = {}

local SECRET_MAX = 4096

local child, fail, refuse, sorted_names = place.child, place.fail, place.refuse, place.sorted_names

-- ---- the tree of keys ----

--- {http = {listen = key, limits = {head = key, …}}, …}; keys are rows, branches have no type.
local function make_tree()
    local tree = { merchants = { type = "map" } }
    for _, key in ipairs(schema.list) do
        local at = tree
        local branch, leaf = key.name:match("^(.*)%.([^.]+)$")
        for part in (branch or ""):gmatch("[^.]+") do
            at[part] = at[part] or {}
            at = at[part]
        end
        at[leaf or key.name] = key
    end
    return tree
end

local tree = make_tree()

--- Refuses what the tree does not know; values themselves are checked afterwards.
local function check_names(context, given, known, path)
    for _, name in ipairs(sorted_names(given)) do
        local row, at = known[name], child(path, name)
        if not row then
            return place.refuse_unknown(context, at, known)
        elseif not row.type then
            if type(given[name]) ~= "table" or getmetatable(given[name]) == false then
                return refuse(context, "config_wrong_value", at, "must be a table")
            end
            local fits, err = check_names(context, given[name], row, at)
            if not fits then
                return nil, err
            end
        end
    end
    return true
end

local function parts_of(name)
    local parts = {}
    for part in name:gmatch("[^.]+") do
        parts[#parts + 1] = part
    end
    return parts
end

local function given_value(given, parts)
    local at = given
    for i = 1, #parts - 1 do
        at = at[parts[i]]
        if at == nil then
            return nil
        end
    end
    return at[parts[#parts]]
end

local function set_value(out, parts, value)
    local at = out
    for i = 1, #parts - 1 do
        at[parts[i]] = at[parts[i]] or {}
        at = at[parts[i]]
    end
    at[parts[#parts]] = value
end

--- The value that counts for a key, and where it comes from.
local function chosen(context, given, out, key, parts)
    if key.name == "dev" and context.dev then
        return true, "--dev"
    end
    local variable = schema.variable(key.name)
    local text = key.type ~= "secret" and context.getenv(variable) or nil
    if text ~= nil then
        return values.read(key, text), variable
    end
    local value = given_value(given, parts)
    if value ~= nil then
        return value, "file"
    elseif type(key.default) == "function" then
        return key.default(out, context), "default"
    end
    return key.default, "default"
end

local function check_values(context, given)
    local out = { origin = {} }
    for _, key in ipairs(schema.list) do
        local parts = parts_of(key.name)
        local value, origin = chosen(context, given, out, key, parts)
        if value ~= nil then
            local normal, wrong = values.check(key, value, context)
            if normal == nil and origin == "file" then
                return refuse(context, "config_wrong_value", parts, wrong)
            elseif normal == nil then
                local what = origin == "default"
                    and ("%s: its default does not do here: %s "):format(key.name,
                        (tostring(value):gsub("%c", "?"))) or origin .. ": "
                return fail("config_wrong_value", what .. wrong)
            end
            set_value(out, parts, normal)
        end
        out.origin[key.name] = origin
    end
    return out
end

-- ---- rules across keys ----

local function is_loopback(address)
    return address:find("^127%.") ~= nil or address:find("^localhost:") ~= nil
        or address:find("^%[::1%]:") ~= nil
end

local function listeners(out)
    local list = {}
    for _, address in ipairs(out.http.listen) do
        list[#list + 1] = { "http.listen", address }
    end
    if out.operations.listen then
        list[#list + 1] = { "operations.listen", out.operations.listen }
    end
    list[#list + 1] = { "sandbox.listen", out.sandbox.listen }
    return list
end

local function check_together(context, out)
    local open_to_all = false
    for _, listener in ipairs(listeners(out)) do
        local name, address = listener[1], listener[2]
        if not is_loopback(address) and out.dev then
            return refuse(context, "config_wrong_value", parts_of(name),
                address .. " is not a loopback address; dev mode is for this machine alone")
        end
        open_to_all = open_to_all or name == "http.listen" and not is_loopback(address)
    end
    local tls = out.http.tls or {}
    if (tls.cert == nil) ~= (tls.key == nil) then
        return refuse(context, "config_missing_key", { "http", "tls" }, "needs both cert and key")
    end
    if open_to_all and out.origin["http.public_url"] == "default" then
        return refuse(context, "config_missing_key", { "http", "public_url" },
            "must be set when http.listen is not a loopback address: channels send notifications there")
    end
    return out
end

-- ---- normal form ----

--- Channel packages lie in this folder, or where Tael was installed.
local function with_channels(folder, lua_root)
    local installed = lua_root and (lua_root:gsub("/[^/]+/?$", "")) .. "/scripts"
    return not file_of.exists(folder .. "/channels") and installed or folder
end

--- A folder that somebody has named is there.
local function check_folder(context, out)
    local origin, folder = out.origin["scripts.folder"], out.scripts.folder
    if origin == "default" or file_of.exists(folder) then
        return true
    elseif origin == "file" then
        return refuse(context, "config_wrong_value", { "scripts", "folder" }, "no such folder: " .. folder)
    end
    return fail("config_wrong_value", origin .. ": no such folder: " .. folder)
end

--- What others use, in the units they use.
local function finish(out, lua_root)
    out.scripts.channels = with_channels(out.scripts.folder, lua_root)
    local file = out.store.url:match("^sqlite:(.*)$")
    if file and file:sub(1, 1) ~= "/" then
        file = out.data .. "/" .. file
    end
    out.store.path = file or ":memory:"
    out.store.cache_kib = out.store.cache_mib and out.store.cache_mib * 1024
    out.notifications.ring_bytes = out.notifications.ring_mib * 1048576
    return out
end

local function cores()
    local file = io.open("/sys/devices/system/cpu/online", "rb")
    local text = file and file:read(256) or ""
    if file then
        file:close()
    end
    local count = 0
    for range in text:gmatch("[^,%s]+") do
        local first, last = range:match("^(%d+)%-?(%d*)$")
        if first then
            count = count + (tonumber(last) or tonumber(first)) - tonumber(first) + 1
        end
    end
    return math.tointeger(math.min(64, math.max(1, count)))
end

local function make_context(options)
    local root = options.root or "."
    local env = options.env
    return {
        root = root,
        dev = options.dev,
        text = options.text,
        file = options.path or "tael.lua",
        getenv = env and function(name) return env[name] end or os.getenv,
        asked = {},
        read = {},
        cores = cores(),
        scripts = with_channels(root .. "/scripts", options.lua_root),
    }
end

---@class tael.config.Options
---@field path string?      tael.lua; neither path nor text: all values are defaults
---@field at string?        where that is read, if not relative to where the process stands
---@field text string?      in place of the file
---@field root string?      base of relative paths
---@field lua_root string?  folder of Tael's own Lua
---@field dev boolean?      true: as if the file said so
---@field env table<string, string>?  in place of the process's environment

local function digest_of(text)
    return text and crypto.hex.encode(crypto.digest("sha256", text)) or ""
end


--- What the file says; nothing when there is none.
local function given_of(context, options)
    if not context.text and options.path then
        local reason
        context.text, reason = file_of.source(options.at or options.path)
        if not context.text then
            return fail("config_not_found", reason)
        end
    end
    if not context.text then
        return {}
    end
    context.plain = place.without_comments(context.text)
    return file_of.evaluate(context)
end

--- Reads and checks a configuration.
---@param options tael.config.Options
---@return table? config
---@return table? err {code, message} message names file, line and key
function config.load(options)
    local context = make_context(options)
    local given, err = given_of(context, options)
    if not given then
        return nil, err
    end
    local fits
    fits, err = environment.check(options.env, context.asked)
    if fits then
        fits, err = check_names(context, given, tree, {})
    end
    if not fits then
        return nil, err
    end
    local out
    out, err = check_values(context, given)
    if not out then
        return nil, err
    end
    if given.merchants ~= nil and type(given.merchants) ~= "table" then
        return refuse(context, "config_wrong_value", { "merchants" }, "must be a table")
    end
    out.merchants, err = merchants_of.check(context, given.merchants or {})
    if not out.merchants then
        return nil, err
    end
    fits, err = check_folder(context, out)
    if not fits then
        return nil, err
    end
    out, err = check_together(context, out)
    if not out then
        return nil, err
    end
    if out.dev then
        require("tael.config.demo").add(out)
    end
    out.digest, out.reads = digest_of(context.text), {}
    for path, text in pairs(context.read) do
        out.reads[path] = digest_of(text)
    end
    return finish(out, options.lua_root)
end

--- Would the same be read again? An environment does not change in a running program.
---@param options tael.config.Options as it was loaded
---@param loaded table config
---@return boolean
function config.unchanged(options, loaded)
    local text = options.text or options.path and file_of.source(options.at or options.path)
    for path, digest in pairs(loaded.reads) do
        if digest_of(file_of.source(path)) ~= digest then
            return false
        end
    end
    return digest_of(text) == loaded.digest
end

--- The value behind a reference. Its place is named in errors, never the value.
---@param ref { secret: "file"|"env", at: string }
---@return string? value
---@return table? err {code, message}
function config.secret(ref)
    local text, reason
    if ref.secret == "file" then
        text, reason = file_of.read(ref.at, SECRET_MAX)
    else
        text = os.getenv(ref.at)
        reason = "the environment variable " .. ref.at .. " is not set"
    end
    if not text then
        return fail("secret_not_found", reason)
    end
    return (text:gsub("\r?\n$", ""))
end

return config
