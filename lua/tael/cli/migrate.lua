--- tael migrate: brings the store's schema up to date, or says what that would do. The store itself does it
--- when it is opened; this command plans for that and says how it went.
local exits = require "tael.cli.exits"
local plan_of = require "tael.config.plan"
local screen = require "tael.cli.screen"
local settings = require "tael.cli.settings"
local text = require("tael.cli.texts").of

local migrate = {
    name = "migrate", usage = "", min = 0, max = 0, options = { ["dry-run"] = {} },
}

--- An engine owns its store alone; a file that a dry run would make is not made.
function migrate.plan(plan, config, about)
    if about.store_error then
        return
    elseif settings.listens(settings.socket(config)) then
        plan.pass.store = "owned"
    elseif config.store.path == ":memory:" then
        plan.pass.store = "memory"
    elseif about.flags["dry-run"] and not settings.exists(config.store.path) then
        plan.pass.store = "new"
    else
        plan.pass.store = "open"
        plan.folders = { config.data }
        plan.store = plan_of.store(config, about.lua_root, not about.flags["dry-run"])
    end
end

local function up_to_date(call)
    local info = require("tael.store").info()
    if call.json then
        screen.object { store = call.config.store.path, schema = info.schema, behind = false }
    else
        screen.line(text("migrate.done", { schema = info.schema, path = call.config.store.path }))
    end
    return exits.done
end

local function would_change(call, message)
    if call.json then
        screen.object { store = call.config.store.path, behind = true, detail = message }
        return exits.no
    end
    return exits.fail(exits.no, message, "tael migrate")
end

--- Whoever named no file may have meant another folder.
local function say_folder(call)
    if not call.options.config_path and not call.json then
        screen.hint(text("migrate.no_file", { folder = call.options.root, data = call.config.data }))
    end
end

function migrate.run(call)
    local config, refused = call.config, call.store_error
    say_folder(call)
    if refused and refused.code == "store_behind" then
        return would_change(call, refused.message)
    elseif refused then
        return exits.fail(exits.store, settings.store_message(config, refused), "tael doctor")
    elseif call.pass.store == "owned" then
        return exits.fail(exits.store, text("migrate.owned", { path = config.store.path }),
            text "migrate.owned.next")
    elseif call.pass.store == "memory" then
        return exits.fail(exits.configuration, text "migrate.memory", text "migrate.memory.next")
    elseif call.pass.store == "new" then
        return would_change(call, text("migrate.new", { path = config.store.path }))
    end
    return up_to_date(call)
end

return migrate
