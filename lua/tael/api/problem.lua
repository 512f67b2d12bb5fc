--- Problems (RFC 9457): every error that the API can answer, in one table, and the response made of one.
--- 1 A code that is not in the table is a mistake of ours and becomes `internal`. 2 Nothing of files, SQL,
--- stacks or libraries stands in a problem; `detail` is one sentence that says what to do.
local json = require "tael.json"
local titles = require("tael.problems").titles() -- of those that the engine answers itself, too

local problem = {}

---@class tael.api.Problem
---@field code string
---@field detail string?
---@field errors table[]?    {pointer|parameter|header|file, code, detail}
---@field members table?     further members, such as existing
---@field headers table?

local function row(status, title, detail, retriable)
    return { status = status, title = title, detail = detail, retriable = retriable or false }
end

local R = true -- the same request may be repeated as it is

problem.codes = {
    invalid_json = row(400, "The body is not valid JSON", "Send one JSON object in UTF-8."),
    invalid_field = row(400, "A field has a wrong value", "Correct the field that errors names."),
    unknown_field = row(400, "A field is not known", "Remove or correct the field that errors names."),
    missing_field = row(400, "A field is missing", "Add the field that errors names."),
    invalid_parameter = row(400, "A parameter is wrong", "Correct the parameter that errors names."),
    invalid_header = row(400, titles.invalid_header, "Correct the header that errors names."),
    invalid_cursor = row(400, "The cursor cannot be used",
        "Start the list again without a cursor: cursors hold for one query, one merchant and 24 hours."),
    unsupported_version = row(400, "This version of the API is not known",
        "Leave Tael-Version out or send 2026-11-01."),
    idempotency_key_required = row(400, "An Idempotency-Key is needed",
        "Send the header Idempotency-Key."),
    currency_not_supported = row(400, "The currency is not supported",
        "Use a currency that the channel takes."),
    amount_out_of_range = row(400, "The amount is out of range",
        "Use an amount that the channel takes."),
    product_not_supported = row(400, "The product is not supported",
        "Use a product that the channel has: GET /v1/channels."),

    unauthenticated = row(401, "No valid credential",
        "Send an API key of this engine as Bearer token, or as Basic user: curl -u KEY: does."),
    key_expired = row(401, "The API key has expired", "Use a newer key."),
    key_revoked = row(401, "The API key was revoked", "Use another key."),
    bad_token = row(401, "The token is not valid",
        "Send an API key as Bearer token, or as Basic user without a password: curl -u KEY: does."),

    declined = row(402, "The payment was declined", "Ask the payer for another way to pay."),
    denied_by_rule = row(402, "A rule of the merchant denies this payment",
        "Nothing was sent to a channel."),
    limit_exceeded = row(402, "A limit of the merchant is exceeded", "Nothing was sent to a channel."),

    forbidden = row(403, "Not allowed with this credential",
        "Use a key with the scope that the route needs."),
    second_approval_required = row(403, "A second person must approve", "Ask for approval."),

    not_found = row(404, "There is no such thing", "Check the address and the id."),
    method_not_allowed = row(405, titles.method_not_allowed, "Use a method that Allow names."),
    not_acceptable = row(406, "No acceptable form of the answer", "Accept application/json."),
    request_timeout = row(408, titles.request_timeout, "Send it again.", R),

    merchant_order_id_taken = row(409, "The merchant_order_id is taken",
        "A payment with this merchant_order_id and another content exists; use a new one."),
    merchant_refund_id_taken = row(409, "The merchant_refund_id is taken",
        "A refund with this merchant_refund_id and another content exists; use a new one."),
    payment_not_refundable = row(409, "The payment cannot be refunded",
        "Only money that was received and is still refundable can be given back."),
    refund_exceeds_captured = row(409, "The refund exceeds what is left of the payment",
        "Ask for at most what refundable says."),
    state_conflict = row(409, "The state does not allow this", "Read the object again and decide anew."),
    attempt_open = row(409, "An attempt is still open", "Wait until it is settled, then repeat.", R),
    generation_conflict = row(409, "Other scripts run by now",
        "Read which version is active and decide anew."),

    too_large = row(413, titles.too_large, "Send less."),
    uri_too_long = row(414, titles.uri_too_long, "Use a shorter address."),
    unsupported_media_type = row(415, titles.unsupported_media_type,
        "Send Content-Type: application/json, not compressed."),

    idempotency_key_reused = row(422, "The Idempotency-Key was used with another body",
        "Use a new key for a new request."),
    script_refused = row(422, "The scripts were refused", "Correct what errors names."),
    spec_failed = row(422, "The scripts' own specs failed", "Correct what errors names."),
    configuration_invalid = row(422, "The configuration is not valid", "Correct what errors names."),

    rate_limited = row(429, "Too many requests", "Wait as Retry-After says, then repeat.", R),
    headers_too_large = row(431, titles.headers_too_large, "Send fewer or shorter headers."),

    internal = row(500, titles.internal,
        "Repeat the request; with the same Idempotency-Key or merchant_order_id nothing happens twice.", R),
    not_implemented_by_channel = row(501, "The channel cannot do this", "Use another channel."),
    channel_refused_configuration = row(502, "The channel refuses the account's configuration",
        "The operator must correct the account's keys or contract."),
    script_failed = row(502, "A script failed",
        "The operator finds the cause in the log by request_id."),
    script_timeout = row(502, "A script took too long",
        "The operator finds the cause in the log by request_id."),

    store_unavailable = row(503, "The store does not answer", "Repeat the request a little later.", R),
    overloaded = row(503, titles.overloaded, "Repeat the request a little later.", R),
    no_channel_available = row(503, "No channel can take this payment",
        "Name another channel or account, or repeat later.", R),
    script_unavailable = row(503, "The merchant's scripts cannot be asked now",
        "Repeat the request a little later.", R),
    draining = row(503, titles.draining,
        "Repeat the request at once: another process answers.", R),
}

local RETRY_AFTER_S = "1"

local made_here = {} -- metatable of problems

--- The table that handlers return in place of a result: nil, problem.new("not_found").
---@param code string
---@param detail string? nil: the code's own sentence
---@param more { errors: table[]?, members: table?, headers: table? }?
---@return tael.api.Problem
function problem.new(code, detail, more)
    more = more or {}
    return setmetatable({
        code = code, detail = detail,
        errors = more.errors, members = more.members, headers = more.headers,
    }, made_here)
end

--- One wrong field as a problem of its own.
---@param code string
---@param pointer string "/amount"
---@param detail string
---@return tael.api.Problem
function problem.field(code, pointer, detail)
    return problem.new(code, detail, { errors = { { pointer = pointer, code = code, detail = detail } } })
end

local OWN = { code = true, detail = true, message = true, pointer = true, field = true, errors = true,
    members = true, headers = true }

--- What a kernel's error says beside code and detail, such as existing, state or allowed (a list).
local function members_of(err)
    local members = {}
    for _, from in ipairs { err, err.members or {} } do
        for name, value in pairs(from) do
            if from ~= err or not OWN[name] then
                members[name] = value
            end
        end
    end
    members.allowed = members.allowed and json.array(members.allowed)
    return members
end

--- An error of the kernel, {code, detail?, pointer?, …}, as a problem; other members stay members.
--- A problem stays what it is.
---@param err table
---@return tael.api.Problem
function problem.of(err)
    if getmetatable(err) == made_here then
        return err
    end
    local code, detail = err.code, err.detail or err.message
    if not problem.codes[code] then
        return problem.new("internal")
    end
    local members, errors = members_of(err), err.errors
    local pointer = err.pointer or err.field and "/" .. err.field:gsub("%.", "/")
    if pointer and not errors then
        errors = { { pointer = pointer, code = code, detail = detail or problem.codes[code].detail } }
    end
    return problem.new(code, detail, { errors = errors, members = members, headers = err.headers })
end

local function headers_of(known, given)
    local headers = { ["content-type"] = "application/problem+json" }
    if known.status == 401 then
        headers["www-authenticate"] = 'Bearer realm="tael"'
    elseif known.status == 429 or known.status == 503 then
        headers["retry-after"] = RETRY_AFTER_S
    end
    for name, value in pairs(given or {}) do
        headers[name] = value
    end
    return headers
end

---@param made tael.api.Problem
---@param about { instance: string, request_id: string }
---@return table response
function problem.response(made, about)
    local known = problem.codes[made.code]
    local body = {}
    for name, value in pairs(made.members or {}) do
        body[name] = value
    end
    body.type = "https://tael.dev/problems/" .. made.code
    body.title, body.status, body.code = known.title, known.status, made.code
    body.detail = made.detail or known.detail
    body.instance, body.request_id = about.instance, about.request_id
    body.retriable = known.retriable
    body.errors = made.errors and #made.errors > 0 and json.array(made.errors) or nil
    return { status = known.status, headers = headers_of(known, made.headers), body = json.encode(body) }
end

--- The page that `type` names, for people.
---@param code string
---@return string? text
function problem.page(code)
    local known = problem.codes[code]
    return known and ("%s\n\n%s (HTTP %d)\n%s\n%s\n"):format(code, known.title, known.status, known.detail,
        known.retriable and "The same request may be repeated as it is."
            or "Repeating it unchanged will not help.")
end

return problem
