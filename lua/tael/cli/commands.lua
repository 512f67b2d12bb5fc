--- Every command, in the order of the usage, and how a command line names one.
local exits = require "tael.cli.exits"
local nearest = require "tael.nearest"

local commands = {}

---@class tael.cli.Command
---@field name string
---@field summary string
---@field usage string?
---@field min integer?      words it takes
---@field max integer?
---@field options table<string, tael.cli.Option>?
---@field any_config boolean?  runs without a configuration that is right
---@field asks boolean?        asks an engine: call.client is there
---@field plan fun(plan: table, config: table, about: table)?
---@field run fun(call: tael.cli.Call): integer?, tael.cli.Failure?
---@field commands tael.cli.Command[]?  a group: run is not there

--- Taken by main.c itself; here for the usage.
local function outside(name, usage, summary, options)
    return { name = name, usage = usage, summary = summary, options = options, outside = true }
end

commands.list = {
    outside("serve", "", "runs the engine", {
        dev = { doc = "with sandbox, demo merchant and generated keys" },
    }),
    outside("sandbox", "", "runs the channels' simulators alone", {
        listen = { value = "HOST:PORT", doc = "127.0.0.1:8090 when not said" },
        data = { value = "FOLDER", doc = "where it keeps its trades" },
        speed = { value = "N", doc = "its clock runs so much faster" },
    }),
    require "tael.cli.keys",
    require "tael.cli.migrate",
    require "tael.cli.doctor",
    require "tael.cli.configuration",
    require "tael.cli.payments",
    require "tael.cli.notifications",
    require "tael.cli.events",
    outside("version", "", "prints the version"),
}

local function by_name(list)
    local map = {}
    for _, command in ipairs(list) do
        map[command.name] = command
    end
    return map
end

local function unknown(word, list, path)
    local near = nearest(word, by_name(list))
    return exits.fail(exits.usage, ("unknown command '%s%s'%s"):format(path, word,
        near and "; did you mean '" .. path .. near .. "'?" or ""), "tael --help")
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

local function heading(option, name)
    return "--" .. name .. (option.value and " " .. option.value or "")
end

local function option_lines(options, lines)
    local names = {}
    for name in pairs(options or {}) do
        names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
        lines[#lines + 1] = ("  %-24s %s"):format(heading(options[name], name), options[name].doc)
    end
end

local function group_lines(found)
    local lines = { ("usage: tael %s COMMAND"):format(found.path), "" }
    for _, command in ipairs(found.command.commands) do
        lines[#lines + 1] = ("  %-24s %s"):format((command.name .. " " .. command.usage):gsub(" $", ""),
            command.summary)
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
    local line = "usage: tael " .. found.path
    if command.usage ~= "" then
        line = line .. " " .. command.usage
    end
    if not next(command.options or {}) then
        return line .. "\n" .. command.summary
    end
    local lines = { line .. " [OPTIONS]", command.summary, "" }
    option_lines(command.options, lines)
    return table.concat(lines, "\n")
end

return commands
