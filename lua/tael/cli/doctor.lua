--- tael doctor: everything that has to be right before money is taken, one line a check, each failing
--- one with what to do. Looks through a running engine where there is one, and into the store itself
--- where there is none.
local configuration = require "tael.cli.configuration"
local crypto = require "tael.crypto"
local deep = require "tael.cli.deep"
local exits = require "tael.cli.exits"
local json = require "tael.json"
local keyring = require "tael.cli.keyring"
local plan_of = require "tael.config.plan"
local screen = require "tael.cli.screen"
local settings = require "tael.cli.settings"
local time = require "tael.time"

local doctor = {
    name = "doctor", usage = "", min = 0, max = 0, any_config = true, asks = true,
    summary = "checks configuration, keys, channels, store, clock and disk; exits 1 when one fails",
    options = {
        deep = { doc = "every chain and seal, every row against its events, every page of the file" },
    },
}

local EARLIEST = 1767225600000 -- 2026-01-01: no clock that is right is before it
local BACKWARDS_MS = 2000

--- The store is opened by this command only when no engine owns it, and never made.
function doctor.plan(plan, config, about)
    if config.store.path == ":memory:" then
        plan.pass.store = "memory"
    elseif settings.listens(settings.socket(config)) then
        plan.pass.store = "owned"
    elseif about.store_error then
        plan.pass.store = "refused"
    elseif not settings.exists(config.store.path) then
        plan.pass.store = "new"
    else
        plan.pass.store = "open"
        plan.store = plan_of.store(config, about.lua_root, false)
        plan.store.sql[#plan.store.sql + 1] = about.lua_root .. "/tael/cli/doctor.sql"
    end
end

---@class tael.cli.Check
---@field verdict "ok"|"warn"|"fail"
---@field detail string
---@field next string?
---@field more string[]? further lines

local function ok(detail)
    return { verdict = "ok", detail = detail }
end

local function warn(detail, next_step)
    return { verdict = "warn", detail = detail, next = next_step }
end

local function fail(detail, next_step)
    return { verdict = "fail", detail = detail, next = next_step }
end

-- ---- one function for each line ----

local checks = {}

function checks.config(call)
    if not call.config then
        return fail(call.config_error.message, "correct the file; tael config check says whether it is right")
    end
    local mode = call.config.dev and ", development mode" or ""
    return ok((call.options.config_path or "no file, defaults") .. mode)
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
        return ok("not running")
    end
    local health, system = ask_engine(call)
    seen.health = health
    if not health then
        return fail("it listens on " .. settings.socket(call.config) .. " and does not answer",
            "look at its log; stop it with SIGTERM and start it again")
    end
    for _, check in ipairs(health.checks) do
        if not check.ok then
            return fail(("not ready: %s: %s"):format(check.name, check.detail), "look at the engine's log")
        end
    end
    local version = system and system.version or "?"
    return ok("running, version " .. version .. ", ready")
end

local function next_for_folder(config, err)
    if err.code == "not_found" then
        return "tael keys generate"
    elseif err.message:find("another user", 1, true) then
        return "give the folder to the user that runs Tael: chown -R USER " .. config.keys.folder
    elseif err.code == "forbidden" then
        return "chmod -R u=rwX,go= " .. config.keys.folder
    end
    return "correct keys.folder or keys.master in tael.lua"
end

function checks.keys(call, seen)
    local config = call.config
    local opened, err = keyring.open(config)
    seen.keys = opened
    if not opened then
        return fail(err.message, next_for_folder(config, err))
    end
    local missing = {}
    for _, name in ipairs(keyring.OWN) do
        local about, wrong = keyring.secret(name)
        if not about and wrong.code ~= "not_found" then
            return fail(wrong.message, "put the right file back: a new one would not fit the store")
        end
        missing[#missing + 1] = not about and name or nil
    end
    if #missing > 0 then
        return fail(("%s: no secret %s"):format(config.keys.folder, table.concat(missing, ", ")),
            seen.has_store and "put the files back from a backup: new ones would not fit the store"
                or "tael keys generate")
    end
    return ok(config.keys.folder)
end

--- A key that an account names and that is not there or cannot be used.
local function missing_key(config, found)
    for _, key in ipairs(keyring.of_account(config, found.account)) do
        local handle, err
        if key.kind == "secret" then
            handle, err = crypto.secret(key.name)
        else
            handle, err = crypto.key(key.name, { use = key.use or "sign" })
        end
        if not handle then
            return ("%s/%s: %s '%s': %s"):format(found.account.channel, found.slug, key.field, key.name,
                err.message)
        end
    end
end

function checks.channels(call, seen)
    local config = call.config
    local accounts = settings.accounts(config)
    if #accounts == 0 then
        return warn("no account is configured", "add one under merchants in tael.lua")
    end
    local wrong = configuration.wrong_account(config)
    if wrong then
        return fail(wrong, "correct the account, or scripts/channels")
    end
    local names = {}
    for i, found in ipairs(accounts) do
        wrong = seen.keys and missing_key(config, found)
        if wrong then
            return fail(wrong, "tael keys generate NAME for our own keys; put the channel's public key into "
                .. config.keys.folder .. "/NAME.pub")
        end
        names[i] = found.account.channel .. "/" .. found.slug
    end
    return ok(table.concat(names, "  "))
end

local function store_of_engine(seen)
    for _, check in ipairs(seen.health and seen.health.checks or {}) do
        if check.name == "store" then
            return check.ok and ok(check.detail .. ", asked through the engine") or fail(check.detail,
                "look at the engine's log")
        end
    end
    return warn("owned by an engine that does not answer")
end

local function refused_store(config, refused)
    local next_steps = {
        store_behind = "tael migrate", store_newer = "use the version of Tael that made it, or a newer one",
        store_locked = "stop the process that uses it",
    }
    return fail(settings.store_message(config, refused), next_steps[refused.code]
        or "keep a copy of the file before you try anything; then compare with a backup")
end

function checks.store(call, seen)
    local kind, config = call.pass.store, call.config
    if kind == "owned" then
        return store_of_engine(seen)
    elseif kind == "refused" then
        return refused_store(config, call.store_error)
    elseif kind == "memory" then
        return ok("in memory, gone with the process")
    elseif kind == "new" then
        if config.store.migrate == "manual" then
            return warn(config.store.path .. " is not there yet", "tael migrate    makes it")
        end
        return ok(config.store.path .. " is not there yet and will be made")
    end
    return ok(("sqlite, schema %d, %s"):format(require("tael.store").info().schema, config.store.path))
end

function checks.clock(call)
    local now = time.now()
    if now < EARLIEST then
        return fail("it says " .. time.rfc3339(now), "set it; chrony or systemd-timesyncd keep it right")
    elseif call.pass.store == "open" then
        local store = require "tael.store"
        local ahead = store.id_ms(store.next_id()) - now
        if ahead > BACKWARDS_MS then
            return fail(("it is %d s behind the newest entry of the store"):format(ahead // 1000),
                "set it before you start the engine")
        end
    end
    return ok(time.rfc3339(now))
end

function checks.disk(call)
    local folder = call.config.data
    if not settings.exists(folder) then
        return ok(folder .. " is not there yet and will be made")
    end
    local path = ("%s/.doctor-%s"):format(folder, crypto.hex.encode(crypto.random(6)))
    local file, reason = io.open(path, "wb")
    local written = file and file:write(("\0"):rep(65536)) and file:close()
    os.remove(path)
    if not written then
        return fail(("cannot write into %s: %s"):format(folder, reason or "the disk is full"),
            "give the folder to the user that runs Tael, or make room")
    end
    return ok(folder .. " is writable")
end

local GCONV = {
    "/usr/lib/x86_64-linux-gnu/gconv", "/usr/lib/aarch64-linux-gnu/gconv", "/usr/lib/gconv",
    "/usr/lib/riscv64-linux-gnu/gconv", "/usr/lib/i386-linux-gnu/gconv", "/usr/lib64/gconv",
}

--- Nothing needs it yet that handles money: bills and old merchants' messages come in GB18030.
function checks.gconv()
    for _, folder in ipairs(GCONV) do
        if settings.exists(folder .. "/GB18030.so") then
            return ok("GBK, GB18030")
        end
    end
    return warn("no conversion of GBK and GB18030 is installed (optional)")
end

-- ---- all of them ----

local NAMES = { "config", "engine", "keys", "channels", "store", "clock", "disk", "gconv" }
local WITHOUT_CONFIG = { config = true, gconv = true }

local function print_check(call, name, check)
    if call.json then
        screen.object {
            name = name, verdict = check.verdict, detail = check.detail, next = check.next or json.null,
            differences = json.array(check.more or {}),
        }
        return
    end
    screen.line(("%-4s %-9s %s"):format(check.verdict, name, check.detail))
    for _, line in ipairs(check.more or {}) do
        screen.line("               " .. line)
    end
    if check.next then
        screen.line("next: " .. check.next)
    end
end

local function run_one(name, check, call, seen)
    local ran, result = pcall(check, call, seen)
    if not ran then
        local message = type(result) == "table" and result.message or tostring(result)
        result = fail("the check itself failed: " .. message, "report this with the whole output")
    end
    print_check(call, name, result)
    return result.verdict ~= "fail"
end

function doctor.run(call)
    local seen = { has_store = call.pass.store ~= "new" and call.pass.store ~= "memory" }
    local good = true
    for _, name in ipairs(NAMES) do
        if call.config or WITHOUT_CONFIG[name] then
            good = run_one(name, checks[name], call, seen) and good
        end
    end
    if call.flags.deep and call.config then
        for _, result in ipairs(deep.checks(call)) do
            print_check(call, result.name, result)
            good = good and result.verdict ~= "fail"
        end
    end
    return good and exits.done or exits.no
end

return doctor
