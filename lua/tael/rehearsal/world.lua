--- What a spec that asked for the sandboxes may do in a rehearsal: effects are performed, payers pay at the
--- simulator, time passes.
local http = require "tael.http"
local ids = require "tael.kernel.ids"
local payments = require "tael.kernel.payments"
local registry = require "tael.kernel.registry"
local running = require "tael.scripts.running"
local task = require "tael.task"
local time = require "tael.time"

local world = {}
world.__index = world

local SETTLE_MS = 3000 -- until what the simulator tells has been heard
local SLEPT_MS = 600000 -- a longer time passes in jumps, between which all that is due happens
local JUMPS, JUMP_MS = 60, 500
local ADVANCE_MAX = 400 * 86400000
local ALL_MAX = 20 * ADVANCE_MAX -- of all tests: ids and clocks end

local advanced = 0 -- so far

---@param merchant string slug
---@param generation tael.scripts.Generation
---@return tael.rehearsal.World
function world.new(merchant, generation)
    local known = assert(registry.merchant(merchant))
    return setmetatable({ merchant = known, generation = generation }, world)
end

--- A test begins to ask for what is real.
function world:begin()
    task.set_scope(self.merchant.id)
    self.run = running.new(self.merchant, self.generation, "route")
end

--- An effect of its scripts; nil and what is wrong.
---@param name string
---@param given table packed
---@return table? results packed
---@return string? wrong
function world:perform(name, given)
    local results, wrong = running.results_of(self.run, name, given)
    return results, not results and ("tael.%s: %s"):format(name, wrong or "failed in the engine") or nil
end

---@param ms integer
---@return true?
---@return string? wrong
function world.advance(_, ms)
    if ms < 0 or ms > ADVANCE_MAX then
        return nil, "advance: at most 400 days"
    elseif advanced + ms > ALL_MAX then
        return nil, "advance: all tests together at most 20 times 400 days"
    end
    advanced = advanced + ms
    if ms <= SLEPT_MS then
        time.sleep(ms)
        return true
    end
    for jump = 1, JUMPS do
        time.advance(ms * jump // JUMPS - ms * (jump - 1) // JUMPS)
        time.sleep(JUMP_MS)
    end
    return true
end

--- The newest attempt that the payer has been given.
local function newest(id)
    local view, err = payments.get(id)
    local list
    if view then
        list, err = payments.attempts(id)
    end
    if not list then
        return nil, "pay: " .. (err.detail or err.code)
    elseif not list[1] then
        return nil, "pay: the payment has no attempt: nobody was asked for money"
    end
    return list[1], view.next_action
end

--- The payer opens what was given and pays it, whatever has become of the payment since.
---@param payment string|table id
---@return true?
---@return string? wrong
function world.pay(_, payment)
    local id = type(payment) == "table" and payment.id or payment
    if type(id) ~= "string" or not ids.decode("pay", id) then
        return nil, "pay: a payment or its id is needed, not " .. (type(id) == "string"
            and ("%q"):format(id:sub(1, 64)) or type(payment))
    end
    local attempt, action = newest(id)
    if not attempt then
        return nil, action
    end
    local address = type(action) == "table" and (action.url or action.code_url)
    if address then
        http.request { method = "GET", url = address }
    end
    local answer, err = http.request { method = "POST", body = "",
        url = ("http://%s/sandbox/trades/%s/pay"):format(registry.config.sandbox.listen, attempt.order_no) }
    time.sleep(SETTLE_MS)
    if not answer or answer.status ~= 200 then
        return nil, ("pay: the simulator says %s"):format(answer and answer.status .. " " .. answer.raw
            or err.message or err.code)
    end
    return true
end

return world
