--- Seals: once a second all new events of a merchant are bound into a numbered row with an HMAC over it and
--- the seal before. Edits, gaps, removed payments and a cut-off tail are found with the audit key.
--- 1 Numbers have no gap; the guard of seal.insert lets one sealer win. 2 Event ids are stamped by the one
--- writer in the order of commits, so what a pass reads is complete up to its last id. 3 The position in
--- settings says up to where every merchant is sealed; a pass that was cut off is taken up behind it.
local crypto = require "tael.crypto"
local log = require "tael.log"
local registry = require "tael.kernel.registry"
local secrets = require "tael.kernel.secrets"
local store = require "tael.store"
local task = require "tael.task"

local seals = {}

local PAGE = 64 -- events read in one turn: others wait for no more
local SEALED_AT_ONCE = 1024 -- of all merchants
local SEALS_AT_ONCE = 64    -- in one unit
local POSITION = "sealed"

-- ---- the list of ids: first id, then the distances, each as base-128 with the low group first ----

local function varint(number)
    if number < 0x80 then
        return string.char(number)
    elseif number < 0x4000 then
        return string.char(number & 127 | 128, number >> 7)
    end
    return string.char(number & 127 | 128, number >> 7 & 127 | 128) .. varint(number >> 14)
end

local VARINT_MAX = 9 -- bytes of 63 bits

---@param ids integer[] rising
---@return string
function seals.encode(ids)
    local parts, before = {}, 0
    for i, id in ipairs(ids) do
        parts[i] = varint(id - before)
        before = id
    end
    return table.concat(parts)
end

---@param bytes string
---@return integer[] ids
function seals.decode(bytes)
    local ids, before, number, shift = {}, 0, 0, 0
    for i = 1, #bytes do
        local byte = bytes:byte(i)
        number = number | (byte & 127) << shift
        shift = shift + 7
        if byte < 128 then
            before = before + number
            ids[#ids + 1] = before
            number, shift = 0, 0
        end
    end
    return ids
end

-- ---- digest and MAC ----

--- What the digest is of, for one event.
local function digested(event)
    return (">i8 s4"):pack(event.id, event.hash)
end

---@param events { id: integer, hash: string }[]
---@return string digest
function seals.digest(events)
    local parts = {}
    for i, event in ipairs(events) do
        parts[i] = digested(event)
    end
    return crypto.digest("sha256", table.concat(parts))
end

---@param key userdata|string the audit key
---@param seal { merchant: integer, number: integer, count: integer, digest: string }
---@param mac_before string? nil for the first seal of a merchant
---@return string mac
function seals.mac(key, seal, mac_before)
    return crypto.hmac("sha256", key, (">s4 i8 i8 s4 i8 s4"):pack("tael.seal.1", seal.merchant, seal.number,
        mac_before or "", seal.count, seal.digest))
end

--- The audit key's fingerprint as a number.
local function key_number(key)
    local hex = tostring(key):match("(%x%x%x%x%x%x%x%x)[^%x]*$")
    return hex and tonumber(hex, 16) or 0
end

-- ---- the sealer ----

--- Every event up to this id is sealed.
---@return integer? id
---@return table? err "damaged": what is there is none
function seals.position()
    local rows, err = store.query("setting.get", { name = POSITION })
    if not rows then
        return nil, err
    end
    local value = rows[1] and rows[1].value
    if value and #value ~= 8 then
        return nil, { code = "damaged", message = ("'%s' has %d bytes in the place of 8"):format(POSITION,
            #value) }
    end
    return value and (">i8"):unpack(value) or 0
end

-- The last event of a merchant's newest seal, as long as that is the one we made.
local ends = {} ---@type table<integer, { number: integer, id: integer }>

--- Up to which event the merchant's seals hold all: after a pass that was cut off, further than the position.
local function end_of(merchant, last)
    if not last then
        return 0
    end
    local known = ends[merchant]
    if not known or known.number ~= last.number then
        local ids = seals.decode(last.events)
        known = { number = last.number, id = ids[#ids] }
        ends[merchant] = known
    end
    return known.id
end

--- What a merchant's next seal will hold, read page by page and kept in the seal's own form.
---@class tael.kernel.Unsealed
---@field last table? the seal before
---@field upto integer id of the last event in it
---@field before integer id of the last event that was added
---@field ids string[]
---@field digested string[]

---@return tael.kernel.Unsealed?
---@return table? err
local function begin_of(merchant)
    task.set_scope(merchant)
    local rows, err = store.query("seal.last")
    if not rows then
        return nil, err
    end
    return { last = rows[1], upto = end_of(merchant, rows[1]), before = 0, ids = {}, digested = {} }
end

local function add(unsealed, event)
    if event.id <= unsealed.upto then
        return
    end
    local at = #unsealed.ids + 1
    unsealed.ids[at], unsealed.digested[at] = varint(event.id - unsealed.before), digested(event)
    unsealed.before = event.id
end

--- Sorts a page by merchant.
---@param by_merchant table<integer, tael.kernel.Unsealed>
local function take(by_merchant, rows)
    for _, row in ipairs(rows) do
        if not by_merchant[row.merchant] then
            local unsealed, err = begin_of(row.merchant)
            if not unsealed then
                return nil, err
            end
            by_merchant[row.merchant] = unsealed
        end
        add(by_merchant[row.merchant], row)
    end
    return true
end

---@return tael.store.Params seal of seal.insert
local function seal_of(merchant, unsealed)
    local key, last = secrets.get("audit"), unsealed.last
    local seal = { merchant = merchant, id = store.next_id(), number = last and last.number + 1 or 1,
        events = table.concat(unsealed.ids), count = #unsealed.ids,
        digest = crypto.digest("sha256", table.concat(unsealed.digested)), key_id = key_number(key) }
    seal.mac = seals.mac(key, seal, last and last.mac)
    return seal
end

--- Those that have something to seal.
local function merchants_of(by_merchant)
    local list = {}
    for merchant, unsealed in pairs(by_merchant) do
        if #unsealed.ids > 0 then
            list[#list + 1] = merchant
        end
    end
    table.sort(list)
    return list
end

local function position_statement(position)
    return { "setting.put", { name = POSITION, value = (">i8"):pack(position) } }
end

local function announce(seal, unsealed)
    ends[seal.merchant] = { number = seal.number, id = unsealed.before }
    log.info("seal", { merchant = registry.merchant(seal.merchant).slug, number = seal.number,
        count = seal.count, seal = crypto.hex.encode(seal.mac) })
end

--- One unit: the seals of these merchants, and the new position where it is the last one of the pass.
local function commit(merchants, by_merchant, position)
    local sealed, unit = {}, {}
    for i, merchant in ipairs(merchants) do
        sealed[i] = seal_of(merchant, by_merchant[merchant])
        unit[i] = { "seal.insert", sealed[i] }
    end
    unit[#unit + 1] = position and position_statement(position)
    local done, err = store.commit(unit)
    if not done then
        return nil, err
    end
    for _, seal in ipairs(sealed) do
        announce(seal, by_merchant[seal.merchant])
    end
    return true
end

--- A unit waits for the disk, and of ten thousand merchants each has few events: many of them share one.
local function seal_all(by_merchant, position)
    local merchants, upto = merchants_of(by_merchant), 0
    task.set_scope(0)
    repeat
        local first = upto + 1
        upto = math.min(upto + SEALS_AT_ONCE, #merchants)
        local done, err = commit(table.move(merchants, first, upto, 1, {}), by_merchant,
            upto == #merchants and position or nil)
        if not done then
            return nil, err
        end
    until upto == #merchants
    return true
end

--- Reads on from `position`, a page a turn, until there is enough for a seal, or no more.
---@return table<integer, tael.kernel.Unsealed>? by_merchant
---@return integer|table position behind what was read, or err
---@return integer? count of events
local function gather(position)
    local by_merchant, count = {}, 0
    repeat
        local rows, err = store.query("event.hashes", { after = position, n = PAGE })
        local taken = rows
        if rows then
            taken, err = take(by_merchant, rows)
        end
        if not taken then
            return nil, err
        end
        count, position = count + #rows, #rows > 0 and rows[#rows].id or position
    until #rows < PAGE or count >= SEALED_AT_ONCE
    return by_merchant, position, count
end

--- Seals what is new. Worker 1, once a second. Changes the task's scope.
---@return integer? sealed number of events
---@return table? err
function seals.pass()
    local position, err = seals.position()
    if not position then
        return nil, err
    end
    local sealed = 0
    while true do
        local by_merchant, upto, count = gather(position)
        if not by_merchant then
            return nil, upto
        end
        if count > 0 then
            local done
            done, err = seal_all(by_merchant, upto)
            if not done then
                return nil, err
            end
        end
        sealed, position = sealed + count, upto
        if count < SEALED_AT_ONCE then
            return sealed
        end
    end
end

local function first_of(seal)
    return seals.decode(seal.events:sub(1, VARINT_MAX))[1]
end

local function holds(seal, event)
    for _, id in ipairs(seals.decode(seal.events)) do
        if id == event then
            return true
        end
    end
    return false
end

--- The last seal from this one on that begins no later than the event: with steps that grow, then shrink.
---@return table? seal
---@return table? err
local function last_before(seal, event)
    local step, grows = 1, true
    while step > 0 do
        local rows, err = store.query("seal.by_number", { number = seal.number + step })
        if not rows then
            return nil, err
        end
        local fits = rows[1] ~= nil and first_of(rows[1]) <= event
        seal, grows = fits and rows[1] or seal, grows and fits
        step = grows and step * 2 or step // 2
    end
    return seal
end

--- The number of the seal that holds an event of the scope's merchant; nil while it is not sealed.
---@param event integer
---@return integer? number
---@return table? err of the store: nobody knows
function seals.number_of(event)
    local rows, err = store.query("seal.after_event", { event = event })
    local seal = rows and rows[1]
    if not seal or first_of(seal) > event then
        return nil, err
    elseif not holds(seal, event) then -- many events had come before the sealer did: their seals follow
        seal, err = last_before(seal, event)
        if not seal or not holds(seal, event) then
            return nil, err
        end
    end
    return seal.number
end

return seals
