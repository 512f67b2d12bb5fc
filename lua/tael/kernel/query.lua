--- Asks a channel about an order. The call's row is durable before a byte leaves; what comes back moves the
--- payment only with evidence, by the same decision as a notification.
--- 1 No answer, no signature or a word nobody knows settles nothing. 2 An answer about another order, amount
--- or currency is refused. 3 Asking is harmless: it moves no money at the channel.
local calls = require "tael.kernel.calls"
local evidence = require "tael.kernel.evidence"
local ids = require "tael.kernel.ids"
local log = require "tael.log"
local registry = require "tael.kernel.registry"
local settle = require "tael.kernel.settle"

local query = {}

local PAUSE_MS = 1000 -- between two queries of one order

--- What the outcome states about the order; nil when it states nothing that may act.
---@param outcome tael.channel.Outcome
---@param order_no string
---@return table? fact
function query.fact_of(outcome, order_no)
    local result = outcome.result
    if not outcome.evidence or not result then
        return nil
    elseif outcome.class == "not_found" then
        return { kind = "payment", state = "not_found", order_no = order_no, code = result.channel_code
            or result.code }
    elseif outcome.class ~= "ok" and not (outcome.class == "unknown" and result.state == "unknown") then
        return nil
    elseif not result.state then
        return nil
    end
    return {
        kind = "payment", state = result.state, channel_state = result.channel_state,
        order_no = result.order_no,
        trade_no = result.trade_no, amount = result.amount, currency = result.currency, at = result.at,
        code = result.channel_state or result.channel_code or result.code, given_back = result.given_back,
    }
end

--- "not found" names no order; everything else is held against what was signed.
local function admit(outcome, fact, account, order_no)
    if fact.state == "not_found" then
        return evidence.authentic(outcome.evidence, outcome.message, account)
    elseif fact.order_no ~= order_no then
        return nil, { check = "order", detail = "the answer is about another order" }
    end
    local package = registry.package(account)
    return evidence.admit { proof = outcome.evidence, message = outcome.message, account = account,
        fact = fact, stated = (package.stated or {}).query, amounts = package.amounts }
end

--- Asks the channel, moves nothing: what was asked, with the fact that its evidence admits.
---@param attempt table row, of the scope's merchant
---@param payment table row
---@param actor string
---@return tael.kernel.Asked? asked whoever gets it ends the call (calls.finish, calls.close)
---@return table? fact nil with an asked: the answer proves nothing; without one: err
function query.look(attempt, payment, actor)
    local asked, err = calls.send { op = "query", object = attempt.id, payment = payment, attempt = attempt,
        actor = actor }
    if not asked then
        log.error("query.failed", { attempt = ids.encode("att", attempt.id), code = err.code,
            detail = err.detail })
        return nil, err
    end
    local order_no = ids.order_number(attempt.id)
    local fact = query.fact_of(asked.outcome, order_no)
    if not fact then
        return asked
    end
    local good, refusal = admit(asked.outcome, fact, asked.account, order_no)
    if not good then
        settle.alarm("answer_refused", { call = ids.encode("cal", asked.call), check = refusal.check,
            detail = refusal.detail, attempt = ids.encode("att", attempt.id) })
        return asked
    end
    return asked, fact
end

--- Asks the channel about this attempt now, and settles what the answer proves.
---@param attempt table row, of the scope's merchant
---@param payment table row
---@param actor string
---@return tael.kernel.Decision? decision
---@return table? fact what the answer proves; without a decision: err
function query.attempt(attempt, payment, actor)
    local asked, fact = query.look(attempt, payment, actor)
    if not asked then
        return nil, fact
    elseif not fact then
        return calls.close(asked)
    end
    local finish = calls.finish(asked)
    local decision, err = settle.apply {
        attempt = attempt.id, fact = fact, actor = actor, proof = calls.proof(asked),
        extra = function() return { finish } end,
    }
    return decision, decision and fact or err
end

--- Asks about an attempt, unless that was done within the last second.
---@param id integer
---@param actor string
---@return boolean asked
function query.sync(id, actor)
    if calls.recent(id, "query", PAUSE_MS) then
        return false
    end
    local attempt, payment = settle.read(id)
    return attempt ~= nil and query.attempt(attempt, payment --[[@as table]], actor) ~= nil
end

return query
