--- Everything that a merchant's script may ask the host to do, described once. From this table come the
--- stubs in the isolates, the checks of arguments and places, the annotations for editors
--- (lua/tael/meta/effects.lua) and the reference (scripts/EFFECTS.md).
--- What the world says is a second result {code, message, retriable?, …}; what is wrong with the call itself
--- is raised where the script called.
local effects = {}

---@class tael.Effect
---@field name string "http.get"
---@field about string
---@field args tael.EffectArg[]
---@field gives { type: string, about: string, may_fail: boolean? }[] may_fail: else nil and an error
---@field where table<"route"|"job", true> in which kinds of files
---@field errors string? codes of its own
---@field note string? more for the reference

---@class tael.EffectArg
---@field name string
---@field type "integer"|"text"|"value"|"payment"|"table" payment: one, or its id
---@field about string
---@field optional boolean?
---@field fields table<string, table>? of a table, as those of tael.api.validate
---@field from string? module and member that hold the fields: "tael.api.payments.create_schema"
---@field class string? what the annotations call it

---@type tael.Effect[]
effects.list = {}

local ANYWHERE = { route = true, job = true }

local function add(name, about, args, gives, more)
    local effect = more or {}
    effect.name, effect.about, effect.args, effect.gives, effect.where = name, about, args, gives, ANYWHERE
    effects.list[#effects.list + 1] = effect
end

local function arg(name, kind, about, more)
    local made = more or {}
    made.name, made.type, made.about = name, kind, about
    return made
end

local function optional(name, kind, about, more)
    local made = arg(name, kind, about, more)
    made.optional = true
    return made
end

-- ---- time and chance ----

add("now", "The time, in ms since 1970 UTC.", {}, { { type = "integer", about = "ms" } })
add("random", "A number by chance, each from the first to the last equally likely.", {
    arg("first", "integer", "the least"), arg("last", "integer", "the greatest"),
}, { { type = "integer", about = "from first to last" } })
add("id", "A text that nobody has had before: 26 characters, by time, then by chance.", {
    optional("prefix", "text", "in front of it, with '_' between: at most 16 small letters and digits"),
}, { { type = "string", about = "such as cart_01k…" } })

-- ---- telling people ----

local LOG_NOTE = "At most 20 lines in a call; fields are texts, numbers and booleans, at most 16."

for _, level in ipairs { "info", "warn", "error" } do
    add("log." .. level, "Writes a line of the engine's log, as script." .. level .. " of this merchant.", {
        arg("message", "text", "at most 1000 bytes"),
        optional("fields", "table", "what belongs to it, by name"),
    }, {}, { note = LOG_NOTE })
end

-- ---- what is made of the table ----

---@type table<string, tael.Effect>
effects.by_name = {}
local names = {}
for _, effect in ipairs(effects.list) do
    effects.by_name[effect.name] = effect
    names[#names + 1] = effect.name
end

--- For isolates: the names, with blanks between.
effects.names = table.concat(names, " ")

return effects
