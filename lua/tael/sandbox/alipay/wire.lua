--- The simulated Alipay's own reading, writing, signing and verifying. It shares no code with the channel
--- package on purpose: that the two agree is shown only by the vectors and the official SDK. What it takes
--- from the engine is RSA itself.
local shown = require "tael.shown"

local wire = {}

-- ---- forms ----

local function percent_decode(text)
    if text:find("%%%X") or text:find("%%.?$") or text:find("%%%x%X") then
        return nil
    end
    local decoded = text:gsub("+", " "):gsub("%%(%x%x)", function(digits)
        return string.char(tonumber(digits, 16))
    end)
    return decoded
end

--- Adds the parameters of a query or body to `into`. A name that is already there is refused, unless it is
--- the charset said twice alike, as the PHP library does.
---@param into table<string, string>
---@param text string
---@return true?
---@return string? name of the parameter that is at fault
function wire.read_form(into, text)
    for pair in text:gmatch("[^&]+") do
        local raw_name, raw_value = pair:match("^([^=]*)=?(.*)$")
        local name, value = percent_decode(raw_name), percent_decode(raw_value)
        if not name or not value or not utf8.len(name) or not utf8.len(value) then
            return nil, shown(raw_name)
        end
        local same_charset = name == "charset" and into[name] == value
        if into[name] ~= nil and not same_charset then
            return nil, name
        end
        into[name] = value
    end
    return true
end

local function percent_encode(text)
    local encoded = text:gsub("[^%w%-%._~ ]", function(byte)
        return ("%%%02X"):format(byte:byte())
    end):gsub(" ", "+")
    return encoded
end

local function sorted(fields)
    local names = {}
    for name in pairs(fields) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

--- As Alipay writes it: blanks as +, names in order.
---@param fields table<string, string>
---@return string
function wire.write_form(fields)
    local pairs_out = {}
    for _, name in ipairs(sorted(fields)) do
        pairs_out[#pairs_out + 1] = percent_encode(name) .. "=" .. percent_encode(fields[name])
    end
    return table.concat(pairs_out, "&")
end

-- ---- signatures ----

--- name=value joined by &, by name, decoded values, without the names in `except`.
---@param fields table<string, string>
---@param except table<string, true>
---@param keep_empty boolean
---@return string
function wire.text_to_sign(fields, except, keep_empty)
    local parts = {}
    for _, name in ipairs(sorted(fields)) do
        if not except[name] and (keep_empty or fields[name] ~= "") then
            parts[#parts + 1] = name .. "=" .. fields[name]
        end
    end
    return table.concat(parts, "&")
end

local only_sign = { sign = true }
local sign_and_type = { sign = true, sign_type = true }

--- The merchant's signature of a request: sign_type is in the text. Libraries differ on empty values.
---@param fields table<string, string>
---@param key userdata the merchant's public key
---@return boolean
---@return string text that Alipay made of the request
function wire.verify_request(fields, key)
    local text = wire.text_to_sign(fields, only_sign, false)
    if key:verify("sha256", text, fields.sign) then
        return true, text
    end
    local with_empty = wire.text_to_sign(fields, only_sign, true)
    return with_empty ~= text and key:verify("sha256", with_empty, fields.sign), text
end

--- Signs what Alipay sends to the merchant: sign_type is not in the text.
---@param fields table<string, string>
---@param key userdata Alipay's private key
---@return string sign
function wire.sign_fields(fields, key)
    return key:sign("sha256", wire.text_to_sign(fields, sign_and_type, false))
end

-- ---- JSON, written in a given order, as the gateway does ----

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function json_string(text, slashes)
    text = text:gsub('[%c"\\]', function(byte)
        return escapes[byte] or ("\\u%04x"):format(byte:byte())
    end)
    return '"' .. (slashes and text:gsub("/", "\\/") or text) .. '"'
end

--- An object without blanks from a list of {name, value}; members without value are left out, a value {raw =
--- text} is JSON already.
---@param members { [1]: string, [2]: string|{raw: string}|false|nil }[]
---@param slashes boolean write / as \/
---@return string
function wire.json_object(members, slashes)
    local parts = {}
    for _, member in ipairs(members) do
        local value = member[2]
        if value then
            local text = type(value) == "table" and value.raw or json_string(value, slashes)
            parts[#parts + 1] = json_string(member[1]) .. ":" .. text
        end
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

--- An answer: the node first, then its signature.
---@param root string
---@param node string raw JSON text
---@param sign string? nil: unsigned
---@return string
function wire.answer(root, node, sign)
    local tail = sign and (',"sign":' .. json_string(sign)) or ""
    return "{" .. json_string(root) .. ":" .. node .. tail .. "}"
end

return wire
