---@meta tael.isolate

--- Asking scripts that are not Tael's own (C: engine/bind/isolate.c). Each generation of each owner runs in a
--- Lua state of its own, made when it is first asked, kept while there is room, thrown away when a script has
--- used up its budget or its memory; either here, or in a process of its owner that has no keys, no files and
--- no network, so that a script that crashes Lua itself ends nothing but that. Only plain data crosses, by
--- copy: nil, booleans, numbers, texts, and tables of them with text or integer keys; 32 levels, 10,000
--- values, 1 MiB.
---@class tael.isolate
local isolate = {}

--- The memory of all isolates of this worker together, and of each. Before anything is asked; 64 MiB without
--- it, of each 16.
---@param bytes integer
---@param each integer? bytes
function isolate.ceiling(bytes, each) end

---@class tael.isolate.Counts
---@field isolates integer
---@field bytes integer
---@field lent integer in use right now
---@field made integer so far
---@field dropped integer so far, for room
---@field thrown integer so far, after a violation

---@return tael.isolate.Counts
function isolate.counts() end

--- Makes it possible to ask in processes (C: engine/bind/children.h), one for each name of a generation, and
--- starts the first. Once, inside the engine.
---@param options { max: integer?, program: string?, anywhere: boolean? } max: how many are kept, 64 without
--- it; program: tael-script, where it is not beside the engine; anywhere: they need not stay on the processor
--- of their worker
---@return true?
---@return tael.Error? err not_found: there is no such program; unavailable: it cannot be started here
function isolate.processes(options) end

---@class tael.isolate.Source
---@field name string the owner's, in front of the files' paths in messages: "merchants/acme"
---@field key string one for these very texts of this owner
---@field group string? where it runs in a process: whose; without it that of its name. To be closed then
--- (`local unit <close> = …`), which ends that process
---@field files table<string, string> texts by path: "rules.lua", "lib/prices.lua"
---@field effects string? names of what its calls may ask their host to do, with blanks between
---@field isolation "state"|"process"|nil "state" without it

--- An immutable snapshot of source texts, at most 256 KiB each and 1 MiB together. Nothing is compiled yet.
---@param of tael.isolate.Source
---@return tael.isolate.Generation
function isolate.generation(of) end

--- Plain data that is bytes already: an input of any number of asks, that costs no table on its way.
---@class tael.isolate.Packed: userdata

---@param value any plain data
---@return tael.isolate.Packed
function isolate.pack(value) end

--- The same of a table whose fields are known, from values in their order: what is nil or json.null is left
--- out, also within a table that is a value. A field that is a table of known fields is {name, field, …}.
---@param fields (string|table)[]
---@return fun(...: any): tael.isolate.Packed
function isolate.shape(fields) end

--- ask calls functions of the table that the entry's file gives back, in one crossing. Each has copies of
--- its own of the inputs that it names. One that fails takes nothing from those after it, but the steps are
--- for all together, and who uses them up ends all. In a task a long call lets others go on in between.
---   entry: path of a file. calls: {name, number of an input, …}, at most 16; the name "" asks which
--- functions there are: {name = "function"}. inputs: at most 8, packed ones or plain data. steps:
--- instructions and their like, 100 to 200 take a microsecond.
---   answers: one for each call, {true, result, …} or {false, kind, text} with kind "absent", "raised",
--- "shape" (what it gave is not plain), "spent", "memory" or "crashed" (the process is gone), text
--- "file:line: …"; and the steps that were used, those of what had to be
--- loaded too; of a process the time that it took, in steps
--- A generation that runs in a process is asked in tasks only.
--- open prepares one call that may have effects: where the script calls tael.<name>, the call waits for
--- whoever opened it. steps are for all its turns together; while it waits nothing is counted.
---@class tael.isolate.Generation
---@field ask tael.isolate.ask
---@field open tael.isolate.open

---@alias tael.isolate.ask fun(self: tael.isolate.Generation, entry: string, calls: (string|integer)[][],
---  inputs: any[], steps: integer): any[][], integer

---@alias tael.isolate.open fun(self: tael.isolate.Generation, entry: string, call: (string|integer)[],
---  inputs: any[], steps: integer): tael.isolate.Opened

--- A call that was opened; to be closed, whatever happens: `local opened <close> = generation:open(…)`.
---   go begins it, or goes on with the results of the effect that it waits for; raise goes on with an
--- error where the script called. ⏸ Both give "done", result, … or "effect", name, argument, … or "failed",
--- kind, text; kinds as those of ask; the text of what was raised has the calls that led to it behind. go
--- gives nil and why where results are too large or no plain data: it may be called again, with others.
---@class tael.isolate.Opened: userdata
---@field go fun(self, ...: any): "done"|"effect"|"failed"|nil, ...: any
---@field raise fun(self, text: string): "done"|"effect"|"failed", ...: any
---@field used fun(self): integer steps so far, as those of ask

return isolate
