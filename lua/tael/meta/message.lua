---@meta tael.message
--- Bytes that came in and the proof of what in them was signed (C: engine/bind/message.c).
---
--- Way: message → material (the exact text its sender signed, built in C from the message alone) →
--- `key:attest` → evidence. None of the three can be made, changed or moved to another message by Lua;
--- the tables they show are copies. The kernel believes evidence only.

---@class tael.message
local message = {}

---@class tael.message.Options : tael.form.Options
---@field account integer  whose message it claims to be; 0: not known, gives no evidence
---@field raw string  the bytes as received
---@field at integer  ms since 1970, when they were
---@field content? "bytes"|"form"|"json"  "bytes"; with "form" raw is decoded, with the options of form.decode
---@field headers? table<string, string>

--- For the kernel alone. There is no way to give a form: it always comes from raw.
---@param options tael.message.Options
---@return tael.Message?
---@return tael.form.Error? err  why the form was refused
function message.new(options) end

---@param value any
---@return boolean
function message.is_evidence(value) end

--- Whether evidence was made from this very message, not from another with the same bytes.
---@param evidence any
---@param of tael.Message
---@return boolean
function message.check(evidence, of) end

---@class tael.Message
---@field raw string
---@field form? table<string, string>  a copy; with content = "form"
---@field json? any  raw decoded; nil: not JSON
---@field headers table<string, string>  a copy, names in lower case
---@field digest string  SHA-256 of raw, 32 bytes
---@field account integer
---@field at integer
local Message = {} -- luacheck: ignore 241

--- Some fields of a form, in the order of the names; cheaper than the table of all.
---@param ... string names
---@return string? ... nil: there is no such field
function Message:fields(...) end

--- The sorted fields of a form as "a=1&b=2". Covers the fields in it.
---@param options? tael.form.CanonicalOptions
---@return tael.Material
function Message:canonical(options) end

--- The raw text of a member of the JSON document raw, "a" or "a.b", as received. Covers that value. The
--- document must be whole, and the objects on the path without duplicate names.
---@param path string
---@param options? { unescape_slashes: boolean? }  every "\/" becomes "/" before: some senders sign that
---@return tael.Material?
---@return tael.Error? err  "duplicate", "not_found", "invalid_json"
function Message:span(path, options) end

--- The values of these headers, then raw, each followed by a line break. Covers both.
---@param headers string[]
---@return tael.Material?
---@return tael.Error? err  "missing", "invalid"
function Message:lines(headers) end

---@class tael.Material
local Material = {} -- luacheck: ignore 241

---@return string
function Material:text() end

---@class tael.Evidence
---@field text string  what was signed
---@field form? table<string, string>  of canonical: the fields that were signed, a copy
---@field json? any  of span: the value that was signed, decoded from the signed text; of lines: raw decoded
---@field headers? table<string, string>  of lines: the headers that were signed, a copy
---@field digest string  SHA-256 of the whole message
---@field key_id string  of the key that verified it
---@field account integer
---@field at integer  when the message was received
---@field kind "form"|"span"|"lines"  of the material
local Evidence = {} -- luacheck: ignore 241

--- Some fields of a form, of those that were signed; cheaper than the table of all.
---@param ... string names
---@return string? ... nil: there is no such field, or it was not signed
function Evidence:fields(...) end

--- Whether a field of a form that was signed has this value.
---@param value string
---@return boolean
function Evidence:states(value) end

return message
