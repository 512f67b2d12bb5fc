--- The sandbox beside a development engine: whose part of the buyer and of the channel a command may play.
local exits = require "tael.cli.exits"
local json = require "tael.json"
local text = require("tael.cli.texts").of

---@class tael.cli.Simulator
local simulator = {}
simulator.__index = simulator

local TIMEOUT_MS = 30000
local LIMITS = { max_tokens = 200000, max_members = 100000, max_string = 1048576, max_depth = 64 }

local function account_of(config, slug)
    for _, merchant in pairs(config.merchants) do
        if merchant.accounts and merchant.accounts[slug] then
            return merchant.accounts[slug]
        end
    end
end

--- Where the sandbox of the running engine listens, which may differ from the file; asked once a command.
local function address_of(call)
    if not call.sandbox then
        local system = call.client:request("GET", "/v1/system", { any_merchant = true })
        call.sandbox = call.config.sandbox.listen
        for _, listener in ipairs(system and system.listeners or {}) do
            call.sandbox = listener.name == "sandbox" and listener.address or call.sandbox
        end
    end
    return "http://" .. call.sandbox
end

--- The sandbox of this folder, if it is the channel of this account.
---@param call tael.cli.Call
---@param slug string|lightuserdata of the payment's account; null: it has none yet
---@return tael.cli.Simulator?
---@return tael.cli.Failure?
function simulator.of(call, slug)
    if slug == json.null then
        return exits.fail(exits.no, text "simulator.no_account", "tael payments list --state review")
    end
    local account = account_of(call.config, slug)
    if not account or account.gateway ~= "http://" .. call.config.sandbox.listen .. "/gateway.do" then
        return exits.fail(exits.no, text("simulator.foreign", { account = slug }),
            text "simulator.foreign.next")
    end
    return setmetatable({ base = address_of(call), send = call.client.send, channel = account.channel },
        simulator)
end

--- Asks a lever.
---@param method string
---@param path string
---@param body table?
---@return table? answer
---@return tael.cli.Failure?
function simulator:ask(method, path, body)
    local answer, err = self.send {
        method = method, url = self.base .. path, json = body or (method == "POST" and {} or nil),
        timeout_ms = TIMEOUT_MS, max_bytes = 4 * 1024 * 1024,
    }
    if not answer then
        return exits.fail(exits.unreachable,
            text("simulator.silent", { at = self.base, reason = err.message }), "tael dev")
    end
    local decoded = json.decode(answer.raw, LIMITS)
    if type(decoded) ~= "table" then
        return exits.fail(exits.internal, text("simulator.odd", { at = self.base }), "tael doctor")
    elseif answer.status > 299 then
        return exits.fail(exits.no, tostring(decoded.error or answer.status), text "simulator.refused.next")
    end
    return decoded
end

--- An order becomes a trade once its payer has opened the page or scanned the code.
---@param payment table
---@param order_no string
---@return boolean? opened
---@return tael.cli.Failure?
function simulator:open(payment, order_no)
    local action = payment.next_action
    local url = type(action) == "table" and action.url
    if type(action) == "table" and action.type == "qr_code" then
        local scanned, failure = self:ask("POST", "/sandbox/trades/" .. order_no .. "/scan")
        return scanned and true, failure
    elseif type(url) == "string" and url:sub(1, #self.base) == self.base then
        self.send { method = "GET", url = url, timeout_ms = TIMEOUT_MS, max_bytes = 1024 * 1024 }
    end
    return true
end

--- The simulated buyer opens the order and pays.
---@param payment table
---@param order_no string
---@return table? trade
---@return tael.cli.Failure?
function simulator:pay(payment, order_no)
    local opened, failure = self:open(payment, order_no)
    if not opened then
        return nil, failure
    end
    return self:ask("POST", "/sandbox/trades/" .. order_no .. "/pay")
end

--- How many notifications are still to be delivered; nil when the sandbox does not say.
---@param call tael.cli.Call
---@return integer?
function simulator.pending(call)
    local self = setmetatable({ base = address_of(call), send = call.client.send }, simulator)
    local answer = self:ask("GET", "/sandbox/deliveries")
    return answer and answer.waiting
end

return simulator
