--- What commands say, in the reader's language: one catalogue a language, keyed by word. Codes, states, names
--- of commands and of options are the same in all of them.
local plain = require "tael.cli.plain"

local texts = {}

texts.LANGUAGES = { "en", "zh" }

local PARTS = { "", "_usage", "_doctor" }

--- All texts of a language.
---@param language string
---@return table<string, string>
function texts.catalogue(language)
    local all = {}
    for _, part in ipairs(PARTS) do
        for key, said in pairs(require("tael.cli.texts." .. language .. part)) do
            all[key] = said
        end
    end
    return all
end

local catalogue = texts.catalogue "en"

--- The language that a command line or an environment asks for: the first variable that is set decides.
---@param named string? of --lang
---@param getenv fun(name: string): string?
---@return string language
function texts.language(named, getenv)
    if named then
        return named
    end
    for _, name in ipairs { "LC_ALL", "LC_MESSAGES", "LANG" } do
        local value = getenv(name)
        if value and value ~= "" then
            return value:find("^zh") and "zh" or "en"
        end
    end
    return "en"
end

--- From now on texts are of this language.
---@param language string
---@return boolean known
function texts.use(language)
    for _, known in ipairs(texts.LANGUAGES) do
        if known == language then
            catalogue = texts.catalogue(language)
            return true
        end
    end
    return false
end

--- The text of a key, with {name} replaced by values.name, which stays on its line. A key or value that is
--- missing raises.
---@param key string
---@param values table<string, string|integer>?
---@return string
function texts.of(key, values)
    local text = catalogue[key] or error("no text for '" .. key .. "'", 2)
    return (text:gsub("{([%w_]+)}", function(name)
        local value = values and values[name]
        if value == nil then
            error(("text '%s' needs '%s'"):format(key, name), 3)
        end
        return plain.value(tostring(value))
    end))
end

--- Heads of columns: one text, its parts between bars.
---@param key string
---@return string[]
function texts.list(key)
    local list = {}
    for part in (texts.of(key) .. "|"):gmatch("(.-)|") do
        list[#list + 1] = part
    end
    return list
end

return texts
