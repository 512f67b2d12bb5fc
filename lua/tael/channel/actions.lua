--- The shape of a next_action: what goes on to the payer's browser, phone or screen (interfaces §3). A copy
--- of exactly the members of its type is made; anything else in it is refused, not passed on.
local text = require "tael.text"

local actions = {}

local max_text = 16384   -- bytes: an address with everything in it
local max_members = 100  -- of fields and params

local function is_text(value)
    return value ~= "" and text.is_plain(value, max_text)
end

local function is_address(value)
    return is_text(value) and value:find("^https?://[^/ ]") ~= nil and not value:find(" ", 1, true)
end

local function is(word)
    return function(value)
        return value == word
    end
end

local function is_positive(value)
    return math.type(value) == "integer" and value > 0
end

local hints = { payer_password = true, processing = true, unknown = true }

local function is_hint(value)
    return type(value) == "string" and hints[value] == true
end

--- A copy of a map of texts; the values may be empty or of several lines, as a form's may.
local function texts(value)
    if type(value) ~= "table" then
        return nil
    end
    local copy, count = {}, 0
    for name, member in next, value do
        count = count + 1
        if not is_text(name) or type(member) ~= "string" or #member > max_text or not utf8.len(member)
            or member:find("\0", 1, true) or count > max_members then
            return nil
        end
        copy[name] = member
    end
    return count > 0 and copy or nil
end

local members = {
    redirect = { method = is "GET", url = is_address },
    form = { method = is "POST", url = is_address, charset = is_text, fields = texts },
    qr_code = { code_url = is_text },
    app = { sdk = is_text, params = texts, order_string = is_text },
    jsapi = { bridge = is_text, params = texts },
    mini_program = { api = is_text, params = texts },
    wait = { poll_after_ms = is_positive, hint = is_hint },
    confirm_transfer = { api = is_text, params = texts },
    sdk = { sdk = is_text, params = texts },
}
-- one of the two
local instead = { app = { params = "order_string", order_string = "params" } }

local function copied(kind, action)
    local copy = { type = kind, first = nil, second = nil, third = nil } -- room for most
    for name, check in pairs(members[kind]) do
        local value = rawget(action, name)
        local other = instead[kind] and instead[kind][name]
        if value ~= nil or not other or rawget(action, other) == nil then
            local good = check(value)
            if not good then
                return nil, name
            end
            copy[name] = good == true and value or good -- a check of a table gives its copy
        end
    end
    return copy
end

--- A copy of an action as a package gave it.
---@param action any
---@return table? copy
---@return string? wrong what is wrong with it
function actions.check(action)
    local kind = type(action) == "table" and rawget(action, "type") or nil
    if type(kind) ~= "string" or not members[kind] then
        return nil, "a next_action of no known type"
    end
    for name in next, action do
        if name ~= "type" and not members[kind][name] then
            return nil, "a next_action with an unknown member"
        end
    end
    local copy, name = copied(kind, action)
    if not copy then
        return nil, ("a next_action with a wrong %s"):format(name)
    elseif copy.params and copy.order_string then
        return nil, "a next_action with two orders"
    end
    return copy
end

return actions
