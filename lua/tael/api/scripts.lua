--- /v1/scripts/merchants/{slug} and /v1/scripts/{part}: versions of a merchant's scripts, or of a part that
--- is the operator's own; checked, kept, compared, activated. A key is of one merchant; an operator may name
--- any in the path.
local activation = require "tael.scripts.activation"
local diff = require "tael.scripts.diff"
local files_of = require "tael.scripts.files"
local ids = require "tael.kernel.ids"
local json = require "tael.json"
local lists = require "tael.api.lists"
local owners = require "tael.scripts.owners"
local problem = require "tael.api.problem"
local registry = require "tael.kernel.registry"
local shown = require "tael.shown"
local schema = require "tael.api.schema"
local store = require "tael.store"
local task = require "tael.task"
local time = require "tael.time"
local versions = require "tael.scripts.versions"

local M = {}

local FOLDER = "folder" -- in the place of a version: the files of the folder

--- A file is one string of the body, and may be larger than other strings are.
M.json_limits = { max_string = 262144 }

local FILES = {
    type = "map", required = true, count = 256, key = "^[%l%d_/-]+%.lua$",
    key_form = "a path such as rules.lua or lib/prices.lua",
    value = { type = "string", bytes = 262144, control = true },
}
local VERSION = { type = "string", max = 64 }

M.check_schema = { fields = { files = FILES } }

M.push_schema = {
    fields = {
        files = FILES,
        message = { type = "string", required = true, min = 1, max = 500, control = true,
            doc = "what has changed, and why" },
        author = { type = "string", min = 1, max = 100, doc = "who wrote it; without it whose key it is" },
        base = { type = "string", max = 64, doc = "the version that it began with; "
            .. "whether that still runs is asked where it matters, when it is activated: expected_active" },
    },
}

M.activate_schema = {
    fields = {
        version = { type = "string", required = true, max = 64,
            doc = "id of a version, or folder: the files beside the configuration" },
        expected_active = { type = "string", max = 64,
            doc = "what is to be running until then, or folder; else generation_conflict" },
    },
}

M.list_query = schema.list {}
M.diff_query = { from = VERSION, to = VERSION }

-- ---- whose, and which ----

--- A part is asked for by routes that only the operator reaches.
local function owner_of(call)
    local part, slug = call.params.part, call.params.slug
    if part then
        local owner = owners.operator(part)
        return owner, not owner and problem.new("not_found", ("There is no part '%s' of the operator's "
            .. "scripts: there are %s."):format(shown(part, 64), table.concat(owners.PARTS, ", "))) or nil
    end
    local merchant = registry.merchant(slug)
    if not merchant or merchant.slug ~= slug
        or call.caller.key_id and call.caller.merchant ~= merchant.id then
        return nil, problem.new("not_found", "There is no merchant '" .. shown(slug, 64) .. "'.")
    end
    return owners.merchant(slug)
end

local function wrong_id(name, text, query)
    local detail = ("'%s' is not the id of a version"):format(text)
    if not query then
        return nil, problem.field("invalid_field", "/" .. name, detail .. ".")
    end
    detail = name .. ": " .. detail
    return nil, problem.new("invalid_parameter", detail .. ".", { errors = {
        { parameter = name, code = "invalid_parameter", detail = detail } } })
end

--- The number of a version that is named; false for the folder, where it may be named.
local function version_number(name, text, may_be_folder, query)
    if may_be_folder and text == FOLDER then
        return false
    end
    local number = ids.decode("scr", text)
    if not number then
        return wrong_id(name, text, query)
    end
    return number
end

-- ---- as they are shown ----

--- Every object says whose it is; the operator's scripts are no merchant's.
local function owned(owner, view)
    view.owner, view.merchant, view.livemode = owner.name, json.null, json.null
    if owner.slug then
        view.merchant, view.livemode = owner.slug, registry.merchant(owner.slug).livemode
    end
    return view
end

local function view_of(owner, version, active)
    return owned(owner, {
        id = ids.encode("scr", version.id), object = "script_version",
        generation = version.hash:sub(1, 16), hash = version.hash,
        base = version.base and ids.encode("scr", version.base) or json.null, author = version.author,
        actor = version.actor, message = version.message, active = active == version.id,
        created_at = time.rfc3339(store.id_ms(version.id)),
    })
end

local function active_of(owner)
    local active, err = versions.active(owner)
    return active and active.version, err
end

local function view_now(owner, version)
    local active, err = active_of(owner)
    if err then
        return nil, err
    end
    return view_of(owner, version, active)
end

--- What is asked for: endpoints of a merchant, channels, jobs, routes.
local function names_of(generation)
    local jobs = {}
    for i, job in ipairs(generation and generation.jobs or {}) do
        jobs[i] = job.name
    end
    return generation and (generation.route_keys or generation.names) or generation and generation.channels
        and files_of.paths(generation.channels) or jobs
end

local function check_view(owner, check)
    local specs, generation = check.specs, check.generation
    return {
        object = "script_check", owner = owner.name, merchant = owner.slug or json.null,
        ok = generation ~= nil, generation = generation and generation.id or json.null,
        rules = json.array(files_of.paths(generation and generation.rules or {})),
        names = json.array(names_of(generation)), errors = json.array(check.errors),
        specs = specs and { passed = specs.passed, failed = specs.failed, pending = specs.pending }
            or json.null,
    }
end

local function activated_view(owner, done)
    return {
        object = "script_activation", owner = owner.name, merchant = owner.slug or json.null,
        active = done.version and ids.encode("scr", done.version) or FOLDER,
        generation = done.generation ~= "" and done.generation or json.null, workers = done.workers,
        ms = done.ms,
    }
end

-- ---- handlers ----

--- Before a body is read that may be large.
---@param call tael.api.Call
---@return true?
---@return table? refused
function M.admit(call)
    local owner, refused = owner_of(call)
    if not owner then
        return nil, refused
    end
    local may, err = activation.admit(owner, #call.request.body)
    return may, err and problem.of(err)
end

---@param call tael.api.Call
function M.check(call)
    local owner, refused = owner_of(call)
    if not owner then
        return nil, refused
    end
    local check, err = activation.check(owner, call.body.files)
    if not check then
        return nil, err
    end
    return 200, check_view(owner, check)
end

--- The number of the version that it began with: one that there is.
local function base_of(owner, named)
    if not named then
        return nil
    end
    local number, refused = version_number("base", named)
    if not number then
        return nil, refused
    end
    local version, err = versions.get(owner, number)
    if not version then
        return nil, err or problem.field("invalid_field", "/base",
            "base: there is no version '" .. named .. "'.")
    end
    return number
end

---@param call tael.api.Call
function M.push(call)
    local owner, refused = owner_of(call)
    if not owner then
        return nil, refused
    end
    local base
    base, refused = base_of(owner, call.body.base)
    if refused then
        return nil, refused
    end
    local version, err, made = activation.push(owner, {
        files = call.body.files, message = call.body.message, base = base,
        author = call.body.author or call.caller.actor, actor = call.caller.actor,
    })
    local view
    if version then
        view, err = view_now(owner, version)
    end
    if not view then
        return nil, err
    end
    if not made then
        return 200, view
    end
    local params = call.params
    return 201, view, { location = ("/v1/scripts/%s/versions/%s"):format(
        params.part or "merchants/" .. params.slug, view.id) }
end

---@param call tael.api.Call
function M.list(call)
    local owner, refused = owner_of(call)
    if not owner then
        return nil, refused
    end
    local active, err = active_of(owner)
    if err then
        return nil, err
    end
    return lists.answer(call, function(before, count)
        return versions.list(owner, before, count)
    end, function(version)
        return view_of(owner, version, active)
    end)
end

local function find(owner, number)
    local version, err = versions.get(owner, number)
    if not version then
        return nil, err or problem.new("not_found", "There is no such version of these scripts.")
    end
    return version
end

---@param call tael.api.Call
function M.get(call)
    local owner, refused = owner_of(call)
    local number = ids.decode("scr", call.params.id)
    if not owner or not number then
        return nil, refused or problem.new("not_found", "There is no such version of these scripts.")
    end
    local version, err = find(owner, number)
    if not version then
        return nil, err
    end
    local view
    view, err = view_now(owner, version)
    if view then
        view.files = version.files
    end
    return view and 200, view or err
end

--- The version that a parameter names, or without it the one that runs.
local function side_of(call, owner, name)
    local number, err
    if call.query[name] then
        number, err = version_number(name, call.query[name], false, true)
    else
        number, err = active_of(owner)
        err = err or not number and problem.new("invalid_parameter",
            "Name " .. name .. ": no version is active, the folder's files run.", { errors = {
                { parameter = name, code = "invalid_parameter", detail = "no version is active" } } })
    end
    if not number then
        return nil, err
    end
    return find(owner, number)
end

---@param call tael.api.Call
function M.diff(call)
    local owner, err = owner_of(call)
    local from, to
    if owner then
        from, err = side_of(call, owner, "from")
    end
    if from then
        to, err = side_of(call, owner, "to")
    end
    if not to then
        return nil, err
    end
    return 200, {
        object = "script_diff", owner = owner.name, merchant = owner.slug or json.null,
        from = ids.encode("scr", from.id), to = ids.encode("scr", to.id),
        files = json.array(diff.files(from.files, to.files, task.last)),
    }
end

---@param call tael.api.Call
function M.activate(call)
    local owner, refused = owner_of(call)
    local body, version, expected = call.body, nil, nil
    if owner then
        version, refused = version_number("version", body.version, true)
    end
    if version ~= nil and body.expected_active then
        expected, refused = version_number("expected_active", body.expected_active, true)
    end
    if version == nil or body.expected_active and expected == nil then
        return nil, refused
    end
    local done, err = activation.activate(owner, { version = version or nil, expected = expected,
        actor = call.caller.actor })
    if not done then
        return nil, err
    end
    return 200, activated_view(owner, done)
end

---@param call tael.api.Call
function M.rollback(call)
    local owner, refused = owner_of(call)
    if not owner then
        return nil, refused
    end
    local done, err = activation.rollback(owner, { actor = call.caller.actor })
    if not done then
        return nil, err
    end
    return 200, activated_view(owner, done)
end

return M
