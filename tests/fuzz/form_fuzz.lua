--- Form decoding against a second one that is written down here, and what is written from it. The first byte
--- of an input chooses charset and limits.
local form = require "tael.form"

local charsets = { "utf-8", "gbk", "bytes" }
local codes = { duplicate = true, escape = true, nul = true, name = true, too_many = true,
    too_long = true, charset = true }

local function unescape(text)
    text = text:gsub("+", " ")
    if text:gsub("%%%x%x", ""):find("%", 1, true) then
        return nil
    end
    return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function is_gbk(text)
    return text:gsub("[\129-\254][\64-\126\128-\254]", ""):find("[\128-\255]") == nil
end

local function fits(text, charset)
    if charset == "utf-8" then
        return utf8.len(text) ~= nil
    end
    return charset == "bytes" or is_gbk(text)
end

--- Fields and names, or nil: what the header of engine/base/form.h says, in its own words.
local function read(bytes, options)
    local fields, names = {}, {}
    for part in (bytes == "" and "" or bytes .. "&"):gmatch("([^&]*)&") do
        local name, value = part:match("^([^=]*)=?(.*)$")
        name, value = unescape(name), unescape(value)
        if not name or not value or name == "" or fields[name] or (name .. value):find("%z")
            or #names == options.max_fields or #name > options.max_name
            or #value > (options.limits[name] or options.max_value)
            or not fits(name, options.charset) or not fits(value, options.charset) then
            return nil
        end
        fields[name], names[#names + 1] = value, name
    end
    return fields, names
end

local function equal(a, b)
    for name, value in pairs(a) do
        assert(b[name] == value, "another value")
    end
    for name in pairs(b) do
        assert(a[name] ~= nil, "another name")
    end
end

local function check_written(fields, names, options)
    equal(fields, assert(form.decode(form.encode(fields), options)))
    local sorted, parts = table.move(names, 1, #names, 1, {}), {}
    table.sort(sorted, function(a, b) return a < b end)
    for i, name in ipairs(sorted) do
        parts[i] = name .. "=" .. fields[name]
    end
    assert(form.canonical(fields) == table.concat(parts, "&"), "another canonical text")
    assert(not form.canonical(fields, { except = names }):find("."), "left over")
end

---@param input string
return function(input)
    local choice, bytes = input:byte() or 0, input:sub(2)
    local options = { charset = charsets[choice % 3 + 1], max_fields = choice & 64 > 0 and 3 or 200,
        max_name = choice & 32 > 0 and 4 or 64, max_value = choice & 16 > 0 and 8 or 8192,
        limits = { sign = 12 } }
    local fields, names = form.decode(bytes, options)
    local wanted, wanted_names = read(bytes, options)
    assert((fields ~= nil) == (wanted ~= nil), "taken by one reader, refused by the other")
    if not fields then
        assert(codes[names.code], names.code)
        return
    end
    equal(fields, wanted)
    for i = 1, math.max(#names, #wanted_names) do
        assert(names[i] == wanted_names[i], "another order")
    end
    check_written(fields, names, options)
end
