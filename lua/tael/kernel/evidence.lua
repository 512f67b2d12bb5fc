--- What a channel script says counts for nothing by itself. A fact is admitted only when the script
--- hands over evidence that C made: of this very message, by a key of this account. Then the kernel
--- compares the account, the order, the amount, the currency and the seller itself, and sees that what
--- the fact says is written in the part that was signed.
--- 1 No evidence, no fact. 2 Evidence of another message or another account is no evidence. 3 A script
--- cannot make up an order, an amount, a trade number, a success or a seller that the signed part does
--- not state: where it stands there, the package's manifest declares (`stated`) and the kernel reads.
local json = require "tael.json"
local message = require "tael.message"
local money = require "tael.kernel.money"

local evidence = {}

local DEPTH_MAX = 16
local TEXT_MAX = 64

local function refused(check, detail)
    return nil, { check = check, detail = detail }
end

local function collect(value, words, depth)
    if type(value) == "table" and depth < DEPTH_MAX then
        for _, member in pairs(value) do
            collect(member, words, depth + 1)
        end
    elseif type(value) == "string" then
        words[value] = true
    elseif math.type(value) == "integer" or json.is_decimal(value) then
        words[tostring(value)] = true
    end
end

--- Every scalar that the signed part holds.
local function stated_words(proof)
    local words = {}
    collect(proof.form, words, 0)
    collect(proof.json, words, 0)
    return words
end

--- A channel writes its amounts in one way, which its manifest names: read in the other, a signed 12 would
--- prove 0.12.
local function states_amount(words, amount, currency, unit)
    if unit == "minor" then
        return words[tostring(amount)] == true
    end
    for word in pairs(words) do -- "12.3" states 1230 too
        if money.parse(word, currency) == amount then
            return true
        end
    end
    return false
end

local function plain(text)
    return type(text) == "string" and #text > 0 and #text <= TEXT_MAX and not text:find("[^\33-\126]")
end

local function check_money(fact)
    for _, member in ipairs { "amount", "total" } do
        local value = fact[member]
        local nothing = member == "total" and math.type(value) == "integer" and value == 0
        if value ~= nil and not nothing and not money.in_range(value) then
            return refused("amount", "the amount is out of range")
        elseif value ~= nil and not money.exponent(fact.currency) then
            return refused("amount", "the currency is not known")
        end
    end
    return true
end

local kinds = { payment = true, refund = true }

local function check_shape(fact)
    if type(fact) ~= "table" or not kinds[fact.kind] then
        return refused("order", "the message says nothing about a payment")
    elseif not plain(fact.order_no) then
        return refused("order", "the fact names no order")
    elseif fact.trade_no ~= nil and not plain(fact.trade_no) then
        return refused("order", "the trade number has a wrong form")
    elseif fact.refund_no ~= nil and not plain(fact.refund_no) then
        return refused("order", "the refund's number has a wrong form")
    elseif fact.state == nil and fact.kind == "refund" then
        return check_money(fact)
    elseif type(fact.state) ~= "string" then
        return refused("state", "the fact names no state")
    end
    return check_money(fact)
end

--- The identities that the message claims are the account's, and were signed.
local function check_identity(account, identity, words)
    local compared = 0
    for name, value in pairs(identity) do
        local ours = account.fields[name]
        if ours ~= nil then
            if ours ~= value then
                return refused("identity", name .. " is not this account's")
            elseif not words[value] then
                return refused("identity", name .. " was not signed")
            end
            compared = compared + 1
        end
    end
    if compared == 0 then
        return refused("identity", "the message does not say whose it is")
    end
    return true
end

local function check_seller(account, identity, seller)
    if seller == nil then
        return true
    end
    for name, value in pairs(identity or {}) do
        if value == seller and (account.fields[name] == nil or account.fields[name] == seller) then
            return true
        end
    end
    for _, value in pairs(account.fields) do
        if value == seller then
            return true
        end
    end
    return refused("identity", "the seller is not this account's")
end

--- The words that may stand for one member of a fact: the declared field alone, or, where the manifest
--- declares none, all that was signed.
local function words_for(proof, stated, member, all)
    local path = stated and stated[member]
    if not path then
        return all
    end
    local value = proof.form and proof.form[path]
    if value == nil and type(proof.json) == "table" then
        value = proof.json
        for name in path:gmatch("[^.]+") do
            value = type(value) == "table" and value[name] or nil
        end
    end
    local words = {}
    collect(value, words, DEPTH_MAX)
    return words
end

--- Words of the channel that the kernel may act on only when they were signed: money that came, a refund that
--- has ended.
local settling = {
    payment = { succeeded = true }, refund = { succeeded = true, failed = true, abnormal = true },
}

local function check_stated(input, all)
    local fact = input.fact
    local function words(member)
        return words_for(input.proof, input.stated, member, all)
    end
    local function lacks(member)
        return fact[member] and not words(member)[fact[member]]
    end
    local function lacks_amount(member)
        return fact[member]
            and not states_amount(words(member), fact[member], fact.currency, input.amounts)
    end
    if lacks "order_no" then
        return refused("order", "the signed part does not name the order")
    elseif lacks "trade_no" then
        return refused("order", "the signed part does not name the trade number")
    elseif lacks "refund_no" then
        return refused("order", "the signed part does not name the refund")
    elseif lacks_amount "amount" or lacks_amount "total" then
        return refused("amount", "the signed part does not state the amount")
    elseif input.stated and input.stated.seller and lacks "seller" then
        return refused("identity", "the signed part does not name the seller")
    elseif settling[fact.kind][fact.state] and not words("state")[fact.channel_state] then
        return refused("state", "the signed part does not say that it was done")
    end
    return true
end

--- Is this evidence of that message, by a key of that account?
---@param proof any what the script returned
---@param about userdata the message that came in
---@param account table {id, fields}
---@return true?
---@return table? refusal {check, detail}
function evidence.authentic(proof, about, account)
    if not message.is_evidence(proof) then
        return refused("signature", "no evidence")
    elseif not message.check(proof, about) then
        return refused("signature", "evidence of another message")
    elseif proof.account ~= account.id then
        return refused("signature", "evidence of another account")
    end
    return true
end

--- May the kernel act on this fact?
---@param input table proof, message, account, fact, identity? (of notifications), stated?, amounts? (of the
---  manifest; amounts are decimal texts where it names no unit)
---@return true?
---@return table? refusal {check, detail}
function evidence.admit(input)
    local proof, account, fact = input.proof, input.account, input.fact
    local good, refusal = evidence.authentic(proof, input.message, account)
    if not good then
        return nil, refusal
    end
    good, refusal = check_shape(fact)
    if not good then
        return nil, refusal
    end
    local words = stated_words(proof)
    if input.identity then
        good, refusal = check_identity(account, input.identity, words)
        if not good then
            return nil, refusal
        end
    end
    good, refusal = check_seller(account, input.identity, fact.seller)
    if not good then
        return nil, refusal
    end
    return check_stated(input, words)
end

--- Short name of the key that proved it, as a number for the row: the last 8 hex digits of its id.
---@param proof userdata
---@return integer? key_id
function evidence.key_number(proof)
    local hex = type(proof.key_id) == "string" and proof.key_id:match("(%x%x%x%x%x%x%x%x)[^%x]*$")
    return hex and tonumber(hex, 16)
end

return evidence
