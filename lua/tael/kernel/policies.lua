--- What a merchant wants done with money that comes too late, or twice: its rule says, else its
--- configuration, else the engine's.
local details_of = require "tael.kernel.details"
local ids = require "tael.kernel.ids"
local log = require "tael.log"
local registry = require "tael.kernel.registry"
local rule_inputs = require "tael.scripts.inputs"
local rules = require "tael.scripts.rules"

local policies = {}

local RULE_OF = { closed = "on_late_paid", failed = "on_late_paid", paid = "on_duplicate_paid" }

--- The rule's word; nil: there is none, or it failed, which has been told.
local function ask(rule, payment, attempt, now)
    local merchant = registry.merchant(payment.merchant)
    local verdict = rules.ask(merchant.slug, { rule }, function()
        local details = details_of.read(payment) or {}
        return { payment = rule_inputs.existing(merchant, payment, details, attempt, now),
            attempt = rule_inputs.attempt(attempt) }
    end)[rule]
    if verdict.wish then
        log.info("rule.decided", { merchant = merchant.slug, rule = rule, wish = verdict.wish,
            payment = ids.encode("pay", payment.id), generation = verdict.generation })
    end
    return verdict.wish
end

--- Of a success that finds its payment in this state.
---@param payment table row
---@param attempt table row that has succeeded
---@param now integer ms
---@return { late: "accept"|"refund"|"review", duplicate: "refund"|"review" }
function policies.of(payment, attempt, now)
    local wanted = {
        late = registry.policy(payment.merchant, "on_late_paid"),
        duplicate = registry.policy(payment.merchant, "on_duplicate_paid"),
    }
    local rule = RULE_OF[payment.state]
    local wish = rule and ask(rule, payment, attempt, now)
    if wish and rule == "on_late_paid" then
        wanted.late = wish
    elseif wish then
        wanted.duplicate = wish
    end
    return wanted
end

return policies
