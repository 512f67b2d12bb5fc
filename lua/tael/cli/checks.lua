--- What tael doctor looks at, one function a line. Each gets the call and what the checks before it have
--- seen, and gives its verdict.
local configuration = require "tael.cli.configuration"
local crypto = require "tael.crypto"
local keyring = require "tael.cli.keyring"
local loader = require "tael.channel.loader"
local machine = require "tael.machine"
local plan_of = require "tael.config.plan"
local places = require "tael.cli.places"
local script_checks = require "tael.cli.script_checks"
local settings = require "tael.cli.settings"
local text = require("tael.cli.texts").of
local time = require "tael.time"

local checks = {}

local EARLIEST = 1767225600000 -- 2026-01-01: no clock that is right is before it
local BACKWARDS_MS = 2000
local OFFSET_MS = 500          -- more than this and signed times are doubted
local DAY_MS = 86400000
local ACCOUNTS_SHOWN = 10

---@class tael.cli.Check
---@field verdict "ok"|"warn"|"fail"
---@field detail string
---@field next string?
---@field more string[]? further lines

local ok, warn, fail = places.ok, places.warn, places.fail

function checks.config(call)
    if not call.config then
        return fail(call.config_error.message, text "config.wrong.next")
    end
    local listeners, err = plan_of.listeners(call.config)
    if not listeners then
        return fail(err.message, text "config.wrong.next")
    end
    local file = call.options.config_path or text "config.no_file"
    return ok(call.config.dev and text("doctor.config_dev", { file = file }) or file)
end

--- What the running engine says of itself; nothing when none runs.
local function ask_engine(call)
    local health = call.client:request("GET", "/readyz", { accept = { [503] = true }, any_merchant = true })
    if not health then
        return nil
    end
    return health, call.client:request("GET", "/v1/system", { any_merchant = true })
end

function checks.engine(call, seen)
    if call.pass.store ~= "owned" then
        return ok(text "doctor.engine_none")
    end
    local health, system = ask_engine(call)
    seen.health, seen.system = health, system
    if not health then
        return fail(text("doctor.engine_silent", { socket = settings.socket(call.config) }),
            text "doctor.engine_silent.next")
    end
    for _, check in ipairs(health.checks) do
        if not check.ok then
            return fail(text("doctor.engine_not_ready", { name = check.name, detail = check.detail }),
                text "doctor.log.next")
        end
    end
    return ok(text("doctor.engine_ready", { version = system and system.version or "?" }))
end

checks.ports, checks.tls, checks.disk = places.ports, places.tls, places.disk
checks.scripts = script_checks.check

-- ---- keys ----

local function next_for_missing(seen)
    return seen.has_store and text "doctor.secrets_lost.next" or "tael keys generate"
end

local function next_for_folder(config, err, seen)
    if err.code == "not_found" then
        return next_for_missing(seen)
    elseif err.message:find("another user", 1, true) then
        return text("doctor.folder_owner.next", { folder = config.keys.folder })
    elseif err.code == "forbidden" then
        return "chmod -R u=rwX,go= " .. config.keys.folder
    end
    return text "doctor.folder.next"
end

--- Names of the engine's own secrets that are not there.
local function missing_secrets()
    local missing = {}
    for _, name in ipairs(keyring.OWN) do
        local about, wrong = keyring.secret(name)
        if not about and wrong.code ~= "not_found" then
            return nil, wrong.message
        end
        missing[#missing + 1] = not about and name or nil
    end
    return missing
end

--- Those that run; where none of the store does, the folder's. Loaded once for all checks.
local function packages_of(call, seen)
    seen.channels = seen.channels or loader.load(call.config.scripts.channels)
    return seen.channels
end

--- Age of the oldest key pair of an account, in days.
local function oldest_pair(config, packages)
    local oldest, oldest_name
    for _, found in ipairs(settings.accounts(config)) do
        for _, key in ipairs(keyring.of_account(found.account, packages)) do
            local file = key.use == "sign" and machine.file(config.keys.folder .. "/" .. key.name .. ".key")
            if file and (not oldest or file.modified < oldest) then
                oldest, oldest_name = file.modified, key.name
            end
        end
    end
    return oldest and (time.now() - oldest) // DAY_MS, oldest_name
end

function checks.keys(call, seen)
    local config = call.config
    local opened, err = keyring.open(config)
    seen.keys = opened
    if not opened and err.code == "not_found" and config.dev and not seen.has_store then
        return ok(text("doctor.folder_new", { folder = config.keys.folder }))
    elseif not opened then
        return fail(err.message, next_for_folder(config, err, seen))
    end
    local missing, wrong = missing_secrets()
    if not missing then
        return fail(wrong, text "doctor.secret_damaged.next")
    elseif #missing > 0 then
        return fail(text("doctor.secrets_missing", { folder = config.keys.folder,
            names = table.concat(missing, ", ") }), next_for_missing(seen))
    end
    local other = call.pass.store == "open" and require("tael.kernel.own_secrets").compare()
    if other then
        return fail(text("doctor.secret_other", { name = other.name }), text "doctor.secrets_lost.next")
    end
    local days, name = oldest_pair(config, packages_of(call, seen))
    if not days then
        return ok(config.keys.folder)
    end
    return ok(text("doctor.keys_age", { folder = config.keys.folder, name = name, days = days }))
end

-- ---- channels ----

--- A key that an account names and that is not there or cannot be used. Deep: all of it is looked at.
local function missing_key(call, found, packages)
    for _, key in ipairs(keyring.of_account(found.account, packages)) do
        local handle, err, _
        if key.kind == "secret" then
            _, err = crypto.secret(key.name)
        else
            handle, err = crypto.key(key.name, { use = key.use or "sign" })
        end
        if handle and call.flags.deep then
            _, err = handle:check()
        end
        if err then
            return ("%s/%s: %s '%s': %s"):format(found.account.channel, found.slug, key.field, key.name,
                err.message)
        end
    end
end

function checks.channels(call, seen)
    local config = call.config
    local accounts = settings.accounts(config)
    if #accounts == 0 then
        return fail(text "doctor.no_account", text "doctor.no_account.next")
    end
    local packages = packages_of(call, seen)
    local wrong = configuration.wrong_account(config, packages)
    if wrong then
        return fail(wrong, text "doctor.account.next")
    end
    local names = {}
    for i, found in ipairs(accounts) do
        wrong = seen.keys and missing_key(call, found, packages)
        if wrong then
            return fail(wrong, text("doctor.account_key.next", { folder = config.keys.folder }))
        end
        names[i] = found.account.channel .. "/" .. found.slug
    end
    local shown = table.concat(names, "  ", 1, math.min(#names, ACCOUNTS_SHOWN))
    return ok(#names <= ACCOUNTS_SHOWN and shown
        or text("doctor.more_accounts", { names = shown, count = #names - ACCOUNTS_SHOWN }))
end

-- ---- store ----

local function store_of_engine(seen)
    for _, check in ipairs(seen.health and seen.health.checks or {}) do
        if check.name == "store" then
            return check.ok and ok(text("doctor.store_engine", { detail = check.detail }))
                or fail(check.detail, text "doctor.log.next")
        end
    end
    return warn(text "doctor.store_silent")
end

local function refused_store(config, refused)
    local next_steps = {
        store_behind = "tael migrate", store_newer = text "doctor.store_newer.next",
        store_locked = text "doctor.store_locked.next", store_file = text "doctor.disk.next",
        store_lock = text "doctor.disk.next", store_linked = text "doctor.store_linked.next",
    }
    return fail(settings.store_message(config, refused), next_steps[refused.code]
        or text "doctor.store_damaged.next")
end

function checks.store(call, seen)
    local kind, config = call.pass.store, call.config
    if kind == "owned" then
        return store_of_engine(seen)
    elseif kind == "refused" then
        return refused_store(config, call.store_error)
    elseif kind == "memory" then
        return ok(text "doctor.store_memory")
    elseif kind == "new" and config.store.migrate == "manual" then
        return warn(text("doctor.store_absent", { path = config.store.path }), "tael migrate")
    elseif kind == "new" then
        return ok(text("doctor.store_new", { path = config.store.path }))
    end
    return ok(text("doctor.store_ok", { schema = require("tael.store").info().schema,
        path = config.store.path }))
end

-- ---- clock ----

--- How far the clock is behind the newest entry of the store, when this command has opened it.
local function behind_ms(call, now)
    if call.pass.store ~= "open" then
        return 0
    end
    local store = require "tael.store"
    return store.id_ms(store.next_id()) - now
end

function checks.clock(call)
    local now = time.now()
    local behind = behind_ms(call, now)
    if now < EARLIEST then
        return fail(text("doctor.clock_wrong", { now = time.rfc3339(now) }), text "doctor.clock.next")
    elseif behind > BACKWARDS_MS and call.config.dev then
        return ok(text("doctor.clock_ahead", { seconds = behind // 1000 }))
    elseif behind > BACKWARDS_MS then
        return fail(text("doctor.clock_behind", { seconds = behind // 1000 }),
            text "doctor.clock_behind.next")
    end
    local told = machine.clock()
    local offset = told and math.abs(told.offset_us) // 1000
    if not told or not told.synchronised then
        return warn(text("doctor.clock_alone", { now = time.rfc3339(now) }), text "doctor.clock.next")
    elseif offset > OFFSET_MS then
        return warn(text("doctor.clock_offset", { ms = offset }), text "doctor.clock.next")
    end
    return ok(text("doctor.clock_offset", { ms = offset }))
end

-- ---- conversions ----

local GCONV = {
    "/usr/lib/x86_64-linux-gnu/gconv", "/usr/lib/aarch64-linux-gnu/gconv", "/usr/lib/gconv",
    "/usr/lib/riscv64-linux-gnu/gconv", "/usr/lib/i386-linux-gnu/gconv", "/usr/lib64/gconv",
}

--- Nothing needs it yet that handles money: bills and old merchants' messages come in GB18030.
function checks.gconv()
    for _, folder in ipairs(GCONV) do
        if settings.exists(folder .. "/GB18030.so") then
            return ok "GBK, GB18030"
        end
    end
    return warn(text "doctor.gconv", "apt install libc-bin")
end

--- An engine loads it with the first call to a channel.
function checks.libcurl()
    local version, err = machine.libcurl()
    if not version then
        return fail(err.message, "apt install libcurl4")
    end
    return ok(version)
end

return checks
