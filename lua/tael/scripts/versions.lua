--- Merchants' scripts as the store keeps them: every version that was pushed, and which of them ran when.
--- All calls are of one merchant, whatever the task is about; they wait.
local files_of = require "tael.scripts.files"
local json = require "tael.json"
local store = require "tael.store"
local task = require "tael.task"

local versions = {}

local VERSIONS_MAX = 10000 -- of a merchant
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

local function of_merchant(merchant, fn, ...)
    local scope <const> = task.scope()
    task.set_scope(merchant)
    local _ <close> = setmetatable({}, { __close = function() task.set_scope(scope) end })
    return fn(...)
end

local function query(merchant, name, params)
    local rows = of_merchant(merchant, store.query, name, params)
    if not rows then
        return nil, { code = "store_unavailable" }
    end
    return rows
end

local function read(row)
    if row then
        row.files = assert(json.decode(row.files, LIMITS))
    end
    return row
end

local function one(merchant, name, params)
    local rows, err = query(merchant, name, params)
    return rows and read(rows[1]), err
end

---@param merchant integer
---@param id integer
---@return tael.scripts.Version? version nil without err: there is none
---@return table? err
function versions.get(merchant, id)
    return one(merchant, "script.get", { version = id })
end

--- Newest first.
---@param merchant integer
---@param before integer? id
---@param count integer
---@return tael.scripts.Version[]?
---@return table? err
function versions.list(merchant, before, count)
    return query(merchant, "script.list", { before = before or math.maxinteger, n = count })
end

---@param merchant integer
---@param new { files: table<string, string>, base: integer?, author: string, actor: string, message: string }
---@return tael.scripts.Version? version the one that there is already, when the same texts were pushed before
---@return table? err
---@return boolean? made
function versions.add(merchant, new)
    local id, hash = store.next_id(), files_of.digest(new.files)
    local done, err = of_merchant(merchant, store.commit, { { "script.insert", {
        version = id, hash = hash, base = new.base, author = new.author, actor = new.actor,
        message = new.message, files = json.encode(new.files, { sort = true }), most = VERSIONS_MAX,
    } } })
    if not done and err.code ~= "guard" then
        return nil, { code = "store_unavailable" }
    end
    local version
    version, err = one(merchant, "script.by_hash", { hash = hash })
    if not version and not err then
        err = { code = "script_refused",
            detail = "A merchant has at most 10000 versions, and none is thrown away." }
    end
    return version, err, done ~= nil
end

--- What runs. Nothing was ever activated: nil without err.
---@param merchant integer
---@return tael.scripts.Activation?
---@return table? err
function versions.active(merchant)
    local rows, err = query(merchant, "script.active")
    return rows and rows[1], err
end

--- What ran before an activation.
---@param merchant integer
---@param activation integer
---@return tael.scripts.Activation?
---@return table? err
function versions.active_before(merchant, activation)
    local rows, err = query(merchant, "script.active_before", { activation = activation })
    return rows and rows[1], err
end

---@param merchant integer
---@param new { version: integer?, restored: integer?, actor: string, was: integer } was: the activation that
--- runs, 0: none
---@return boolean? done
---@return table? err generation_conflict: another one runs by now
function versions.activate(merchant, new)
    local done, err = of_merchant(merchant, store.commit, { { "script.activate", {
        activation = store.next_id(), version = new.version, restored = new.restored, actor = new.actor,
        activation_was = new.was,
    } } })
    if done then
        return true
    end
    return nil, { code = err.code == "guard" and "generation_conflict" or "store_unavailable" }
end

-- ---- folders: what passed last ----

local function kind_of(merchant)
    return merchant == 0 and "job." or "script."
end

--- Has a folder's files go on where the folder is broken when an engine starts. A store that does not answer
--- keeps none: the next that passes is kept.
---@param merchant integer 0: the operator's jobs
---@param files table<string, string>? nil: there are none any more
function versions.keep(merchant, files)
    local kind = kind_of(merchant)
    local rows = query(merchant, kind .. "kept_hash")
    local was, hash = rows and rows[1] and rows[1].hash, files and files_of.digest(files)
    if not rows or was == hash then
        return
    end
    of_merchant(merchant, store.commit, { files
        and { kind .. "keep", { hash = hash, files = json.encode(files, { sort = true }) } }
        or { kind .. "keep_none" } })
end

---@param merchant integer 0: the operator's jobs
---@return table<string, string>? files
function versions.kept(merchant)
    local row = one(merchant, kind_of(merchant) .. "kept")
    return row and row.files
end

return versions
