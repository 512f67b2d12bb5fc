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

--- What the signed part holds. The fields of a form stay in C and are asked for one by one; of a document
--- every scalar is collected.
---@param proof tael.Evidence
---@return { form: tael.Evidence?, json: any, words: table<string, true>? }
local function signed_part(proof)
    if proof.kind == "form" then
        return { form = proof }
    end
    local part = { json = proof.json, words = {} }
    collect(part.json, part.words, 0)
    return part
end

--- The words of the one member that the manifest declares.
local function words_at(part, path)
    local value, words = part.json, {}
    for name in path:gmatch("[^.]+") do
        value = type(value) == "table" and value[name] or nil
    end
    collect(value, words, DEPTH_MAX)
    return words
end

--- Does the signed part say this word: in the declared place alone or, where the manifest declares none,
--- anywhere?
---@param part table of signed_part
---@param path string?
---@param word string
local function states(part, path, word)
    if not part.form then
        return (path and words_at(part, path) or part.words)[word] == true
    elseif path then
        return part.form:fields(path) == word
    end
    return part.form:states(word)
end

--- A channel writes its amounts in one way, which its manifest names: read in the other, a signed 12 would
--- prove 0.12.
local function states_amount(part, path, amount, fact, unit)
    if unit == "minor" then
        return states(part, path, tostring(amount))
    elseif part.form and path then
        return money.parse(part.form:fields(path), fact.currency) == amount -- "12.3" states 1230 too
    end
    local words = part.words
    if part.form then
        words = {}
        collect(part.form.form, words, 0)
    elseif path then
        words = words_at(part, path)
    end
    for word in pairs(words) do
        if money.parse(word, fact.currency) == amount then
            return true
        end
    end
    return false
end

local function plain(text)
    return type(text) == "string" and #text > 0 and #text <= TEXT_MAX and not text:find("[^\33-\126]")
end

local function check_amount(fact, amount)
    if not money.in_range(amount) then
        return refused("amount", "the amount is out of range")
    elseif not money.exponent(fact.currency) then
        return refused("amount", "the currency is not known")
    end
    return true
end

local function check_money(fact)
    local good, refusal = true, nil
    if fact.amount ~= nil then
        good, refusal = check_amount(fact, fact.amount)
    end
    if good and fact.total ~= nil then -- in all, nothing may have gone back yet
        local nothing = math.type(fact.total) == "integer" and fact.total == 0
        good, refusal = check_amount(fact, nothing and money.MIN or fact.total)
    end
    return good, refusal
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
local function check_identity(account, identity, part)
    local compared = 0
    for name, value in pairs(identity) do
        local ours = account.fields[name]
        if ours ~= nil then
            if ours ~= value then
                return refused("identity", name .. " is not this account's")
            elseif not states(part, nil, value) then
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

--- Words of the channel that the kernel may act on only when they were signed: money that came, a refund that
--- has ended.
local settling = {
    payment = { succeeded = true }, refund = { succeeded = true, failed = true, abnormal = true },
}

local NOTHING = {}

local function check_stated(input, part)
    local fact, stated = input.fact, input.stated or NOTHING
    if fact.order_no and not states(part, stated.order_no, fact.order_no) then
        return refused("order", "the signed part does not name the order")
    elseif fact.trade_no and not states(part, stated.trade_no, fact.trade_no) then
        return refused("order", "the signed part does not name the trade number")
    elseif fact.refund_no and not states(part, stated.refund_no, fact.refund_no) then
        return refused("order", "the signed part does not name the refund")
    elseif fact.amount and not states_amount(part, stated.amount, fact.amount, fact, input.amounts)
        or fact.total and not states_amount(part, stated.total, fact.total, fact, input.amounts) then
        return refused("amount", "the signed part does not state the amount")
    elseif stated.seller and fact.seller and not states(part, stated.seller, fact.seller) then
        return refused("identity", "the signed part does not name the seller")
    elseif settling[fact.kind][fact.state]
        and not (fact.channel_state and states(part, stated.state, fact.channel_state)) then
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
    if message.check(proof, about) and proof.account == account.id then
        return true
    elseif not message.is_evidence(proof) then
        return refused("signature", "no evidence")
    elseif not message.check(proof, about) then
        return refused("signature", "evidence of another message")
    end
    return refused("signature", "evidence of another account")
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
    local part = signed_part(proof)
    if input.identity then
        good, refusal = check_identity(account, input.identity, part)
        if not good then
            return nil, refusal
        end
    end
    good, refusal = check_seller(account, input.identity, fact.seller)
    if not good then
        return nil, refusal
    end
    return check_stated(input, part)
end

local numbers = {} ---@type table<string, integer> by key id: as many as there are keys

--- Short name of the key that proved it, as a number for the row: the last 8 hex digits of its id.
---@param proof userdata
---@return integer? key_id
function evidence.key_number(proof)
    local id = proof.key_id
    if type(id) ~= "string" then
        return nil
    elseif not numbers[id] then
        local hex = id:match("(%x%x%x%x%x%x%x%x)[^%x]*$")
        numbers[id] = hex and tonumber(hex, 16)
    end
    return numbers[id]
end

return evidence
