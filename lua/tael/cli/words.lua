--- Reads what follows a command: options, as a table of the command describes them, and the words
--- left over. A name that is not known is refused with the nearest one.
local nearest = require "tael.nearest"

local words = {}

---@class tael.cli.Option
---@field value string?   what its value is called in the usage; nil: a switch
---@field doc string
---@field integer boolean?
---@field parameter string? the API's name for it

--- Options of every command that asks an engine.
words.asking = {
    merchant = { value = "SLUG", doc = "whose objects; needed when there are several merchants" },
    url = { value = "URL", doc = "another engine's API, with --key" },
    key = { value = "KEY", doc = "API key for --url; or the variable TAEL_KEY" },
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

local function value_of(name, option, text)
    if not text or text == "" then
        return nil, ("--%s needs a value: --%s %s"):format(name, name, option.value)
    elseif option.integer then
        local number = text:find("^%d+$") and math.tointeger(tonumber(text))
        if not number or number < 1 then
            return nil, ("--%s needs a positive integer, not '%s'"):format(name, text)
        end
        return number
    end
    return text
end

local function unknown(name, options)
    local near = nearest(name, options)
    local hint = near and "; did you mean '--" .. near .. "'?" or ""
    return nil, ("unknown option '--%s'%s"):format(name, hint)
end

--- The option that argv[i] begins: its name, its value, and the place of the last word it took.
local function read_option(argv, i, options)
    local name, given = argv[i]:match("^%-%-([%w-]+)=(.*)$")
    name = name or argv[i]:match("^%-%-([%w-]+)$") or argv[i]
    if name == "help" or name == "-h" then
        return "help", true, i
    end
    local option = options[name]
    if not option then
        return unknown((name:gsub("^%-+", "")), options)
    elseif not option.value then
        if given then
            return nil, ("--%s takes no value"):format(name)
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
        if plain or not argv[i]:find("^%-.") then
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
