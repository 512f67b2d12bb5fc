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

local PAGE = 500
local POSITION = "sealed"

-- ---- the list of ids: first id, then the distances, each as base-128 with the low group first ----

local function varint(number)
    local bytes = {}
    while number > 127 do
        bytes[#bytes + 1] = string.char(number & 127 | 128)
        number = number >> 7
    end
    bytes[#bytes + 1] = string.char(number)
    return table.concat(bytes)
end

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

---@param events { id: integer, hash: string }[]
---@return string digest
function seals.digest(events)
    local parts = {}
    for i, event in ipairs(events) do
        parts[i] = (">i8 s4"):pack(event.id, event.hash)
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
---@return table? err
function seals.position()
    local rows, err = store.query("setting.get", { name = POSITION })
    if not rows then
        return nil, err
    end
    return rows[1] and (">i8"):unpack(rows[1].value) or 0
end

local function group(rows)
    local by_merchant, order = {}, {}
    for _, row in ipairs(rows) do
        if not by_merchant[row.merchant] then
            by_merchant[row.merchant] = {}
            order[#order + 1] = row.merchant
        end
        table.insert(by_merchant[row.merchant], row)
    end
    table.sort(order)
    return by_merchant, order
end

--- Events that the merchant's last seal does not hold yet: after a cut-off pass some are sealed already.
local function unsealed(events, last)
    if not last then
        return events
    end
    local ids = seals.decode(last.events)
    local upto, list = ids[#ids], {}
    for _, event in ipairs(events) do
        list[#list + 1] = event.id > upto and event or nil
    end
    return list
end

local function seal_of(merchant, events, last)
    local key = secrets.get("audit")
    local ids = {}
    for i, event in ipairs(events) do
        ids[i] = event.id
    end
    local seal = { merchant = merchant, number = last and last.number + 1 or 1, count = #events,
        digest = seals.digest(events) }
    return seal, { "seal.insert", {
        number = seal.number, events = seals.encode(ids), count = seal.count, digest = seal.digest,
        mac = seals.mac(key, seal, last and last.mac), key_id = key_number(key),
    } }
end

local function position_statement(position)
    return { "setting.put", { name = POSITION, value = (">i8"):pack(position) } }
end

--- One merchant's seal, and the new position when it is the last of its pass.
local function seal_merchant(merchant, events, position)
    task.set_scope(merchant)
    local rows, err = store.query("seal.last")
    if not rows then
        return nil, err
    end
    local new = unsealed(events, rows[1])
    local list, seal = {}, nil
    if #new > 0 then
        seal, list[1] = seal_of(merchant, new, rows[1])
    end
    if position then
        list[#list + 1] = position_statement(position)
    end
    if #list == 0 then
        return true
    end
    local done
    done, err = store.commit(list)
    if not done then
        return nil, err
    end
    if seal then
        log.info("seal", { merchant = registry.merchant(merchant).slug, number = seal.number,
            count = seal.count,
            seal = crypto.hex.encode(list[1][2].mac) })
    end
    return true
end

local function seal_page(rows)
    local by_merchant, order = group(rows)
    for i, merchant in ipairs(order) do
        local position = i == #order and rows[#rows].id or nil
        local done, err = seal_merchant(merchant, by_merchant[merchant], position)
        if not done then
            return nil, err
        end
    end
    return true
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
        local rows
        rows, err = store.query("event.page", { after = position, n = PAGE })
        if not rows then
            return nil, err
        elseif #rows == 0 then
            return sealed
        end
        local done
        done, err = seal_page(rows)
        if not done then
            return nil, err
        end
        sealed, position = sealed + #rows, rows[#rows].id
    end
end

--- The number of the seal that holds an event of the scope's merchant; nil while it is not sealed.
---@param event integer
---@return integer? number
function seals.number_of(event)
    local rows = store.query("seal.after_event", { event = event })
    while rows and rows[1] do
        local row = rows[1]
        local list = seals.decode(row.events)
        if list[1] > event then
            return nil
        end
        for _, id in ipairs(list) do
            if id == event then
                return row.number
            end
        end
        -- many events had come before the sealer did: their seals follow one another
        rows = store.query("seal.by_number", { number = row.number + 1 })
    end
end

return seals
