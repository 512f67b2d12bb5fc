--- /v1/payments: create, get, list, and the attempts of one.
local account_fields = require "tael.channel.account"
local crypto = require "tael.crypto"
local due = require "tael.kernel.due"
local events = require "tael.kernel.events"
local ids = require "tael.kernel.ids"
local inspect = require "tael.kernel.inspect"
local json = require "tael.json"
local lists = require "tael.api.lists"
local money = require "tael.kernel.money"
local payments = require "tael.kernel.payments"
local refunds = require "tael.kernel.refunds"
local registry = require "tael.kernel.registry"
local schema = require "tael.api.schema"
local source = require "tael.kernel.source"

local M = {}

local STATES = { "created", "pending", "authorized", "paid", "closed", "failed", "review" }
local LOOPBACK = { localhost = true, ["127.0.0.1"] = true, ["[::1]"] = true }

local function check_currency(value)
    if not money.exponent(value) then
        return "'" .. value .. "' is not a currency of ISO 4217 that can be paid in", "currency_not_supported"
    end
end

--- "[::1]:80" -> "[::1]"; nil: no host and port as RFC 3986 has them.
local function host_of(authority)
    local address, port = authority:match("^%[(%x*:[%x:.]+)%](.*)$")
    local name = address and source.address(address) and "[" .. address .. "]"
    if not address then
        name, port = authority:match("^(%w[%w.%-]*)(.*)$")
    end
    local number = port and port:match("^:(%d*)$")
    local good = name and (port == "" or number and #number <= 5 and (tonumber(number) or 0) <= 65535)
    return good and name or nil
end

--- What stands in a Location as it is: ASCII, every % of an escape, one fragment at most (RFC 3986). https,
--- without user; http only to the caller's own machine, for development.
local function check_return_url(value)
    if value:find("[^!-~]") then
        return "must be ASCII without blanks: percent-encode other characters, write a host name as xn--…"
    elseif value:gsub("%%%x%x", ""):find("%", 1, true) then
        return "must have two hexadecimal digits behind each %"
    end
    local scheme, authority, rest = value:match("^(%l+)://([^/?#]*)(.*)$")
    if authority and authority:find("@", 1, true) then
        return "must not hold a user name or password"
    end
    local name = authority and host_of(authority)
    if not name or rest:find("[<>\"\\^`{|}]") or rest:find("#.*#") then
        return "must be an absolute https URL"
    elseif scheme ~= "https" and not (scheme == "http" and LOOPBACK[name]) then
        return "must be an https URL"
    end
end

local function check_address(value)
    return not source.address(value)
        and "must be an IP address such as 203.0.113.7 or 2001:db8::7" or nil
end

local function text(max)
    return { type = "string", min = 1, max = max }
end

M.create_schema = {
    fields = {
        merchant_order_id = { type = "string", required = true, match = "^[%w_.%-]+$", min = 1, max = 64,
            form = "1 to 64 letters, digits, '_', '.' or '-'", doc = "the merchant's own, unique for ever" },
        amount = { type = "integer", required = true, min = money.MIN, max = money.MAX, doc = "minor units" },
        currency = { type = "string", required = true, match = "^%u%u%u$", form = "a code such as CNY",
            check = check_currency, doc = "ISO 4217" },
        subject = { type = "string", required = true, min = 1, max = 128, doc = "shown to the payer" },
        channel = { type = "string", match = "^[a-z][a-z0-9]+$", max = 16, form = "a channel's name",
            doc = "without it the only account's" },
        product = { type = "enum", values = schema.PRODUCTS, doc = "way of paying; without it by device" },
        device = { type = "enum", values = { "desktop", "mobile", "wallet", "terminal" },
            doc = "chooses page, wap, jsapi or qr" },
        account = schema.slug,
        parallel = { type = "enum", values = { "none", "refund_surplus" },
            doc = "may another attempt begin beside an open one" },
        capture = { type = "enum", values = { "automatic", "manual" } },
        expires_in = { type = "integer", min = 60, max = 1296000, doc = "seconds" },
        expires_at = { type = "time" },
        payer = { type = "object", fields = {
            client_ip = { type = "string", min = 1, max = 45, check = check_address,
                doc = "IPv4 or IPv6 address" },
            user_agent = text(512), openid = text(128), buyer_id = text(64), buyer_open_id = text(128),
            name = text(64), id_number = text(32), locale = text(35),
        } },
        return_url = { type = "string", max = 255, check = check_return_url,
            doc = "where the payer comes back to, https" },
        description = { type = "string", min = 1, max = 400, control = true },
        channel_options = { type = "map", count = 4, key = "^[a-z][a-z0-9]+$",
            key_form = "a channel's name", value = { type = "object", open = true },
            doc = "what only one channel knows, by channel" },
        metadata = schema.metadata,
    },
}

M.list_query = schema.list {
    merchant_order_id = text(64), order_no = text(64), trade_no = text(64),
    state = { type = "enum", values = STATES }, channel = text(16),
    created_after = schema.time, created_before = schema.time,
}

M.get_query = { expand = { type = "list", count = 5, values = { "attempts", "refunds", "events",
    "notifications" } } }

--- 16 bytes that stand for the accepted body: equal requests, however they were written, are the same one.
---@param body table
---@return string
function M.digest(body)
    return crypto.digest("sha256", "payments.create\n" .. json.encode(body, { sort = true })):sub(1, 16)
end

--- channel_options in the channel's own normal form.
local function check_options(given)
    if not given then
        return nil
    end
    local out = {}
    for channel, values in pairs(given) do
        local package = registry.channel(channel)
        if not package then
            return nil, { code = "invalid_field", pointer = "/channel_options/" .. channel,
                detail = "There is no channel '" .. channel .. "'." }
        end
        local normal, err = account_fields.options(package, values)
        if not normal then
            local pointer = "/channel_options/" .. channel .. "/" .. err.field
            return nil, { code = "invalid_field", pointer = pointer,
                detail = "channel_options." .. channel .. "." .. err.message }
        end
        out[channel] = normal
    end
    return out
end

local function check_together(body)
    if body.expires_in and body.expires_at then
        return nil, { code = "invalid_field", pointer = "/expires_at",
            detail = "Send either expires_in or expires_at." }
    end
    return true
end

---@param call tael.api.Call
function M.create(call)
    local body = call.body
    local good, wrong = check_together(body)
    if not good then
        return nil, wrong
    end
    local digest = M.digest(body)
    local options, err = check_options(body.channel_options)
    if err then
        return nil, err
    end
    body.channel_options = options
    local result
    result, err = payments.create {
        actor = call.caller.actor, input = body, digest = digest, idempotency_key = call.idempotency_key,
    }
    if not result then
        return nil, err
    end
    return 201, result.payment, {
        location = "/v1/payments/" .. result.payment.id,
        ["idempotency-replayed"] = result.replayed and "true" or nil,
        ["content-type"] = nil, ["tael-request-id"] = nil, ["tael-version"] = nil, ["cache-control"] = nil,
    }
end

--- What hangs on a payment besides its attempts, newest first, one page of each.
local related = { events = events.list, notifications = inspect.list, refunds = refunds.list }

---@param call tael.api.Call
function M.get(call)
    local wanted, expand = call.query.expand, {}
    if not wanted then
        local view, err = payments.get(call.params.id)
        return view and 200, view or err
    end
    for _, name in ipairs(wanted) do
        expand[name] = true
    end
    local view, err = payments.get(call.params.id, { expand = expand })
    if not view then
        return nil, err
    end
    for name, list_of in pairs(related) do
        if expand[name] then
            local list, wrong = list_of { payment = ids.decode("pay", view.id), limit = schema.limit.max }
            if not list then
                return nil, wrong
            end
            view[name] = json.array(list)
        end
    end
    if view.attempts then
        view.attempts = json.array(view.attempts)
    end
    return 200, view
end

---@param call tael.api.Call
function M.list(call)
    local position, refused = lists.position(call)
    if refused then
        return nil, refused
    end
    local query = call.query
    local before = query.created_before and due.before(query.created_before)
    local list, rest = payments.list {
        limit = query.limit or schema.LIMIT_DEFAULT, before = position or before,
        since = query.created_after and due.before(query.created_after),
        state = query.state, channel = query.channel, merchant_order_id = query.merchant_order_id,
        order_no = query.order_no, trade_no = query.trade_no,
    }
    if not list then
        return nil, rest
    end
    return 200, lists.page(call, list, rest)
end

---@param call tael.api.Call
function M.attempts(call)
    local list, err = payments.attempts(call.params.id)
    if not list then
        return nil, err
    end
    return 200, { data = json.array(list), next_cursor = json.null }
end

return M
