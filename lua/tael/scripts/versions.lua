--- Scripts as the store keeps them: every version that was pushed, and which of them ran when. All calls are
--- of one owner, whatever the task is about; they wait.
local files_of = require "tael.scripts.files"
local json = require "tael.json"
local store = require "tael.store"
local task = require "tael.task"

local versions = {}

local VERSIONS_MAX, BYTES_MAX = 10000, 256 * 1024 * 1024 -- of an owner
local LIMITS = { max_string = 256 * 1024, max_tokens = 1000 } -- what was written here

---@class tael.scripts.Version
---@field id integer
---@field hash string
---@field base integer?
---@field author string
---@field actor string
---@field message string
---@field files table<string, string>? not in lists

---@class tael.scripts.Activation
---@field id integer
---@field version integer? nil: the files of the folder
---@field restored integer? activation whose version it brought back; 0: what was before all of them

---@class tael.scripts.Kept whose they are, as the store has it
---@field number integer of the merchant; 0: the operator's
---@field part string of scripts/, "jobs"; "": a merchant's

--- Of this owner alone: a merchant is bound in C, the operator's statements are told that it is nobody's.
local function as_owner(owner, fn, ...)
    local scope <const> = task.scope()
    task.set_scope(owner.number)
    local _ <close> = setmetatable({}, { __close = function() task.set_scope(scope) end })
    return fn(...)
end

local function with_owner(owner, params)
    params.merchant = owner.number == 0 and 0 or nil
    return params
end

local function query(owner, name, params)
    local rows = as_owner(owner, store.query, name, with_owner(owner, params))
    if not rows then
        return nil, { code = "store_unavailable" }
    end
    return rows
end

local function commit(owner, list)
    for _, statement in ipairs(list) do
        with_owner(owner, statement[2])
    end
    return as_owner(owner, store.commit, list)
end

local function read(row)
    if row then
        row.files = assert(json.decode(row.files, LIMITS))
    end
    return row
end

local function one(owner, name, params)
    local rows, err = query(owner, name, params)
    return rows and read(rows[1]), err
end

---@param owner tael.scripts.Kept
---@param id integer
---@return tael.scripts.Version? version nil without err: there is none
---@return table? err
function versions.get(owner, id)
    return one(owner, "script.get", { part = owner.part, version = id })
end

--- Newest first.
---@param owner tael.scripts.Kept
---@param before integer? id
---@param count integer
---@return tael.scripts.Version[]?
---@return table? err
function versions.list(owner, before, count)
    return query(owner, "script.list", { part = owner.part, before = before or math.maxinteger, n = count })
end

---@param owner tael.scripts.Kept
---@param new { files: table<string, string>, base: integer?, author: string, actor: string, message: string }
---@return tael.scripts.Version? version the one that there is already, when the same texts were pushed before
---@return table? err
---@return boolean? made
function versions.add(owner, new)
    local id, hash = store.next_id(), files_of.digest(new.files)
    local same = { part = owner.part, hash = hash }
    local version, err = one(owner, "script.by_hash", same)
    if version or err then
        return version, err, false
    end
    local files = json.encode(new.files, { sort = true })
    local done, refused = commit(owner, {
        { "script.room", { part = owner.part, size = #files, most = VERSIONS_MAX, room = BYTES_MAX } },
        { "script.insert", { part = owner.part, version = id, hash = hash, base = new.base,
            author = new.author, actor = new.actor, message = new.message, files = files } },
    })
    if not done and refused.otherwise == "full" then
        return nil, { code = "script_refused",
            detail = "There are at most 10000 versions, of 256 MiB together, and none is thrown away." }
    elseif not done and refused.code ~= "guard" then
        return nil, { code = "store_unavailable" }
    end
    version, err = one(owner, "script.by_hash", same)
    return version, err, done ~= nil
end

--- What runs. Nothing was ever activated: nil without err.
---@param owner tael.scripts.Kept
---@return tael.scripts.Activation?
---@return table? err
function versions.active(owner)
    local rows, err = query(owner, "script.active", { part = owner.part })
    return rows and rows[1], err
end

--- The version that runs, with its files; nil without err: the folder's files do.
---@param owner tael.scripts.Kept
---@return tael.scripts.Version? version
---@return table? err
---@return integer? activation that says so; 0: nothing was ever activated
function versions.running(owner)
    local active, err = versions.active(owner)
    local version
    if active and active.version then
        version, err = versions.get(owner, active.version)
        err = err or not version and { code = "store_unavailable" } or nil
    end
    return version, err, active and active.id or 0
end

--- What ran before an activation.
---@param owner tael.scripts.Kept
---@param activation integer
---@return tael.scripts.Activation?
---@return table? err
function versions.active_before(owner, activation)
    local rows, err = query(owner, "script.active_before", { part = owner.part, activation = activation })
    return rows and rows[1], err
end

---@param owner tael.scripts.Kept
---@param new { version: integer?, restored: integer?, actor: string, was: integer } was: the activation that
--- runs, 0: none
---@return integer? activation its number
---@return table? err generation_conflict: another one runs by now
function versions.activate(owner, new)
    local number = store.next_id()
    local done, err = commit(owner, { { "script.activate", {
        part = owner.part, activation = number, version = new.version, restored = new.restored,
        actor = new.actor, activation_was = new.was,
    } } })
    if done then
        return number
    end
    return nil, { code = err.code == "guard" and "generation_conflict" or "store_unavailable" }
end

-- ---- folders: what passed last ----

--- Has a folder's files go on where the folder is broken when an engine starts. A store that does not answer
--- keeps none: the next that passes is kept. Of the operator's, jobs alone.
---@param owner tael.scripts.Kept
---@param files table<string, string>? nil: there are none any more
function versions.keep(owner, files)
    local rows = query(owner, "script.kept_hash", {})
    local was, hash = rows and rows[1] and rows[1].hash, files and files_of.digest(files)
    if not rows or was == hash then
        return
    elseif files then
        commit(owner, { { "script.keep", { hash = hash, files = json.encode(files, { sort = true }) } } })
    else
        commit(owner, { { "script.keep_none", {} } })
    end
end

---@param owner tael.scripts.Kept
---@return table<string, string>? files
function versions.kept(owner)
    local row = one(owner, "script.kept", {})
    return row and row.files
end

return versions
