--- Is this engine fit to take money? One short check for each thing that has to work.
local engine = require "tael.engine"
local refusals = require "tael.scripts.refusals"
local registry = require "tael.kernel.registry"
local secrets = require "tael.kernel.secrets"
local store = require "tael.store"
local time = require "tael.time"

local health = {}

local QUEUE_MAX = 5000
local CLOCK_STEP_MS = 5000
local PROBE_MS = 250

local clock_offset -- wall minus monotonic, at the first check

local function check_store()
    local rows, err = store.query("setting.get", { name = "sealed" })
    return rows ~= nil, rows and "sqlite, schema " .. store.info().schema or "no read: " .. tostring(err
        and err.code)
end

local probed_at -- monotonic

--- A store that lost what was last written is tried: whoever is told to stay away writes nothing that would
--- show that it works again.
local function probe()
    local now = time.monotonic()
    if not probed_at or now - probed_at >= PROBE_MS then
        probed_at = now
        store.commit { { "setting.put", { name = "probe", value = "" } } }
    end
end

local function check_writer()
    if not store.info().healthy then
        probe()
    end
    local info = store.info()
    if not info.healthy then
        return false, "nothing is stored: " .. info.trouble
    end
    return info.queued < QUEUE_MAX, info.queued .. " units waiting"
end

local function check_scripts(public)
    local names = {}
    for _, merchant in ipairs(registry.merchants()) do
        for _, account in ipairs(merchant.accounts) do
            if account.fields and not registry.package(account) then
                return false, "channel " .. account.channel .. " is not loaded"
            end
            names[account.channel] = true
        end
    end
    local list = {}
    for name in pairs(names) do
        list[#list + 1] = name
    end
    table.sort(list)
    local detail = #list > 0 and table.concat(list, " ") or "no channel is used"
    local refused = refusals.list()
    if refused[1] then -- what ran before goes on: this engine is fit
        detail = public and ("%s; refused: %d"):format(detail, #refused)
            or ("%s; refused: %s%s"):format(detail, refused[1].error,
                #refused > 1 and (" (and of %d more)"):format(#refused - 1) or "")
    end
    return true, detail
end

--- A step of the wall clock against the monotonic one, those aside that were asked for.
local function check_clock()
    local offset = time.now() - time.monotonic() - time.advanced()
    clock_offset = clock_offset or offset
    local step = math.abs(offset - clock_offset)
    if step > CLOCK_STEP_MS then
        clock_offset = offset -- reported once; the stored times are what they are
        return false, ("the wall clock moved by %d ms"):format(step)
    end
    return true, "steady"
end

--- The disk is seen through the store: units lost to it since the start.
local function check_disk()
    local info = store.info()
    return info.healthy, info.trouble or info.failed .. " units lost"
end

local function check_keys()
    for _, name in ipairs { "ids", "pepper", "audit", "raw" } do
        local known = pcall(secrets.get, name)
        if not known then
            return false, "secret " .. name .. " is not readable"
        end
    end
    return true, "4 secrets"
end

local DAY_MS = 86400000

--- Absent where no listener has TLS. The certificate that begins last counts, and the one that ends first.
local function check_tls()
    local first, last
    for _, certificate in ipairs(engine.certificates()) do
        first = math.min(first or certificate.not_after, certificate.not_after)
        last = math.max(last or certificate.not_before, certificate.not_before)
    end
    if not first then
        return nil
    end
    local left, early = first - time.now(), last - time.now()
    if early > 0 then
        return false, ("the certificate is not valid yet: it begins in %d days, by this machine's clock")
            :format(early // DAY_MS + 1)
    end
    return left > 0, left > 0 and left // DAY_MS .. " days left" or "the certificate has expired"
end

local checks = {
    { "store", check_store }, { "writer", check_writer }, { "scripts", check_scripts }, { "clock",
        check_clock },
    { "disk", check_disk }, { "keys", check_keys }, { "tls", check_tls },
}

---@param public boolean? for anybody: what merchants' scripts say of themselves stays inside
---@return { name: string, ok: boolean, detail: string }[]
function health.checks(public)
    local list = {}
    for _, check in ipairs(checks) do
        local ran, ok, detail = pcall(check[2], public)
        if not ran or ok ~= nil then
            list[#list + 1] = { name = check[1], ok = ran and ok, detail = ran and detail
                or "the check itself failed" }
        end
    end
    return list
end

return health
