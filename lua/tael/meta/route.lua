---@meta tael.route
--- The operator's own endpoints: what a file scripts/routes/NAME.lua gives back, served below /r/NAME
--- (C: engine/bind/route*.c). A script sees assert error ipairs next pairs pcall rawequal rawget rawlen
--- select setmetatable tonumber tostring type xpcall, math string table utf8, and require "tael"; none of
--- them can be replaced, and it keeps its own names local. Other than in plain Lua: pairs and next go through
--- numbers, then texts, in order; tostring of a table or function gives its type; setmetatable takes the
--- metamethods that are there when it is called (only __index may come later), at most 16 tables are in a
--- chain of __index; table.unpack and string.byte give at most 4096 values; the library goes through plain
--- tables alone; a text has at most 2 MiB; limits of a source are in engine/script/source.c. A call has
--- 10 million steps (one: an instruction, 16 bytes of memory, …) and all scripts of a worker 16 MiB together.

--- "POST /", "GET /orders/:id"; the path stands behind /r/NAME. GET answers HEAD too.
---@alias tael.route.Script table<string, tael.route.Handler|tael.route.Options>

---@alias tael.route.Handler fun(request: tael.route.Request): tael.route.Answer?

---@class tael.route.Options
---@field handler tael.route.Handler
---@field auth ("api_key"|"none")? default "api_key": a key of any merchant, counted in its rate
---@field body ("json"|"none")?   default "json" for POST, PUT and PATCH, "none" for GET and DELETE
---@field max_body integer?       bytes, at most 1048576; default http.limits.body

---@class tael.route.Request
---@field json any              of body = "json": as tael.json.decode gives it, so null is tael.json.null
---@field params table<string, string>
---@field query table<string, string>
---@field headers table<string, string> names in lower case
---@field method string
---@field path string           as sent
---@field body string           as sent
---@field merchant string?      slug of the key's merchant

--- nil is 204. Beside json or body, status is 200 where it is not said; texts are text/plain, UTF-8.
---@class tael.route.Answer
---@field status integer?       200 to 599
---@field json any              what tael.json.encode takes: no floats
---@field body string?
---@field headers table<string, string>?

--- What require "tael" gives to a route.
---@class tael.route.Tael
---@field json tael.json its array, object, null, is_array, is_decimal, decode and encode
local tael = {}

--- An RFC 9457 document.
---@param status integer 400 to 599
---@param code string
---@param detail string?
---@param members table? further members, at most 64
---@return tael.route.Answer
function tael.problem(status, code, detail, members) end

return tael
