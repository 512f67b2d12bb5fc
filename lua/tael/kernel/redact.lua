--- What may be shown of a signed text: enough to see why a signature does not fit, nothing that identifies
--- a person and nothing that signs.
local redact = {}

local function hide()
    return "[hidden]"
end

local function ends(keep_first, keep_last)
    return function(value)
        if #value <= keep_first + keep_last then
            return ("*"):rep(#value)
        end
        return value:sub(1, keep_first) .. "…" .. value:sub(-keep_last)
    end
end

local function email(value)
    local first, domain = value:match("^(.).-(@.+)$")
    return first and first .. "…" .. domain or ends(1, 0)(value)
end

--- By name: the first that fits decides.
local names = {
    { "sign$", hide }, { "signature", hide }, { "secret", hide }, { "token", hide }, { "password", hide },
    { "email", email }, { "logon", email }, { "mobile", ends(3, 4) }, { "phone", ends(3, 4) },
    { "buyer", ends(3, 3) }, { "payer", ends(3, 3) }, { "open_?id", ends(3, 3) }, { "user_id", ends(3, 3) },
    { "real_name", ends(1, 0) }, { "cert_no", ends(3, 2) }, { "id_number", ends(3, 2) },
    { "bank_card", ends(6, 4) }, { "address", hide },
}

--- Amounts of the payer's side carry the word, but identify nobody.
local harmless = { "amount", "type", "time", "date", "status" }

local function by_name(name)
    local lower = name:lower()
    for _, word in ipairs(harmless) do
        if lower:find(word, 1, true) then
            return nil
        end
    end
    for _, rule in ipairs(names) do
        if lower:find(rule[1]) then
            return rule[2]
        end
    end
end

--- Phones and identity numbers inside longer values.
local function inside(value)
    value = value:gsub("%f[%d]1[3-9]%d%d%d%d%d%d%d%d%d%f[%D]", ends(3, 4))
    return (value:gsub("%f[%d]%d%d%d%d%d%d[12]%d%d%d%d%d%d%d%d%d%d[%dXx]%f[^%dXx]", ends(3, 2)))
end

---@param name string
---@param value string
---@return string
function redact.value(name, value)
    local mask = by_name(name)
    return mask and mask(value) or inside(value)
end

--- "a=1&b=2", values as they are after decoding. fields tells where each value begins and ends, since a
--- value may hold "&" and "="; what is not a field stays hidden.
---@param text string? the text that was signed
---@param fields table<string, string>? decoded fields of the message
---@return string?
function redact.signed_text(text, fields)
    if not text then
        return nil
    elseif not fields then
        return (inside(text))
    end
    local sorted = {}
    for name in pairs(fields) do
        sorted[#sorted + 1] = name
    end
    table.sort(sorted)
    local out, at = {}, 1
    for _, name in ipairs(sorted) do
        local pair = name .. "=" .. fields[name]
        if text:sub(at, at + #pair - 1) == pair then
            out[#out + 1] = name .. "=" .. redact.value(name, fields[name])
            at = at + #pair + 1
        end
    end
    if at <= #text then
        out[#out + 1] = "[hidden]"
    end
    return table.concat(out, "&")
end

return redact
