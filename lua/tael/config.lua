--- tael.lua: one Lua file that returns a table, checked against config/schema.lua.
--- 1 A key that is not in the schema is refused, with the nearest name, file and line. 2 Precedence: command
--- line, environment (TAEL_HTTP__LISTEN), file, default. 3 What comes out is plain data: durations in ms,
--- paths absolute; secrets stay references until config.secret reads one.
local nearest = require "tael.nearest"
local schema = require "tael.config.schema"
local values = require "tael.config.values"

local config = {}

local SOURCE_MAX = 256 * 1024
local SECRET_MAX = 4096

local function fail(code, message)
    return nil, { code = code, message = message }
end

local function read_file(path, max)
    local file, reason = io.open(path, "rb")
    if not file then
        return nil, reason
    end
    local text = file:read(max + 1)
    file:close()
    if text and #text > max then
        return nil, path .. ": is larger than " .. max .. " bytes"
    end
    return text or ""
end

local function exists(path)
    local file = io.open(path, "rb")
    if file then
        file:close()
    end
    return file ~= nil
end

-- ---- the file's own environment ----

local function reference(kind)
    return function(at)
        if type(at) ~= "string" or at == "" then
            error("secret." .. kind .. " needs a name", 2)
        end
        return setmetatable({ secret = kind, at = at }, values.SECRET)
    end
end

local function environment(context)
    return {
        env = function(name, default)
            local text = context.getenv(name)
            if text == nil and default == nil then
                error("the environment variable " .. tostring(name) .. " is not set", 2)
            end
            return text == nil and default or text
        end,
        file = function(path)
            local text, reason = read_file(values.check({ type = "path" }, path, context), SOURCE_MAX)
            if not text then
                error(reason, 2)
            end
            return (text:gsub("\r?\n$", ""))
        end,
        secret = { file = reference "file", env = reference "env" },
    }
end

local function evaluate(context)
    local chunk, message = load(context.text, "@" .. context.file, "t", environment(context))
    if not chunk then
        return fail("config_syntax", message)
    end
    local ran, result = pcall(chunk)
    if not ran then
        return fail("config_failed", tostring(result))
    elseif type(result) ~= "table" then
        return fail("config_failed", context.file .. ": must return a table")
    end
    return result
end

-- ---- where a key stands, for messages ----

--- Comments as blanks of the same length, so that a name in one is not taken for a key.
local function without_comments(text)
    local function blank(comment)
        return (comment:gsub("[^\n]", " "))
    end
    return (text:gsub("%-%-%[%[.-%]%]", blank):gsub("%-%-[^\n]*", blank))
end

--- The line of the last part of a path, each part sought after the one before; nil when it is not found.
local function line_of(text, path)
    local at, found = 1, nil
    for _, part in ipairs(path) do
        local plain = tostring(part):gsub("%W", "%%%0")
        local from, to = text:find("%f[%w_]" .. plain .. "[\"']?%]?%s*=%f[^=]", at)
        if not from then
            return nil
        end
        at, found = to, from
    end
    local _, breaks = text:sub(1, found):gsub("\n", "")
    return breaks + 1
end

local function where(context, path)
    local line = context.plain and line_of(context.plain, path)
    return line and context.file .. ":" .. line or context.file
end

local function refuse(context, code, path, message)
    return fail(code, ("%s: %s: %s"):format(where(context, path), table.concat(path, "."), message))
end

local function refuse_unknown(context, path, known)
    local name = tostring(path[#path])
    local near = nearest(name, known)
    local parent = #path > 1 and (" in " .. table.concat(path, ".", 1, #path - 1)) or ""
    return fail("config_unknown_key", ("%s: unknown key '%s'%s%s"):format(where(context, path), name, parent,
        near and "; did you mean '" .. near .. "'?" or ""))
end

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

local function sorted_names(map)
    local names = {}
    for name in pairs(map) do
        names[#names + 1] = name
    end
    table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    return names
end

local function child(path, name)
    local longer = table.move(path, 1, #path, 1, {})
    longer[#longer + 1] = tostring(name)
    return longer
end

--- Refuses what the tree does not know; values themselves are checked afterwards.
local function check_names(context, given, known, path)
    for _, name in ipairs(sorted_names(given)) do
        local row, at = known[name], child(path, name)
        if not row then
            return refuse_unknown(context, at, known)
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
                return fail("config_wrong_value", origin .. ": " .. wrong)
            end
            set_value(out, parts, normal)
        end
        out.origin[key.name] = origin
    end
    return out
end

-- ---- merchants ----

local function known_names(rows)
    local known = {}
    for _, row in ipairs(rows) do
        known[row.name] = row
    end
    return known
end

--- Checks the rows of a schema in one table; other names are given back when `open`, refused otherwise.
local function check_rows(context, given, rows, path, open)
    if type(given) ~= "table" then
        return refuse(context, "config_wrong_value", path, "must be a table")
    end
    local out, known = {}, known_names(rows)
    for _, name in ipairs(sorted_names(given)) do
        if not known[name] and not open then
            return refuse_unknown(context, child(path, name), known)
        elseif not known[name] then
            out[name] = given[name]
        end
    end
    for _, row in ipairs(rows) do
        local value = given[row.name]
        if value == nil then
            value = row.default
        end
        if value == nil and row.required then
            return refuse(context, "config_missing_key", path, row.name .. " is missing: " .. row.doc)
        elseif value ~= nil then
            local normal, wrong = values.check(row, value, context)
            if normal == nil then
                return refuse(context, "config_wrong_value", child(path, row.name), wrong)
            end
            out[row.name] = normal
        end
    end
    return out
end

local function check_accounts(context, accounts, path)
    local out = {}
    for _, slug in ipairs(sorted_names(accounts)) do
        local at = child(path, slug)
        if type(slug) ~= "string" or not values.is_account(slug) then
            return refuse(context, "config_wrong_value", at,
                "is not a slug of an account, such as acme-main")
        end
        local account, err = check_rows(context, accounts[slug], schema.account, at, true)
        if not account then
            return nil, err
        end
        out[slug] = account
    end
    return out
end

local function check_merchants(context, merchants)
    local out = {}
    for _, slug in ipairs(sorted_names(merchants)) do
        local at = { "merchants", tostring(slug) }
        if type(slug) ~= "string" or not values.is_merchant(slug) then
            return refuse(context, "config_wrong_value", at,
                "is not a slug of a merchant, such as acme or acme.test")
        end
        local merchant, err = check_rows(context, merchants[slug], schema.merchant, at)
        if not merchant then
            return nil, err
        end
        merchant.accounts, err = check_accounts(context, merchant.accounts, child(at, "accounts"))
        if not merchant.accounts then
            return nil, err
        end
        merchant.policies, err = check_rows(context, merchant.policies, schema.policies,
            child(at, "policies"))
        if not merchant.policies then
            return nil, err
        end
        merchant.name = merchant.name or slug
        out[slug] = merchant
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

--- What others use, in the units they use.
local function finish(out)
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

--- Channel packages lie beside the configuration, or where Tael was installed.
local function scripts_folder(options)
    local own = options.root .. "/scripts"
    if not exists(own) and options.lua_root then
        return (options.lua_root:gsub("/[^/]+/?$", "")) .. "/scripts"
    end
    return own
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
        cores = cores(),
        scripts = scripts_folder { root = root, lua_root = options.lua_root },
    }
end

---@class tael.config.Options
---@field path string?      tael.lua; neither path nor text: all values are defaults
---@field text string?      in place of the file
---@field root string?      base of relative paths
---@field lua_root string?  folder of Tael's own Lua
---@field dev boolean?      true: as if the file said so
---@field env table<string, string>?  in place of the process's environment

--- Reads and checks a configuration.
---@param options tael.config.Options
---@return table? config
---@return table? err {code, message} message names file, line and key
function config.load(options)
    local context = make_context(options)
    local given, err = {}, nil
    if not context.text and options.path then
        local reason
        context.text, reason = read_file(options.path, SOURCE_MAX)
        if not context.text then
            return fail("config_not_found", reason)
        end
    end
    if context.text then
        context.plain = without_comments(context.text)
        given, err = evaluate(context)
    end
    if not given then
        return nil, err
    end
    local fits
    fits, err = check_names(context, given, tree, {})
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
    out.merchants, err = check_merchants(context, given.merchants or {})
    if not out.merchants then
        return nil, err
    end
    out, err = check_together(context, out)
    if not out then
        return nil, err
    end
    if out.dev then
        require("tael.config.demo").add(out)
    end
    return finish(out)
end

--- The value behind a reference. Its place is named in errors, never the value.
---@param ref { secret: "file"|"env", at: string }
---@return string? value
---@return table? err {code, message}
function config.secret(ref)
    local text, reason
    if ref.secret == "file" then
        text, reason = read_file(ref.at, SECRET_MAX)
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
