---@meta tael.form
--- application/x-www-form-urlencoded and the sorted raw string that protocols sign (C: engine/bind/form.c,
--- engine/base/form.c). Works everywhere, pure functions included. Metamethods of tables never run.

---@class tael.form
local form = {}

---@class tael.form.Options
---@field max_fields? integer  200; at most 1000
---@field max_name? integer  64 bytes, decoded
---@field max_value? integer  8192 bytes, decoded
---@field limits? table<string, integer>  for the values of single fields: { sign = 1024 }
---@field charset? "utf-8"|"gbk"|"bytes"  "utf-8": what names and values are checked for; bytes stay bytes

---@class tael.form.Error : tael.Error
---@field code "duplicate"|"escape"|"nul"|"name"|"too_many"|"too_long"|"charset"  name: it has none
---@field field? string

--- Decodes once; '+' is a blank, a field without '=' has an empty value. Empty bytes are an empty form.
---@param bytes string
---@param options? tael.form.Options
---@return table<string, string>?
---@return string[]|tael.form.Error names  in the order they came, or why it was refused
function form.decode(bytes, options) end

--- "a=1&b=%20", sorted by name.
---@param map table<string, string|integer>
---@return string
function form.encode(map) end

---@class tael.form.CanonicalOptions
---@field except? string[]  names that are left out
---@field drop_empty? boolean  leave out empty values

--- "a=1&b=2": sorted by name in byte order, values as they are.
---@param map table<string, string|integer>
---@param options? tael.form.CanonicalOptions
---@return string
function form.canonical(map, options) end

return form
