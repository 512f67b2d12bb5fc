--- What a channel's words mean: codes of an answer, states of an order and of a refund. The manifest lists
--- them; a word that is not listed is "unknown" and alarms, never a guess.
local faults = require "tael.channel.faults"

local meanings = {}

local set, add, expect = faults.set, faults.add, faults.expect

local attempt_states = set {
    "waiting_payer", "processing", "authorized", "succeeded", "declined", "cancelled", "expired",
    "unknown",
}
local refund_states = set { "succeeded", "pending", "failed", "abnormal" }
local code_words = set { "ok", "pending", "unknown", "not_found", "retry", "conflict" }
local decline_words = set {
    "insufficient_funds", "payer_refused", "payer_limit", "payer_blocked", "auth_code_invalid",
    "auth_code_expired", "risk_channel", "merchant_limit", "merchant_not_permitted",
    "payer_mismatch", "other",
}
local of_refunds = set { "refund", "refund_query" }

-- ---- the manifest ----

local function is_meaning(meaning)
    if type(meaning) ~= "table" then
        return code_words[meaning] == true
    end
    local kind, text = meaning[1], meaning[2]
    return kind == "declined" and decline_words[text] == true
        or (kind == "config" or kind == "abnormal") and type(text) == "string" and text ~= ""
end

local function check_codes(list, at, codes)
    if not expect(list, at, codes, "table") then
        return
    end
    for code, meaning in pairs(codes) do
        local field = at .. "." .. tostring(code)
        if type(code) ~= "string" then
            add(list, field, "a code is a string")
        elseif not is_meaning(meaning) then
            add(list, field, type(meaning) == "table"
                and "must be {'declined', word}, {'config', text} or {'abnormal', text}"
                or "unknown meaning '" .. tostring(meaning) .. "'")
        end
    end
end

local function check_states(list, at, states, known, what)
    if not expect(list, at, states, "table") then
        return
    end
    for word, state in pairs(states) do
        if type(word) ~= "string" or not known[state] then
            add(list, at .. "." .. tostring(word), ("unknown %s state '%s'"):format(what, tostring(state)))
        end
    end
end

--- The manifest's tables of words.
---@param list table[] faults
---@param package table
---@param operations table<string, true>
function meanings.check(list, package, operations)
    check_codes(list, "codes", package.codes)
    if package.op_codes ~= nil and expect(list, "op_codes", package.op_codes, "table") then
        faults.known(list, "op_codes", package.op_codes, operations)
        for op, codes in pairs(package.op_codes) do
            check_codes(list, "op_codes." .. tostring(op), codes)
        end
    end
    check_states(list, "states", package.states, attempt_states, "attempt")
    if package.refund_states ~= nil or package.refund ~= nil then
        check_states(list, "refund_states", package.refund_states, refund_states, "refund")
    end
end

-- ---- an answer ----

--- What a code means in an answer to `op`; nil when it is listed nowhere.
---@param package tael.channel.Package
---@param op string
---@param code string
---@return string|table? meaning
function meanings.of(package, op, code)
    local own = package.op_codes and package.op_codes[op]
    return own and rawget(own, code) or rawget(package.codes, code)
end

--- Sets class, reason, decline_code and alarm of an outcome by the code of its result.
---@param package tael.channel.Package
---@param op string
---@param product tael.channel.Product?
---@param outcome tael.channel.Outcome with its result
function meanings.classify(package, op, product, outcome)
    local result = outcome.result
    local words = result.channel_code or result.code
    local meaning = meanings.of(package, op, result.code)
    local class, detail = meaning, nil
    if type(meaning) == "table" then
        class, detail = meaning[1], meaning[2]
    elseif meaning == nil then
        class = "unknown"
        outcome.alarm = package.name .. ": the code '" .. words .. "' is not mapped"
    end
    outcome.class, outcome.reason = class, class ~= "ok" and words or nil
    if class == "config" or class == "abnormal" then
        outcome.reason = detail
        outcome.alarm = package.name .. ": " .. words .. ": " .. detail
    elseif class == "declined" then
        outcome.decline_code = detail
    elseif class == "not_found" then
        outcome.waiting = product ~= nil and product.not_found == "waiting"
    elseif class == "unknown" or class == "retry" then
        outcome.class = "unknown"
        outcome.reason = outcome.alarm or "the channel answered " .. words
    end
end

--- Maps the word that a channel has for the state of an order.
---@param package tael.channel.Package
---@param word string?
---@param given_back boolean? it says "was paid, and all was given back": nothing new to whoever saw it paid
---@return string? state
---@return string? alarm
function meanings.state(package, word, given_back)
    if word == nil then
        return nil
    end
    local state = rawget(package.states, word)
    if not state then
        return "unknown", package.name .. ": the state '" .. word .. "' is not mapped"
    elseif state == "unknown" and not given_back then
        return state, package.name .. ": the state '" .. word .. "' needs a person"
    end
    return state
end

--- Maps the word that a channel has for the state of a refund.
---@param package tael.channel.Package
---@param word string?
---@return string? state
---@return string? alarm
function meanings.refund_state(package, word)
    if word == nil then
        return nil
    end
    local state = package.refund_states and rawget(package.refund_states, word)
    if not state then
        return "unknown", package.name .. ": the refund's state '" .. word .. "' is not mapped"
    end
    return state
end

--- Maps the state of a result that is "ok". What a cancel did is said in the contract's own word.
---@param package tael.channel.Package
---@param op string
---@param outcome tael.channel.Outcome with its result
function meanings.settle(package, op, outcome)
    local result = outcome.result
    if op == "cancel" then
        return
    end
    local alarm
    result.channel_state = result.state
    if of_refunds[op] then
        result.state, alarm = meanings.refund_state(package, result.state)
    else
        result.state, alarm = meanings.state(package, result.state, result.given_back)
    end
    outcome.alarm = outcome.alarm or alarm
    if result.state == "unknown" then
        outcome.class = "unknown"
        outcome.reason = alarm or "the channel says " .. result.channel_state
    end
end

return meanings
