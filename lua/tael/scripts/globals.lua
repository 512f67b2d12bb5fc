--- Names in scripts that nothing has: a keyword or a local that is misspelt is valid Lua, and would only be
--- found when its line runs. Texts are read, not run.
--- 1 A text that does not tell (script.globals) is not refused. 2 Who writes a global means a local: globals
--- of scripts cannot be written. 3 Only what is about to run for the first time is looked at: what has run
--- goes on.
local files_of = require "tael.scripts.files"
local nearest = require "tael.nearest"
local script = require "tael.script"

local globals = {}

local STEPS = 2 -- of an isolate that reading one byte is worth

--- Those that scripts have (engine/script/confine.c); false: what Lua has elsewhere, and scripts have not.
---@type table<string, boolean>
globals.known = {}

for name in ("_VERSION assert error ipairs math next pairs pcall rawequal rawget rawlen require select "
    .. "setmetatable string table tonumber tostring type utf8 xpcall"):gmatch "%S+" do
    globals.known[name] = true
end
for name in ("_G bit bit32 collectgarbage coroutine debug dofile getfenv getmetatable io jit load loadfile "
    .. "loadstring module newproxy os package print rawset setfenv unpack warn"):gmatch "%S+" do
    globals.known[name] = false
end

--- What to write in place of what others write.
local INSTEAD = {
    tael = 'say local tael = require "tael"',
    print = "scripts have no print; routes and jobs have tael.log.info",
    os = "scripts have no os; routes and jobs have tael.now and tael.date, rules payment.now",
    unpack = "it is table.unpack",
}

local KEYWORDS = ("and break do else elseif end false for function goto if in local nil not or repeat return "
    .. "then true until while")

--- What may have been meant.
local function meant(name, locals)
    local near = {}
    for word in KEYWORDS:gmatch "%a+" do
        near[word] = true
    end
    for known, there in pairs(globals.known) do
        near[known] = there or nil
    end
    for _, known in ipairs(locals) do
        near[known] = true
    end
    return nearest(name, near)
end

local function message(found, locals)
    local instead = INSTEAD[found.name]
    local near = not instead and globals.known[found.name] == nil and meant(found.name, locals)
    if near then
        instead = ("did you mean '%s'?"):format(near)
    elseif not instead then
        instead = globals.known[found.name] == false and "scripts do not have it" or "nothing has this name"
    end
    if found.writes then
        return ("'%s' is no local, and globals cannot be written: %s"):format(found.name,
            near and instead or "say local " .. found.name)
    end
    return ("unknown global '%s': %s"):format(found.name, instead)
end

--- Specs say themselves what is wrong with them: they are run.
local function is_read(path)
    return not path:find "^spec/"
end

--- The first name that is nobody's.
---@param name string owner of the files, in front of their paths: "merchants/acme"
---@param files table<string, string> texts by path
---@return string? wrong path:line: what
---@return integer used steps that the same work would take in an isolate
function globals.wrong(name, files)
    local used = 0
    for _, path in ipairs(files_of.paths(files)) do
        if is_read(path) then
            used = used + #files[path] * STEPS
            local list, locals = script.globals(files[path], globals.known)
            if list and list[1] then
                return ("%s/%s:%d: %s"):format(name, path, list[1].line, message(list[1], locals)), used
            end
        end
    end
    return nil, used
end

return globals
