---@meta tael.store
--- Units of work and reads (C: engine/bind/store.c). Statements are named; their SQL is in
--- lua/tael/sql/*.sql.
---
--- Files: `-- name: payment.pay`, then one of `-- rows: N else word` (guard: another count undoes
--- the unit and word is its answer), `-- rows: N`, `-- rows: any`, `-- read` (single rows, read
--- where it is called), `-- read list` (on the reader thread); then `-- bytes: a b` for parameters
--- bound as bytes and `-- operator` for statements that a task of no merchant may run. One
--- statement, ended by `;`, parameters `:name`. The dialect and its rewrites for SQLite:
--- engine/store/sql.h.
---
--- Values are integers and strings, nil is NULL; floats, booleans, tables and parameters that no
--- statement takes raise. Text is UTF-8 without NUL. `:merchant` is always the task's scope; a
--- task of scope 0 runs operators' statements alone and gives `merchant` itself where one has it.
--- `:seq_*` are stamped at commit: one value for each name and unit, rising in the order of
--- commits.

---@class tael.store
local store = {}

---@alias tael.store.Params table<string, integer|string>
---@alias tael.store.Row table<string, integer|string>

---@class tael.store.Result
---@field stamps table<string, integer>  by parameter: { seq_event = … }
---@field rows table<integer, tael.store.Row[]>  by place in the list, for statements with RETURNING

---@class tael.store.Error
---@field code "guard"|"constraint"|"busy"|"unavailable"
---@field message string
---@field statement? string   the one that refused; nothing of the unit happened
---@field otherwise? string   guard: the word of its header
---@field constraint? string  "UNIQUE attempts.account, attempts.trade_no"

--- ⏸ Commits the statements, in order, wholly or not at all; answers when it is on the disk. From
--- then on the task is no longer cancelled by its client. "busy": nothing happened, the queue is
--- full. "unavailable": the disk failed; whether the unit happened has to be read.
---@param list { [1]: string, [2]?: tael.store.Params }[]
---@return tael.store.Result?
---@return tael.store.Error? err
function store.commit(list) end

--- One array of rows; columns by name, NULL absent; a column "a.b" is b in the row's table a. At
--- most 1000 rows: more raises. ⏸ for `-- read list`.
---@param name string
---@param params? tael.store.Params
---@return tael.store.Row[]?
---@return tael.store.Error? err
function store.query(name, params) end

--- A new id: (ms since 2020-01-01 UTC) << 22 | 22 bits; rising, above all ids that the store has
--- given before.
---@return integer
function store.next_id() end

--- Milliseconds since 1970 UTC at which an id was made.
---@param id integer
---@return integer
function store.id_ms(id) end

---@class tael.store.Info
---@field schema integer   newest migration applied
---@field queued integer   units waiting
---@field units integer    answered since open
---@field groups integer   transactions committed since open
---@field failed integer   units lost to the disk since open
---@field healthy boolean  what was written last was stored
---@field trouble string?  why it was not: "the disk is full"

---@return tael.store.Info
function store.info() end

return store
