--- Where a member's raw text stands: input is a path, a line break and a document. The place is checked
--- against the reader of whole documents: what stands there is the member's value, from its first byte to its
--- last, and something else put there is what the member then is.
local json = require "tael.json"
local message = require "tael.message"

local MARK = "9007199254740993"
local codes = { invalid_json = true, duplicate = true, not_found = true }

--- The value at a path of names; nil when something on the way is no object.
local function value_at(value, path)
    for name in (path .. "."):gmatch("(.-)%.") do
        if type(value) ~= "table" or json.is_array(value) then
            return nil
        end
        value = value[name]
    end
    return value
end

local function check_message(bytes, path, raw)
    local received = message.new { account = 1, at = 1, raw = bytes }
    local material = received:span(path)
    assert((material and material:text()) == raw, "a message sees another span")
    local unescaped = received:span(path, { unescape_slashes = true })
    assert((unescaped and unescaped:text()) == (raw and raw:gsub("\\/", "/")), "slashes")
end

local function check_place(bytes, path, first, last)
    local raw = bytes:sub(first, last)
    assert(#raw > 0 and not raw:find("^[ \t\r\n]") and not raw:find("[ \t\r\n]$"), "blanks in the span")
    assert(bytes:sub(1, first - 1):find(":[ \t\r\n]*$"), "no colon before it")
    assert(bytes:sub(last + 1):find("^[ \t\r\n]*[,}]"), "no end behind it")
    local whole = json.decode(bytes)
    if whole == nil then
        return -- deeper down there are limits that are not the span's
    end
    assert(json.encode(json.decode(raw)) == json.encode(value_at(whole, path)), "another value")
    local marked = assert(json.decode(bytes:sub(1, first - 1) .. MARK .. bytes:sub(last + 1)))
    assert(value_at(marked, path) == math.tointeger(MARK), "the span is not the member's")
end

---@param input string
return function(input)
    local path, bytes = input:match("^([^\n]*)\n(.*)$")
    if not path then
        return
    end
    local first, last = json.span(bytes, path)
    check_message(bytes, path, first and bytes:sub(first, last --[[@as integer]]))
    if first then
        return check_place(bytes, path, first, last)
    end
    assert(codes[last.code], last.code)
    assert(last.offset >= 1 and last.offset <= #bytes + 1, "an offset outside the text")
    local whole = last.code == "not_found" and json.decode(bytes)
    assert(not whole or value_at(whole, path) == nil, "a member was not found")
    if last.code == "invalid_json" and json.decode(bytes) ~= nil then
        assert(select(2, bytes:gsub(":", "")) > 256, "a document that is read was refused")
    end
end
