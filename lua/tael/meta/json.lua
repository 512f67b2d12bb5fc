---@meta tael.json

--- Strict, exact JSON (RFC 8259; limits of the HTTP API). Usable everywhere, in pure functions too.
---@class tael.json
---@field null lightuserdata stands for null; the same value as lua-cjson's
---@field array_mt table metatable of arrays
local json = {}

--- A number that is not an int64: its text is kept as it was written; tostring gives it, == compares it.
---@class tael.json.Decimal: userdata

---@class tael.json.Limits
---@field max_depth? integer arrays and objects within each other; default 32, at most 192
---@field max_members? integer of one object; default 256
---@field max_tokens? integer values and names together; default 20000
---@field max_string? integer bytes of a decoded string or name; default 65536

---@class tael.json.Error
---@field code "invalid_json"|"duplicate"|"not_found"
---@field message string what is wrong, without any of the text
---@field offset integer the byte (from 1) that is wrong

--- Reads one document. Integers that fit become integers ("-0" is 0), other numbers decimals, null
--- json.null; arrays get json.array_mt, objects are plain tables. Refused: duplicate names, text that is not
--- UTF-8, lone surrogates, anything after the document.
---@param text string
---@param limits? tael.json.Limits an unknown name raises
---@return any value
---@return tael.json.Error? err
function json.decode(text, limits) end

--- Writes a value: names in byte order, no blanks, non-ASCII and '/' as they are. A table with json.array_mt
--- or with the keys 1 to n is an array, any other an object. Raises on floats, functions, cycles, mixed
--- keys, nil, and text that is not UTF-8, naming the member.
---@param value any
---@param options? {sort: true} the only way there is
---@return string
function json.encode(value, options) end

--- Where the raw text of a member stands: for signatures over the bytes as received.
---@param text string one whole JSON document
---@param path string "a", or "a.b" for member b of the object a
---@return integer? first byte, from 1; a string's quotes are included
---@return integer|tael.json.Error last
function json.span(text, path) end

--- Marks a table as an array, so that it stays one when it is empty.
---@generic T: table
---@param t? T default: a new table
---@return T
function json.array(t) end

--- Marks a table as an object.
---@generic T: table
---@param t? T default: a new table
---@return T
function json.object(t) end

---@param value any
---@return boolean # true for tables that decode or json.array marked
function json.is_array(value) end

--- A number to be written exactly so; raises when the text is not a number of JSON.
---@param text string
---@return tael.json.Decimal
function json.decimal(text) end

---@param value any
---@return boolean
function json.is_decimal(value) end

return json
