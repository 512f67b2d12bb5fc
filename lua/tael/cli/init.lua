--- The command line behind main.c: finds the command, reads its options, loads the configuration, runs it.
--- 1 plan never refuses: what is wrong is said by run, in one form and with the right exit code. 2 The
--- answer of a command goes to stdout, what went wrong to stderr with one line `next:`.
local client = require "tael.cli.client"
local commands = require "tael.cli.commands"
local exits = require "tael.cli.exits"
local orders = require "tael.cli.orders"
local screen = require "tael.cli.screen"
local settings = require "tael.cli.settings"
local texts = require "tael.cli.texts"
local words = require "tael.cli.words"

local cli = {}

local text = texts.of

---@class tael.cli.Call what a command gets
---@field command tael.cli.Command
---@field path string
---@field flags table<string, any>
---@field rest string[]
---@field json boolean
---@field config table?        nil only for commands with any_config
---@field config_error table?  {code, message}
---@field options table        of the plan: config_path, root, lua_root, dev
---@field pass table           what the command's plan left
---@field store_error table?   {code, message}: the planned store could not be opened
---@field client table?

-- ---- plan ----

---@param options table of the application contract; args = {argv, json, quiet, help, url?, key?, merchant?,
---   lang?, store_error?}
---@return table plan
function cli.plan(options)
    local kept = {
        config_path = options.config_path, root = options.root, lua_root = options.lua_root,
        dev = options.dev, version = options.version,
    }
    local plan = {
        workers = 1, drain_ms = 0, log = { level = "error" }, pass = { options = kept },
        client = { allow_private = true }, -- --url names what the person at the terminal wants to reach
    }
    local found = commands.find(options.args.argv)
    local command = found and found.command
    local read = command and (command.plan or command.asks)
        and words.read(options.args.argv, found.at, command.options or {})
    if read and not read.flags.help then
        local config = settings.load(kept)
        plan.client.ca = config and config.client.ca
        if command.plan and (config or command.any_config) then
            command.plan(plan, config, {
                flags = read.flags, rest = read.rest, lua_root = options.lua_root, root = options.root,
                store_error = options.args.store_error,
            })
        end
    end
    return plan
end

-- ---- run ----

local function wrong_words(found, message)
    screen.problem { exit = exits.usage, message = message, next = "tael " .. found.path .. " --help" }
    screen.aside(commands.usage(found))
    return exits.usage
end

local function count_fits(command, count)
    if count < (command.min or 0) then
        return nil, text("commands.needs", { usage = command.usage })
    elseif count > (command.max or 0) then
        return nil, text "commands.too_many"
    end
    return true
end

local function make_client(call, args)
    local url, key = call.flags.url or args.url, call.flags.key or args.key
    call.flags.url, call.flags.merchant = url, call.flags.merchant or args.merchant
    if url and not url:find("^https?://[^/%s%c][^%s%c]*$") then
        return exits.fail(exits.usage, text("client.no_url", { given = url }), text "client.no_url.next")
    end
    if url and not key then
        key = os.getenv("TAEL_KEY")
        if not key or key == "" then
            return exits.fail(exits.usage, text "client.no_key", text "client.no_key.next")
        end
    end
    local merchant = call.flags.merchant
    screen.set_engine { url = url, merchant = merchant }
    if key and not key:find("^[\33-\126]+$") then
        return exits.fail(exits.usage, text "client.odd_key", text "client.no_key.next")
    elseif merchant and not merchant:find("^[%w.-]+$") then
        return exits.fail(exits.usage, text("client.odd_merchant", { given = merchant }),
            text "client.next.invalid_header")
    end
    local made = client.new({
        config = call.config, socket = settings.socket(call.config), url = url, key = key,
        merchant = merchant,
    }, require("tael.http").request)
    made.path = client.path
    return made
end

local function perform(call, args)
    local command = call.command
    call.config, call.config_error = settings.load(call.options)
    if not call.config and not command.any_config then
        return exits.fail(exits.configuration, call.config_error.message, text "config.wrong.next")
    end
    if command.asks and call.config then
        local wrong
        call.client, wrong = make_client(call, args)
        if not call.client then
            return nil, wrong
        end
    end
    local found, failure = orders.resolve(call, call.flags, "payment")
    if found and command.payment then
        found, failure = orders.resolve(call, call.rest, command.payment)
    end
    if not found then
        return nil, failure
    end
    return command.run(call)
end

local function help(argv)
    local found = commands.find(argv)
    if not found then
        return nil
    end
    screen.line(commands.usage(found))
    return exits.done
end

--- The usage of all: what was asked for, or what is shown to who asked for nothing.
local function overview(args)
    if args.help then
        screen.line(commands.overview())
        return exits.done
    end
    screen.problem { exit = exits.usage, message = text "commands.none", next = "tael --help" }
    screen.aside(commands.overview())
    return exits.usage
end

--- `help NAME…` is `NAME… --help`.
local function argv_of(args)
    local argv = args.argv
    if argv[1] == "help" and argv[2] then
        argv = table.move(argv, 2, #argv, 1, {})
        argv[#argv + 1] = "--help"
    end
    return argv
end

local function run_found(found, read, args, pass)
    local exit, failure = perform({
        command = found.command, path = found.path, flags = read.flags, rest = read.rest, json = args.json,
        options = pass.options, pass = pass, store_error = args.store_error,
    }, args)
    if exit then
        return exit
    elseif failure.exit == exits.usage and not failure.next then
        failure.next = "tael " .. found.path .. " --help"
    end
    screen.problem(failure)
    return failure.exit
end

local function run(args, pass)
    local argv = argv_of(args)
    if args.help or #argv == 0 then
        return overview(args)
    end
    local found, failure = commands.find(argv)
    if not found then
        screen.problem(failure)
        return failure.exit
    end
    local command = found.command
    local read, wrong = words.read(argv, found.at, command.options or {})
    if read and read.flags.help then
        return help(argv)
    elseif command.commands then
        return wrong_words(found, text("commands.group", { path = found.path }))
    elseif not read then
        return wrong_words(found, wrong)
    end
    local fits
    fits, wrong = count_fits(command, #read.rest)
    if not fits or not command.run then
        return wrong_words(found, ("tael %s: %s"):format(found.path, wrong or text "commands.too_many"))
    end
    return run_found(found, read, args, pass)
end

--- Language and colours of this call.
local function prepare(args)
    local terminal = require "tael.terminal"
    local no_colour, in_terminal = os.getenv("NO_COLOR"), terminal.is "stdout"
    screen.set {
        terminal = in_terminal, colours = in_terminal and (not no_colour or no_colour == ""),
        quiet = args.quiet, config = args.config,
    }
    local language = texts.language(args.lang, os.getenv)
    if not texts.use(language) then
        return exits.fail(exits.usage, text("texts.unknown", { given = language,
            known = table.concat(texts.LANGUAGES, ", ") }), "tael --lang en --help")
    end
    return true
end

--- What was done and not told is told as that, if only by the exit code.
local function ended(exit)
    screen.flush()
    local how, reason = screen.broken()
    if how ~= "failed" then
        return exit
    end
    screen.problem { exit = exits.unknown, message = text("screen.unwritten", { reason = reason }),
        next = text "screen.unwritten.next" }
    return exit == exits.done and exits.unknown or exit
end

---@param args table {argv, json, quiet, help, url?, key?, merchant?, lang?, config? = as it was named,
--- store_error? = {code, message}}
---@param pass table of the plan
---@return integer exit
function cli.run(args, pass)
    local ready, failure = prepare(args)
    if not ready then
        screen.problem(failure)
        return failure.exit
    end
    return ended(run(args, pass))
end

return cli
