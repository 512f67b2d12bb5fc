--- tael scripts: versions of a merchant's scripts, or of a part of the operator's own, in a running engine.
--- Pushing checks and keeps, activating has them run; what is wrong is told with file and line, exit 1, and
--- nothing has changed.
local diff = require "tael.scripts.diff"
local exits = require "tael.cli.exits"
local files_of = require "tael.scripts.files"
local json = require "tael.json"
local listing = require "tael.cli.listing"
local own_scripts = require "tael.cli.own_scripts"
local route_files = require "tael.scripts.route_files"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of
local words = require "tael.cli.words"

local scripts = { name = "scripts" }

local OF_MERCHANT, OF_OPERATOR = "/v1/scripts/merchants/{}", "/v1/scripts/{}"
local FOLDER, ACTIVE = "folder", "active"

--- The operator's are reached over the engine's own socket alone.
local function path_of_part(call, part, more, ...)
    if not own_scripts.is_part(part) then
        return exits.fail(exits.usage, text("scripts.no_part", { part = part }),
            text("scripts.no_part.next", { parts = table.concat(own_scripts.PARTS, ", ") }))
    elseif not call.client.socket then
        return exits.fail(exits.usage, text "scripts.part_is_local", text "scripts.part_is_local.next")
    end
    return call.client.path(OF_OPERATOR .. (more or ""), part, ...)
end

--- The path of the scripts in the API.
local function path_of(call, more, ...)
    local merchant, part = call.client.merchant, call.flags.owner
    if part then
        return path_of_part(call, part, more, ...)
    elseif not merchant then
        if not call.options.config_path and call.client.socket then
            return exits.fail(exits.usage, text("scripts.no_config", { folder = call.options.root }),
                text "scripts.no_config.next")
        end
        return exits.fail(exits.usage, text "scripts.no_merchant", text "scripts.no_merchant.next")
    end
    return call.client.path(OF_MERCHANT .. (more or ""), merchant, ...)
end

--- What a command that follows has to say of whose they are.
local function words_of(call)
    return call.flags.owner and " --owner " .. call.flags.owner or ""
end

local function send(call, more, body)
    local path, failure = path_of(call, more)
    if not path then
        return nil, failure
    end
    return call.client:post(path, body)
end

local function get_version(call, id)
    local path, failure = path_of(call, "/versions/{}", id)
    if not path then
        return nil, failure
    end
    local version
    version, failure = call.client:get(path)
    if not version and failure.exit == exits.no then
        failure.next = failure.next or "tael scripts list" .. words_of(call)
    end
    return version, failure
end

-- ---- activate, rollback ----

local function show_activated(call, done)
    if call.json then
        screen.object(done)
        return exits.done
    end
    screen.line(text("scripts.activated", {
        owner = done.merchant ~= json.null and done.merchant or done.owner, version = done.active,
        generation = done.generation ~= json.null and done.generation or "-", workers = done.workers,
        ms = done.ms }))
    if done.active ~= FOLDER then
        screen.hint(text("scripts.activated.hint", { of = words_of(call) }))
    end
    return exits.done
end

local function activate_version(call, version)
    local done, failure = send(call, "/activate", { version = version,
        expected_active = call.flags.expected })
    if not done then
        return nil, failure
    end
    return show_activated(call, done)
end

local function activate(call)
    return activate_version(call, call.rest[1])
end

local function rollback(call)
    local done, failure = send(call, "/rollback")
    if not done then
        return nil, failure
    end
    return show_activated(call, done)
end

-- ---- push ----

--- The files of the folder that is named, or of the owner's own.
local function files_here(call, named)
    local path = named or call.flags.owner and own_scripts.path_of_part(call, call.flags.owner)
        or own_scripts.path(call, call.client.merchant)
    local routes = call.flags.owner == "routes"
    local own = own_scripts.at(path, routes)
    if not own or own.error then
        return exits.fail(exits.no, own and own.error or text("scripts.no_files", { path = path }),
            text "scripts.no_files.next")
    end
    local wrong, file = files_of.wrong(own.files, routes and route_files.FORM or nil)
    if wrong then
        return exits.fail(exits.no, file and file .. ": " .. wrong or wrong, "tael check")
    end
    return own.files
end

local function push(call)
    if not call.flags.message then
        return exits.fail(exits.usage, text "scripts.no_message", "tael scripts push --help")
    end
    local path, failure = path_of(call, "/versions")
    local files
    if path then
        files, failure = files_here(call, call.rest[1])
    end
    if not files then
        return nil, failure
    end
    local version, refused, status = call.client:post(path, { files = files, message = call.flags.message,
        author = call.flags.author or os.getenv("USER") })
    if not version then
        return nil, refused
    elseif call.flags.activate then
        return activate_version(call, version.id)
    elseif call.json then
        screen.object(version)
        return exits.done
    end
    screen.line(text(status == 201 and "scripts.pushed" or "scripts.known",
        { id = version.id, generation = version.generation, count = #files_of.paths(files) }))
    screen.hint(version.active and text "scripts.runs_already"
        or text("scripts.pushed.next", { id = version.id, of = words_of(call) }))
    return exits.done
end

-- ---- list, show ----

local function list(call)
    local path, failure = path_of(call, "/versions")
    if not path then
        return nil, failure
    end
    local count = 0
    local done
    done, failure = listing.show(call, path, "columns.scripts", function(version)
        count = count + 1
        return { version.id, version.active and screen.paint("green", "●") or "", version.generation,
            version.author, version.created_at, version.message:match "^[^\n]*" }
    end)
    if done and count == 0 and not call.json and not call.flags.cursor then
        screen.hint(text "scripts.none")
    end
    return done, failure
end

--- The id of the version that runs; nil without failure: the folder's files do.
local function active_id(call)
    local path, failure = path_of(call, "/versions")
    local page
    local query = { limit = 100 }
    while path do
        page, failure = call.client:get(path, query)
        for _, version in ipairs(page and page.data or {}) do
            if version.active then
                return version.id
            end
        end
        query.cursor = page and page.next_cursor ~= json.null and page.next_cursor or nil
        path = query.cursor and path
    end
    return nil, failure
end

local function print_version(version)
    screen.line(("%s  %s  %s"):format(version.id, version.generation, version.active
        and screen.paint("green", text "scripts.active") or ""):match "^(.-)%s*$")
    screen.columns({
        { text "scripts.show.author", version.author }, { text "scripts.show.actor", version.actor },
        { text "scripts.show.created", version.created_at }, { text "scripts.show.base", version.base },
        { text "scripts.show.message", version.message },
    }, "  ")
    screen.line("")
    for _, path in ipairs(files_of.paths(version.files)) do
        screen.line(("  %s  %d"):format(screen.pad(path, 32), #version.files[path]))
    end
end

local function show(call)
    local id, failure = call.rest[1]
    local path = call.rest[2]
    if id and not path and id:find("%.lua$") then
        id, path = nil, id
    end
    if not id or id == ACTIVE then
        id, failure = active_id(call)
        if not id then
            return exits.fail(failure and failure.exit or exits.no, failure and failure.message
                or text "scripts.none_active",
                failure and failure.next or "tael scripts list" .. words_of(call))
        end
    end
    local version
    version, failure = get_version(call, id)
    if not version then
        return nil, failure
    elseif call.json then
        screen.object(version)
    elseif not path then
        print_version(version)
    elseif not version.files[path] then
        return exits.fail(exits.no, text("scripts.no_file", { path = path, id = version.id }),
            "tael scripts show " .. version.id .. words_of(call))
    else
        screen.file(version.files[path])
    end
    return exits.done
end

-- ---- diff ----

--- The files of one side: a version, the one that runs, or those of the folder on this machine.
local function side(call, named)
    if named == FOLDER then
        return files_here(call)
    end
    local id, failure = named, nil
    if named == ACTIVE then
        id, failure = active_id(call)
        if not id and not failure then
            return {} -- nothing was pushed: all is new
        end
    end
    local version
    if id then
        version, failure = get_version(call, id)
    end
    return version and version.files, failure
end

local COLOURS = { ["+"] = "green", ["-"] = "red", ["@"] = "dim" }

local function print_diff(text_of)
    for line in text_of:gmatch "[^\n]+" do
        local colour = COLOURS[line:sub(1, 1)]
        screen.line(colour and screen.paint(colour, line) or line)
    end
end

local function show_diff(call)
    local from, failure = side(call, call.rest[1] or ACTIVE)
    local to
    if from then
        to, failure = side(call, call.rest[2] or FOLDER)
    end
    if not to then
        return nil, failure
    end
    local changes = diff.files(from, to)
    for _, change in ipairs(changes) do
        if call.json then
            screen.object(change)
        else
            print_diff(change.diff)
        end
    end
    if #changes == 0 and not call.json then
        screen.hint(text "scripts.same")
    end
    return exits.done
end

local function with_owner(options)
    options.owner = { value = "NAME", doc = "scripts_owner", parameter = false }
    return words.with_asking(options)
end

scripts.commands = {
    { name = "push", usage = "[FOLDER]", min = 0, max = 1, run = push, asks = true,
        options = with_owner {
            message = { value = "TEXT", doc = "scripts_message" },
            author = { value = "NAME", doc = "scripts_author" }, activate = { doc = "scripts_activate" },
            expected = { value = "ID", doc = "scripts_expected" },
        } },
    { name = "list", usage = "", min = 0, max = 0, run = list, asks = true,
        options = with_owner(listing.options {}) },
    { name = "show", usage = "[ID] [FILE]", min = 0, max = 2, run = show, asks = true,
        options = with_owner {} },
    { name = "diff", usage = "[FROM] [TO]", min = 0, max = 2, run = show_diff, asks = true,
        options = with_owner {} },
    { name = "activate", usage = "ID|folder", min = 1, max = 1, run = activate, asks = true,
        options = with_owner { expected = { value = "ID", doc = "scripts_expected" } } },
    { name = "rollback", usage = "", min = 0, max = 0, run = rollback, asks = true,
        options = with_owner {} },
}

return scripts
