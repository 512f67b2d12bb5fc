--- The refused messages of all workers. Each worker keeps its own ring; a question goes to all of them.
local crypto = require "tael.crypto"
local registry = require "tael.kernel.registry"
local ring = require "tael.kernel.ring"
local task = require "tael.task"
local workers = require "tael.kernel.workers"

local refused = {}

local PER_SECOND = 10 -- of one source (threats R25)
local IN_DEVELOPMENT = 1000 -- nobody sends but the developer, who wants to see what was sent

local own

local function own_ring()
    if not own then
        local _, count = task.worker()
        local config = registry.config
        own = ring.new(config.notifications.ring_bytes // count, config.dev and IN_DEVELOPMENT or PER_SECOND)
    end
    return own
end

---@param entry table
---@return boolean kept
function refused.add(entry)
    return own_ring():add(entry)
end

--- Bytes do not travel as JSON.
local function pack(entry, with_raw)
    local out = {}
    for name, value in pairs(entry) do
        out[name] = value
    end
    out.digest = crypto.hex.encode(entry.digest)
    out.raw = with_raw and entry.raw and crypto.base64.encode(entry.raw) or nil
    return out
end

local function unpack_entry(packed)
    packed.digest = crypto.hex.decode(packed.digest)
    packed.raw = packed.raw and crypto.base64.decode(packed.raw)
    return packed
end

local function belongs(entry, merchant)
    return merchant == 0 or entry.merchant == merchant
end

workers.answer("refused.get", function(question)
    local entry = own_ring():get(question.id)
    return entry and belongs(entry, question.merchant) and pack(entry, true) or nil
end)

workers.answer("refused.list", function(question)
    local accounts = {}
    for _, account in ipairs(question.accounts or {}) do
        accounts[account] = true
    end
    local found = own_ring():newest(question.limit, function(entry)
        return belongs(entry, question.merchant) and entry.id < question.before and entry.id >= question.since
            and (question.accounts == nil or accounts[entry.account])
    end)
    for i, entry in ipairs(found) do
        found[i] = pack(entry, false)
    end
    return found
end)

---@param id integer
---@param merchant integer 0: of any
---@return table? entry
function refused.get(id, merchant)
    local packed = workers.ask("refused.get", { id = id, merchant = merchant }, true)[1]
    return packed and unpack_entry(packed)
end

---@param question table merchant (0: any), before, since, limit, accounts? (numbers)
---@return table[] entries newest first, without their bytes
function refused.list(question)
    local all = {}
    for _, list in ipairs(workers.ask("refused.list", question)) do
        for _, packed in ipairs(list) do
            all[#all + 1] = unpack_entry(packed)
        end
    end
    table.sort(all, function(a, b) return a.id > b.id end)
    return all
end

return refused
