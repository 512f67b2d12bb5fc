--- The shapes of what a package's functions return. A package is never trusted with more than its words:
--- each value is copied, member by member, without running any metamethod of its tables, and what has a
--- wrong type is named and refused.
local actions = require "tael.channel.actions"
local is_plain = require("tael.text").is_plain

local shapes = {}

local type, math_type, utf8_len = type, math.type, utf8.len

local max_text = 1024
local max_message = 512

--- Whatever a package raised or said, as one short line of text. No metamethod runs.
---@param value any
---@return string
function shapes.line(value)
    if math.type(value) then
        return tostring(value)
    elseif type(value) ~= "string" then
        return "a " .. type(value)
    end
    local text = value:gsub("[%z\1-\31\127]+", " ")
    if #text <= max_message then
        return text
    end
    return text:sub(1, max_message):gsub("[\xC0-\xFF][\x80-\xBF]*$", "") .. " …" -- not in a character
end

local function is_text(value)
    return type(value) == "string" and #value <= max_text and utf8_len(value) ~= nil
end

local function is_integer(value)
    return math_type(value) == "integer"
end

local function is_boolean(value)
    return type(value) == "boolean"
end

--- A check of a map of texts, none longer than max; it gives a copy.
local function map(max)
    return function(value)
        if type(value) ~= "table" then
            return nil
        end
        local copy = { first = nil, second = nil } -- room for two: most have no more
        for name, text in next, value do
            if type(name) ~= "string" or type(text) ~= "string" or #text > max or not utf8_len(text) then
                return nil
            end
            copy[name] = text
        end
        return copy
    end
end

local words = map(max_text)

-- ---- a result ----

local result_members = {
    code = is_text, channel_code = is_text, state = is_text, trade_no = is_text,
    order_no = is_text, refund_no = is_text, currency = is_text, trace_no = is_text,
    amount = is_integer, refunded_total = is_integer, at = is_integer,
    reversed = is_boolean, again = is_boolean, given_back = is_boolean,
    payer = words,
}

--- `copy` is empty, and made for as many members as there may be.
local function copied(members, value, copy)
    for name, member in next, value do
        local check = members[name]
        if check then
            local good = check(member)
            if not good then
                return nil, name
            end
            if good ~= true then -- a check of a table gives its copy
                member = good
            end
            copy[name] = member
        end
    end
    return copy
end

--- A channel's message may quote what it was sent; people need its beginning.
local function short(value)
    return type(value) == "string" and utf8.len(value) and shapes.line(value) or nil
end

local function cancelled(result)
    return result.state == nil or result.state == "cancelled"
end

--- A copy of a result, with the members that the kernel may rely on.
---@param op string
---@param value any what parse returned
---@return tael.channel.Result?
---@return string? wrong
function shapes.result(op, value)
    if type(value) ~= "table" then
        return nil, "parse gave no result"
    end
    local copy, wrong = copied(result_members, value, {
        code = nil, channel_code = nil, state = nil, trade_no = nil, order_no = nil, refund_no = nil,
        currency = nil, amount = nil, at = nil, payer = nil, message = nil, channel_state = nil,
    })
    if not copy then
        return nil, "parse gave a wrong " .. wrong
    elseif not copy.code or copy.code == "" then
        return nil, "the answer has no code"
    elseif op == "cancel" and not cancelled(copy) then
        return nil, "parse gave a wrong state"
    end
    copy.message = short(rawget(value, "message"))
    if op == "cancel" then
        local word = rawget(value, "channel_state")
        copy.channel_state = is_text(word) and word or nil
    elseif op == "create" and rawget(value, "next_action") ~= nil then
        local action, why = actions.check(rawget(value, "next_action"))
        if not action then
            return nil, "parse gave " .. why
        end
        copy.next_action = action
    end
    return copy
end

-- ---- a fact of a notification ----

local fact_members = {
    kind = is_text, order_no = is_text, refund_no = is_text, trade_no = is_text, state = is_text,
    currency = is_text, seller = is_text, alarm = is_text,
    amount = is_integer, at = is_integer, given_back = is_boolean, payer = words,
}

---@param value any
---@return tael.channel.Fact?
---@return string? wrong
function shapes.fact(value)
    if type(value) ~= "table" or type(rawget(value, "kind")) ~= "string" then
        return nil, "a fact has no kind"
    end
    local copy, wrong = copied(fact_members, value, {
        kind = nil, order_no = nil, trade_no = nil, state = nil, currency = nil, seller = nil, amount = nil,
        at = nil, payer = nil, channel_state = nil,
    })
    if not copy then
        return nil, "a fact has a wrong " .. wrong
    end
    return copy
end

-- ---- what a message says of itself ----

local claim_members = {
    order_no = is_text, trade_no = is_text, notification_id = is_text, at = is_integer,
}

---@param value any
---@return tael.channel.Claims?
---@return string? wrong
function shapes.claims(value)
    if type(value) ~= "table" then
        return nil, "parse gave no claims"
    end
    local copy, wrong = copied(claim_members, value,
        { order_no = nil, trade_no = nil, notification_id = nil, at = nil, identity = nil })
    if not copy then
        return nil, "parse gave a wrong " .. wrong
    end
    copy.identity = words(rawget(value, "identity"))
    if not copy.identity then
        return nil, "parse gave a wrong identity"
    end
    return copy
end

-- ---- a request ----

local max_form = 1048576
local max_header = 4096
local max_timeout_ms = 60000
local min_timeout_ms = 100
local bodies = { "form", "json", "body" }

local function is_address(value)
    return is_plain(value) and value:find("^https?://[^/ ]") ~= nil and not value:find(" ", 1, true)
end

local methods = { GET = true, POST = true, PUT = true, PATCH = true, DELETE = true }

local request_members = {
    method = function(value) return type(value) == "string" and methods[value] == true end,
    url = is_address,
    headers = map(max_header),
    form = map(max_form),
    json = function(value) return type(value) == "table" end,
    body = function(value) return type(value) == "string" and utf8.len(value) ~= nil end,
    timeout_ms = function(value)
        return is_integer(value) and value >= min_timeout_ms and value <= max_timeout_ms
    end,
}

local function only(value, members)
    for name in next, value do
        if not members[name] then
            return false, "with an unknown member '" .. shapes.line(name) .. "'"
        end
    end
    return true
end

local function sent(value)
    local known, unknown = only(value, request_members)
    if not known then
        return nil, unknown
    end
    local copy, wrong = copied(request_members, value, {})
    if not copy then
        return nil, "with a wrong " .. wrong
    elseif not copy.url then
        return nil, "without a url"
    end
    local count = 0
    for _, name in ipairs(bodies) do
        count = count + (copy[name] ~= nil and 1 or 0)
    end
    if count > 1 then
        return nil, "with more than one body"
    end
    copy.method = copy.method or (count > 0 and "POST" or "GET")
    return copy
end

--- A copy of a request: what is to be sent, or `local` alone where nothing leaves the machine.
---@param value table what build returned
---@return tael.channel.Request?
---@return string? wrong
function shapes.request(value)
    local here = rawget(value, "local")
    if here == nil then
        return sent(value)
    elseif type(here) ~= "table" or next(value) ~= "local" or next(value, "local") ~= nil then
        return nil, "that is neither local nor to be sent"
    end
    local action, wrong = actions.check(rawget(here, "next_action"))
    if not action then
        return nil, "with " .. wrong
    end
    return { ["local"] = { next_action = action } }
end

return shapes
