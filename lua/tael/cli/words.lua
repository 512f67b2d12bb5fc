--- Reads what follows a command: options, as a table of the command describes them, and the words
--- left over. A name that is not known is refused with the nearest one.
local durations = require "tael.config.durations"
local nearest = require "tael.nearest"
local text = require("tael.cli.texts").of

local words = {}

---@class tael.cli.Option
---@field value string?     what its value is called in the usage; nil: a switch
---@field doc string?       its text is "option." .. doc; nil: "option." .. its name
---@field integer boolean?
---@field duration boolean? its value in ms
---@field parameter string|false|nil the API's name for it; false: it is no parameter of a list

--- Options of every command that asks an engine.
words.asking = {
    merchant = { value = "SLUG" }, url = { value = "URL" }, key = { value = "KEY" },
}

---@param own table<string, tael.cli.Option>
---@return table<string, tael.cli.Option>
function words.with_asking(own)
    local all = {}
    for _, options in ipairs { words.asking, own } do
        for name, option in pairs(options) do
            all[name] = option
        end
    end
    return all
end

--- What the usage says of an option.
---@param name string
---@param option tael.cli.Option
---@return string
function words.doc(name, option)
    return text("option." .. (option.doc or name))
end

local function integer_of(name, given)
    local number = given:find("^%d+$") and math.tointeger(tonumber(given))
    if not number or number < 1 then
        return nil, text("words.integer", { name = name, given = given })
    end
    return number
end

--- "2h" in ms; a unit has to be there.
---@param given string
---@return integer? ms
function words.duration(given)
    return given:find("^%d+%a+$") and durations.parse(given) or nil
end

local function duration_of(name, given)
    local ms = words.duration(given)
    if not ms then
        return nil, text("words.duration", { name = name, given = given })
    end
    return ms
end

local function value_of(name, option, given)
    if not given or given == "" then
        return nil, text("words.value", { name = name, value = option.value })
    elseif option.integer then
        return integer_of(name, given)
    elseif option.duration then
        return duration_of(name, given)
    end
    return given
end

--- The program itself takes these, before a command and behind it; only one without its value comes here.
local OF_PROGRAM = { config = { value = "FILE" }, lang = { value = "zh|en" } }

--- What is said of an option that nobody knows.
---@param name string without its dashes
---@param options table<string, any>
---@return string
function words.unknown(name, options)
    local near = nearest(name, options)
    return near and text("words.unknown_near", { name = name, near = near })
        or text("words.unknown", { name = name })
end

--- The option that argv[i] begins: its name, its value, and the place of the last word it took.
local function read_option(argv, i, options)
    local name, given = argv[i]:match("^%-%-([%w-]+)=(.*)$")
    name = name or argv[i]:match("^%-%-([%w-]+)$") or argv[i]
    if name == "help" or name == "-h" then
        return "help", true, i
    end
    local option = options[name] or OF_PROGRAM[name]
    if not option then
        return nil, words.unknown((name:gsub("^%-+", "")), options)
    elseif not option.value then
        if given then
            return nil, text("words.switch", { name = name })
        end
        return name, true, i
    end
    local last = given and i or i + 1
    local value, wrong = value_of(name, option, given or argv[last])
    if value == nil then
        return nil, wrong
    end
    return name, value, last
end

---@param argv string[]
---@param from integer place of the first word
---@param options table<string, tael.cli.Option>
---@return { flags: table<string, any>, rest: string[] }?
---@return string? wrong
function words.read(argv, from, options)
    local flags, rest = {}, {}
    local i, plain = from, false
    while i <= #argv do
        if plain or not argv[i]:find("^%-%D") then -- "-5" is a word: a wrong amount is told as one
            rest[#rest + 1] = argv[i]
        elseif argv[i] == "--" then
            plain = true
        else
            local name, value, last = read_option(argv, i, options)
            if not name then
                return nil, value
            end
            flags[name], i = value, last
        end
        i = i + 1
    end
    return { flags = flags, rest = rest }
end

return words
