--- Checks of tael doctor on what surrounds the engine: its ports, its certificate, its disk.
local crypto = require "tael.crypto"
local machine = require "tael.machine"
local settings = require "tael.cli.settings"
local text = require("tael.cli.texts").of
local time = require "tael.time"

local places = {}

local DAY_MS = 86400000
local EXPIRES_SOON_DAYS = 21
local MIB = 1048576
local DISK_FAIL_MIB, DISK_WARN_MIB = 64, 1024

---@param detail string
---@return tael.cli.Check
function places.ok(detail)
    return { verdict = "ok", detail = detail }
end

---@param detail string
---@param next_step string?
---@return tael.cli.Check
function places.warn(detail, next_step)
    return { verdict = "warn", detail = detail, next = next_step }
end

---@param detail string
---@param next_step string?
---@return tael.cli.Check
function places.fail(detail, next_step)
    return { verdict = "fail", detail = detail, next = next_step }
end

local ok, warn, fail = places.ok, places.warn, places.fail

-- ---- ports ----

local KEY_OF = { api = "http.listen", operations = "operations.listen", sandbox = "sandbox.listen" }

--- Every address that the running engine says it listens on, or that one of this configuration would: {key,
--- address}.
local function listeners(config, system)
    local list = {}
    for _, listener in ipairs(system and system.listeners or {}) do
        list[#list + 1] = { KEY_OF[listener.name] or listener.name, listener.address }
    end
    if #list > 0 then
        return list
    end
    for _, address in ipairs(config.http.listen) do
        list[#list + 1] = { "http.listen", address }
    end
    if config.operations.listen then
        list[#list + 1] = { "operations.listen", config.operations.listen }
    end
    if config.dev then
        list[#list + 1] = { "sandbox.listen", config.sandbox.listen }
    end
    return list
end

--- Ports on which somebody listens, each with the addresses, by the kernel's lists and as they write them.
---@param files string[]
---@return table<integer, string[]>
function places.listening(files)
    local ports = {}
    for _, path in ipairs(files) do
        local file = io.open(path, "rb")
        for line in file and file:lines() or function() end do
            local at, port, state = line:match("^%s*%d+: (%x+):(%x%x%x%x) %x+:%x%x%x%x (%x%x)")
            if state == "0A" then
                port = tonumber(port, 16)
                ports[port] = ports[port] or {}
                table.insert(ports[port], at)
            end
        end
        if file then
            file:close()
        end
    end
    return ports
end

--- Bytes as the lists have them: words of four, each as a number of this machine.
local function words_of(bytes)
    return (bytes:gsub("....", function(four) return ("%08X"):format(string.unpack("=I4", four)) end))
end

---@return string? bytes nil: no address of IPv4
local function ipv4_bytes(host)
    local bytes = ""
    for _, part in ipairs { host:match("^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$") } do
        local number = math.tointeger(tonumber(part))
        bytes = bytes .. (number < 256 and string.char(number) or "")
    end
    return #bytes == 4 and bytes or nil
end

--- The groups of one side of "::".
local function side_bytes(side)
    local bytes = ""
    for group in side:gmatch("[^:]+") do
        local number = group:find("^%x%x?%x?%x?$") and tonumber(group, 16)
        bytes = bytes .. (number and string.pack(">I2", number) or ipv4_bytes(group) or "")
    end
    return bytes
end

---@return string? bytes nil: no address of IPv6
local function ipv6_bytes(host)
    local left, right = host:match("^(.-)::(.*)$")
    left, right = side_bytes(left or host), side_bytes(right or "")
    local zeros = host:find("::", 1, true) and ("\0"):rep(16 - #left - #right) or ""
    local bytes = left .. zeros .. right
    return #bytes == 16 and bytes or nil
end

local MAPPED = ("0"):rep(16) .. "FFFF0000" -- in front of an IPv4 address in the list of IPv6

--- Would a listener of this address meet one of those on its port? One of all addresses meets every other of
--- its family. Ours of IPv6 are of it alone; another's of all its addresses is taken for one of IPv4 too, as
--- it is unless it was made otherwise: the lists do not say. What is no address meets every other.
---@param address string "127.0.0.1:8080", "[::1]:8080"
---@param taken table<integer, string[]>
---@return boolean
function places.is_taken(address, taken)
    local host, port = address:match("^%[?(.-)%]?:(%d+)$")
    local bytes = ipv4_bytes(host) or ipv6_bytes(host)
    local own = bytes and words_of(bytes) or ""
    for _, other in ipairs(taken[tonumber(port)] or {}) do
        if other:sub(1, #MAPPED) == MAPPED then
            other = other:sub(#MAPPED + 1)
        end
        local any = not other:find("[^0]")
        if own == "" or any and #own < #other
            or #own == #other and (own == other or any or not own:find("[^0]")) then
            return true
        end
    end
    return false
end

--- "127.0.0.1:8080 free  …"; a port that another program holds fails, unless our engine runs: it has them.
function places.ports(call, seen)
    local ours = call.pass.store == "owned"
    local taken = places.listening { "/proc/net/tcp", "/proc/net/tcp6" }
    local words = {}
    for i, listener in ipairs(listeners(call.config, seen.system)) do
        local key, address = listener[1], listener[2]
        local busy = places.is_taken(address, taken)
        if busy and not ours then
            return fail(text("doctor.port_taken", { address = address, key = key }),
                text("doctor.port_taken.next", { key = key }))
        elseif ours and not busy and not address:find(":0$") then
            return fail(text("doctor.port_silent", { address = address, key = key }),
                text "doctor.restart.next")
        end
        words[i] = address
    end
    return ok(text(ours and "doctor.ports_ours" or "doctor.ports_free",
        { addresses = table.concat(words, "  ") }))
end

-- ---- certificate ----

--- A private key that others may read; nil: all is well.
local function open_key(path)
    local file, err = machine.file(path)
    if not file then
        return text("doctor.file", { path = path, reason = err.message })
    elseif file.mode & 63 ~= 0 then
        return text("doctor.file_open", { path = path, mode = ("%o"):format(file.mode) })
    end
end

--- What the engine says of files that it would not load.
local function not_loaded(tls, err)
    local why = err.code == "tls_mismatch"
        and text("doctor.tls_differs", { cert = tls.cert, key = tls.key.at }) or err.message
    return fail(why, text "doctor.tls_files.next")
end

function places.tls(call, seen)
    local tls = call.config.http.tls or {}
    if not tls.cert then
        local address = listeners(call.config, seen.system)[1][2]
        if call.config.dev then
            return ok(text("doctor.tls_dev", { address = address }))
        end
        return warn(text("doctor.tls_none", { address = address }), text "doctor.tls_none.next")
    end
    local wrong = open_key(tls.key.at)
    if wrong then
        return fail(wrong, "chmod 600 " .. tls.key.at)
    end
    local about, err = machine.certificate(tls.cert, tls.key.at)
    if not about then
        return not_loaded(tls, err --[[@as tael.Error]])
    end
    local now = time.now()
    local days = (about.not_after - now) // DAY_MS
    if about.not_before > now then
        return fail(text("doctor.tls_not_yet", { days = (about.not_before - now) // DAY_MS + 1 }),
            text "doctor.tls_not_yet.next")
    elseif days < 0 then
        return fail(text("doctor.tls_expired", { days = -days }), text "doctor.tls_renew.next")
    elseif days < EXPIRES_SOON_DAYS then
        return warn(text("doctor.tls_days", { days = days }), text "doctor.tls_renew.next")
    end
    return ok(text("doctor.tls_days", { days = days }))
end

-- ---- disk ----

local function write_try(folder)
    local path = ("%s/.doctor-%s"):format(folder, crypto.hex.encode(crypto.random(6)))
    local file, reason = io.open(path, "wb")
    local written = file and file:write(("\0"):rep(65536)) and file:close()
    os.remove(path)
    return written, reason
end

local function size(mib)
    return mib >= 10240 and mib // 1024 .. " GiB" or mib .. " MiB"
end

function places.disk(call)
    local folder = call.config.data
    local is_new = not settings.exists(folder)
    local written, reason = write_try(is_new and (folder:match("^(.+)/[^/]+$") or "/") or folder)
    if written and is_new then
        return ok(text("doctor.folder_new", { folder = folder }))
    elseif not written then
        reason = reason or text "doctor.disk_full"
        return fail(text("doctor.disk_closed", { folder = folder, reason = reason }), text "doctor.disk.next")
    end
    local space = machine.space(folder)
    if not space then
        return ok(text("doctor.disk_writable", { folder = folder }))
    end
    local free = space.free // MIB
    local detail = text("doctor.disk_free", { folder = folder, free = size(free) })
    if free < DISK_FAIL_MIB then
        return fail(detail, text "doctor.disk.next")
    elseif free < DISK_WARN_MIB then
        return warn(detail, text "doctor.disk.next")
    end
    return ok(detail)
end

return places
