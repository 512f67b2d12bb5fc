--- Effects that concern payments: what the API does, through the same functions, with the same checks and the
--- same idempotency, for this merchant alone.
local hold = require "tael.kernel.hold"
local json = require "tael.json"
local payments = require "tael.kernel.payments"
local payments_api = require "tael.api.payments"
local plain = require "tael.scripts.plain"
local problem = require "tael.api.problem"
local refunds_api = require "tael.api.refunds"
local validate = require "tael.api.validate"

local M = {}

--- What the API would answer, as an error of a script's.
local function told(err)
    local made = problem.of(err)
    local known = problem.codes[made.code]
    local out = plain.of(made.members or {})
    out.code, out.message, out.retriable = made.code, made.detail or known.detail, known.retriable or nil
    local first = made.errors and made.errors[1]
    out.pointer = first and first.pointer or nil
    return nil, out
end

local function id_of(payment)
    return type(payment) == "table" and payment.id or payment
end

--- A table of a script's as a body of the API: nothing of it is the script's own any more.
local function body_of(given)
    local copy = {}
    for name, value in pairs(given) do
        copy[name] = type(value) == "table" and (#value > 0 and json.array(body_of(value)) or body_of(value))
            or value
    end
    return copy
end

local function accepted(schema, given)
    return validate.body(schema, body_of(given))
end

function M.charge(run, order)
    local body, refused = accepted(payments_api.create_schema, order)
    if not body then
        return told(refused)
    end
    local status, view = payments_api.create { body = body, caller = { actor = run.actor } }
    if not status then
        return told(view)
    end
    return plain.of(view)
end

function M.get(_, id)
    local view, err = payments.get(id)
    if not view then
        return told(err)
    end
    return plain.of(view)
end

function M.find(_, merchant_order_id)
    local list, err = payments.list { merchant_order_id = merchant_order_id, limit = 1 }
    if not list then
        return told(err)
    elseif not list[1] then
        return told { code = "not_found", detail = "there is no such payment" }
    end
    return plain.of(list[1])
end

function M.close(run, payment)
    local result, err = payments.close(id_of(payment), run.actor)
    if not result then
        return told(err)
    elseif result.payment.state == "closed" then
        return true
    elseif result.payment.state == "paid" then
        return nil, { code = "paid", message = "money came first" }
    end
    return nil, { code = "unknown", retriable = true,
        message = "only the channel knows yet; it goes on by itself" }
end

function M.query(run, payment)
    local result, err = payments.sync(id_of(payment), run.actor)
    if not result then
        return told(err)
    end
    return plain.of(result.payment)
end

function M.refund(run, payment, options)
    local body, refused = accepted(refunds_api.create_schema, options)
    if not body then
        return told(refused)
    end
    local status, view = refunds_api.create {
        body = body, params = { id = id_of(payment) }, caller = { actor = run.actor },
    }
    if not status then
        return told(view)
    end
    return plain.of(view)
end

local REASON_MAX = 500

function M.review(run, payment, reason)
    if reason == "" or #reason > REASON_MAX or not utf8.len(reason) then
        return nil, "reason must be a text of 1 to 500 bytes"
    end
    local done, err = hold.begin(id_of(payment), reason, run.actor)
    if not done then
        return told(err)
    end
    return true
end

return M
