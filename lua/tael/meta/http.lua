---@meta tael.http

--- Requests to others. TLS and host names are always verified, redirects are not followed, the
--- environment's proxies are ignored.
---@class tael.http
local http = {}

---@class tael.http.Request an unknown name raises
---@field url string
---@field method? string default: POST with a body, else GET
---@field headers? table<string, string> at most 63; framing headers and host are refused
---@field body? string at most one of body, form and json
---@field form? table<string, string> percent-encoded, names in byte order
---@field json? any written by tael.json
---@field timeout_ms? integer all of it; default 10000
---@field connect_ms? integer default 3000
---@field max_bytes? integer of the answer's body; default 1 MiB
---@field unix? string path of a Unix socket to connect to instead of the URL's host

---@class tael.http.Answer
---@field status integer
---@field headers table<string, string> names in lower case, repeated ones joined with ", "
---@field raw string the body as received
---@field ms integer how long it took

---@class tael.http.Error
---@field code "timeout"|"connect"|"tls"|"too_large"|"reset"
---@field message string
---@field sent boolean false: certainly nothing of the request has left

--- Waits for the answer. A task that is cancelled meanwhile cancels the request.
---@param request tael.http.Request
---@return tael.http.Answer?
---@return tael.http.Error? err
function http.request(request) end

return http
