---@meta tael.application
--- The application contract: what a Lua module must be so that an engine runs it (C: engine/engine*.c).
--- tael.server is one, the sandbox, the command line and the check of `tael dev` are others. plan runs once,
--- in a state that is thrown away; open and handle run on every worker, each in its own state.

---@class tael.Application
---@field plan fun(options: tael.app.Options): tael.app.Plan?, table? refusal is {code, message}
---@field open? fun(context: tael.app.Context): any, table? nil and {code, message} end the start; may wait
---@field handle fun(request: tael.app.Request): tael.app.Response may wait
---@field admit? fun(request: tael.app.Request): tael.app.Admitted|tael.app.Response for plan.routes
---@field refuse? fun(request: tael.app.Request, refusal: tael.app.Refusal): tael.app.Response one of them
---@field failed? tael.app.Failed when handle raised; cannot wait
---@field name? fun(): string what an answer is called that the engine makes itself; cannot wait

---@alias tael.app.Failed fun(request: tael.app.Request, message: string, name: string?): tael.app.Response
---  name is app.name's, under which the log has the message

---@class tael.app.Options
---@field config_path string?  tael.lua
---@field config_at string?    the same, absolute: to read it again
---@field config_lua string?   text in its place
---@field root string          base of relative paths, absolute
---@field lua_root string      folder of Tael's own Lua
---@field version string
---@field dev boolean
---@field listen boolean       false: in-process calls only
---@field succeeds boolean      another engine serves until this one is planned: what takes long is done now
---@field args table           of whoever started it
---@field make_folder fun(path: string): boolean?, string? mode 0700; true also when it is there

---@class tael.app.Plan
---@field workers integer?      1 to 64, default 1
---@field drain_ms integer?     default 15000
---@field log { level: "error"|"warn"|"info"|"debug" }?
---@field clock "adjustable"?   tael.time.advance may be called (development, simulators)
---@field listeners tael.app.Listener[]?
---@field limits table<string, integer>? of struct tael_http_limits, 0 or absent is its default; and
---  exempt: string[]?, networks that what one address may have does not apply to
---@field body_limits { prefix: string, suffix: string?, max: integer }[]? bytes, the first that fits counts;
---  one segment of the path stands before a suffix
---@field routes tael.app.Routes? scripts that answer requests
---@field client tael.app.Client?
---@field folders string[]?     made with mode 0700
---@field store tael.app.Store?
---@field pass any              plain data for context.pass
---@field handover string?      socket where another process of the same owner may ask to take over
---@field companions { app: string, options: table }[]? engines in the same world, started before this one

---@class tael.app.Listener
---@field name string           request.listener
---@field address string        "127.0.0.1:8080", "[::1]:0", "unix:PATH"
---@field tls { cert: string, key: string }? PEM files, watched and loaded again on reload

---@class tael.app.Client
---@field connect_ms integer?
---@field total_ms integer?
---@field per_host integer?     requests under way at once to one host or in one pool
---@field ca string?            PEM file of trust anchors; absent: the system's
---@field allow_private boolean? addresses that are not public may be asked

---@class tael.app.Store
---@field path string           SQLite file or ":memory:"
---@field migrate boolean?
---@field scope string?         parameter that is bound to the task's merchant
---@field sql string[]?         files of named statements
---@field migrations string[]?  NNNN_*.sql in order
---@field group_max integer?
---@field queue_max integer?
---@field checkpoint_pages integer?
---@field cache_kib integer?

---@class tael.app.Context
---@field worker integer  from 1
---@field workers integer
---@field pass any

---@class tael.app.Request
---@field listener string  its name; "call" for one made in the process (tael_call)
---@field peer string      "127.0.0.1:51234", "unix", "call"
---@field method string
---@field target string    path and query as received, without what stands before them in absolute form
---@field path string
---@field query string?
---@field headers table<string, string> names in lower case, repeated ones joined by ", "
---@field body string
---@field merchant string? of a call

---@class tael.app.Routes
---@field listener string
---@field prefix string   "/r/"
---@field folder string   that holds NAME.lua
---@field shown string    the same in messages

---@class tael.app.Admitted
---@field admitted { merchant: string?, headers: table<string, string>? }

---@class tael.app.Refusal
---@field code string    of a problem
---@field detail string?
---@field allow string?  methods
---@field fault string?  what a script did, with file and line: for the log alone

---@class tael.app.Response
---@field status integer
---@field headers table<string, string>?
---@field body string?
---@field flaw tael.app.Flaw? of simulators: how the answer goes wrong on its way

---@class tael.app.Flaw
---@field drop boolean?     no answer, the connection breaks
---@field cut boolean?      it breaks after so many bytes
---@field after integer?    bytes of the answer
---@field pause_ms integer? a silence after so many bytes
