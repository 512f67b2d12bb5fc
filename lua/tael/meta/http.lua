---@meta tael.http

--- Requests to others. TLS, host names and dates are always verified, redirects are not followed, the
--- environment's proxies are ignored. A host is looked up once, all its addresses are checked, and the
--- connection goes to one of them. Where the engine does not allow private addresses (client.allow_private),
--- every request is "public"; local sockets are exempt.
---@class tael.http
local http = {}

---@class tael.http.Request an unknown name raises
---@field url string
---@field method? string default: POST with a body, else GET
---@field headers? table<string, string> at most 63; framing headers and host are refused
---@field body? string at most one of body, form and json
---@field form? table<string, string> percent-encoded, names in byte order
---@field json? any written by tael.json
---@field timeout_ms? integer all of it, waiting for the pool included; default client.total
---@field connect_ms? integer looking up, connecting and TLS; default client.connect
---@field deadline_ms? integer on the clock of time.monotonic: nothing lasts beyond it
---@field max_bytes? integer of the answer's body; default 1 MiB
---@field unix? string path of a Unix socket to connect to instead of the URL's host
---@field pool? string shares connections with this pool's requests alone; without one, with those to the
--- same host. At most client.per_host requests of a pool, or to a host, are under way on a worker; others
--- wait in order
---@field addresses? "public"|"any" default: any where the engine allows it, else public
---@field tls? { ca: string?, cert: string?, key: string? } files: who is trusted, our own certificate and key

---@class tael.http.Answer
---@field status integer
---@field headers table<string, string> names in lower case, repeated ones joined with ", "
---@field raw string the body as received
---@field ms integer how long it took

---@class tael.http.Error
---@field code "timeout"|"connect"|"tls"|"too_large"|"reset"|"address"
---@field message string of "address": which rule refuses it
---@field sent boolean false: certainly nothing of the request has left

--- Waits for the answer. A task that is cancelled meanwhile cancels the request.
---@param request tael.http.Request
---@return tael.http.Answer?
---@return tael.http.Error? err
function http.request(request) end

return http
