--- Every command, in the order of the usage, and how a command line names one.
local exits = require "tael.cli.exits"
local nearest = require "tael.nearest"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of
local words = require "tael.cli.words"

local commands = {}

---@class tael.cli.Command its summary is the text "command." .. the path of its name
---@field name string
---@field usage string?
---@field min integer?      words it takes
---@field max integer?
---@field options table<string, tael.cli.Option>?
---@field any_config boolean?  runs without a configuration that is right
---@field asks boolean?        asks an engine: call.client is there
---@field payment integer?    which of its words names a payment: an order will do
---@field plan fun(plan: table, config: table, about: table)?
---@field run fun(call: tael.cli.Call): integer?, tael.cli.Failure?
---@field commands tael.cli.Command[]?  a group: run is not there

--- Taken by main.c itself; here for the usage.
local function outside(name, options)
    return { name = name, usage = "", options = options, outside = true }
end

commands.list = {
    require "tael.cli.project",
    outside("dev", { port = { value = "PORT", doc = "dev_port" } }),
    outside("serve", { dev = { doc = "serve_dev" }, takeover = { doc = "serve_takeover" } }),
    require "tael.cli.pay",
    require "tael.cli.refund",
    require "tael.cli.payments",
    require "tael.cli.refunds",
    require "tael.cli.events",
    require "tael.cli.notifications",
    require "tael.cli.explain",
    require "tael.cli.trigger",
    require "tael.cli.clock",
    require "tael.cli.keys",
    require "tael.cli.check",
    require "tael.cli.test",
    require "tael.cli.scripts",
    require "tael.cli.jobs",
    require "tael.cli.configuration",
    require "tael.cli.migrate",
    require "tael.cli.doctor",
    require "tael.cli.reload",
    outside("sandbox", {
        listen = { value = "HOST:PORT", doc = "sandbox_listen" },
        data = { value = "FOLDER", doc = "sandbox_data" },
        speed = { value = "N", doc = "sandbox_speed" },
    }),
    (require "tael.cli.version"), -- in parentheses: one value
}

--- Options that stand before the command; the first four of them behind it too.
local OF_ALL = {
    { "json" }, { "quiet" }, { "lang", "zh|en" }, { "config", "FILE" }, { "merchant", "SLUG" },
    { "url", "URL" }, { "key", "KEY" },
}

local function by_name(list)
    local map = {}
    for _, command in ipairs(list) do
        map[command.name] = command
    end
    return map
end

local function unknown_option(word)
    local named = word:gsub("=$", "") -- with nothing behind it
    local known = { dev = true, takeover = true, help = true }
    for _, option in ipairs(OF_ALL) do
        known[option[1]] = true
        if option[2] and named == "--" .. option[1] then
            return text("words.value", { name = option[1], value = option[2] })
        end
    end
    return words.unknown((word:gsub("^%-+", ""):gsub("=.*$", "")), known)
end

local function unknown(word, list, path)
    if word:find("^%-") then
        return exits.fail(exits.usage, unknown_option(word), "tael --help")
    end
    local near = nearest(word, by_name(list))
    return exits.fail(exits.usage, near and text("commands.unknown_near", { name = path .. word,
        near = path .. near }) or text("commands.unknown", { name = path .. word }),
        "tael " .. path .. "--help")
end

---@class tael.cli.Found
---@field command tael.cli.Command
---@field path string   "notifications explain"
---@field at integer    place of the first word after it

--- The command that the words name; a group when its command is missing.
---@param argv string[]
---@return tael.cli.Found?
---@return tael.cli.Failure?
function commands.find(argv)
    local list, path, at = commands.list, "", 1
    while true do
        local word = argv[at]
        local command = word and by_name(list)[word]
        if not command then
            return unknown(word or "", list, path)
        end
        local full = path .. command.name
        local next_word = argv[at + 1]
        if not command.commands or not next_word or next_word:find("^%-") then
            return { command = command, path = full, at = at + 1 }
        end
        list, path, at = command.commands, full .. " ", at + 1
    end
end

-- ---- usage ----

local LEFT = 24

--- What a command does, in a line.
---@param path string
---@return string
function commands.summary(path)
    return text("command." .. path:gsub(" ", "."))
end

local function line_of(left, right)
    return ("  %s %s"):format(screen.pad(left, LEFT), right)
end

local function heading(name, option)
    return "--" .. name .. (option.value and " " .. option.value or "")
end

local function option_lines(options, lines)
    local names = {}
    for name in pairs(options or {}) do
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        lines[#lines + 1] = line_of(heading(name, options[name]), words.doc(name, options[name]))
    end
end

local function with_usage(name, usage)
    return usage ~= "" and name .. " " .. usage or name
end

local function group_lines(found)
    local lines = { text("commands.usage", { line = found.path .. " COMMAND" }), "" }
    for _, command in ipairs(found.command.commands) do
        lines[#lines + 1] = line_of(with_usage(command.name, command.usage),
            commands.summary(found.path .. " " .. command.name))
    end
    return lines
end

--- The usage of one command or group.
---@param found tael.cli.Found
---@return string
function commands.usage(found)
    local command = found.command
    if command.commands then
        return table.concat(group_lines(found), "\n")
    end
    local line, lines = with_usage(found.path, command.usage), {}
    if next(command.options or {}) then
        line = line .. " [OPTIONS]"
        lines[1] = ""
        option_lines(command.options, lines)
    end
    table.insert(lines, 1, text("commands.usage", { line = line }))
    table.insert(lines, 2, commands.summary(found.path))
    return table.concat(lines, "\n")
end

local function names_of(group)
    local names = {}
    for i, command in ipairs(group.commands) do
        names[i] = command.name
    end
    return table.concat(names, "|")
end

--- The usage of all.
---@return string
function commands.overview()
    local lines = { text("commands.usage", { line = "[OPTIONS] COMMAND" }), "" }
    for _, command in ipairs(commands.list) do
        local summary = commands.summary(command.name)
        lines[#lines + 1] = line_of(with_usage(command.name, command.usage or ""), summary)
        if command.commands then
            lines[#lines + 1] = line_of("", screen.paint("dim", names_of(command)))
        end
    end
    lines[#lines + 1] = ""
    for _, option in ipairs(OF_ALL) do
        lines[#lines + 1] = line_of(heading(option[1], { value = option[2] }), text("option." .. option[1]))
    end
    lines[#lines + 1] = "\n" .. text "commands.exits"
    return table.concat(lines, "\n")
end

return commands
