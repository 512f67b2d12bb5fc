--- Reading again while the engine runs, on SIGHUP and POST /v1/system/reload: what can be replaced is, and
--- what else has changed in the configuration since the start is named, for it needs a restart. A
--- configuration or a certificate that is wrong changes nothing, a channel that is wrong no channel.
local config_of = require "tael.config"
local engine = require "tael.engine"
local json = require "tael.json"
local log = require "tael.log"
local schema = require "tael.config.schema"

local reload = {}

local started -- {source, config}: what this engine was started with

--- Remembers what runs. On every worker, when it opens.
---@param source table as of tael.config.load
---@param config table
function reload.remember(source, config)
    started = { source = source, config = config }
end

local function written(value)
    return value == nil and "" or json.encode({ value }, { sort = true })
end

local function value_at(config, name)
    local at = config
    for part in name:gmatch("[^.]+") do
        at = type(at) == "table" and at[part] or nil
    end
    return at
end

local function names_of(a, b)
    local seen, names = {}, {}
    for _, map in ipairs { a or {}, b or {} } do
        for name in pairs(map) do
            if not seen[name] then
                seen[name], names[#names + 1] = true, name
            end
        end
    end
    table.sort(names)
    return names
end

--- Names the members of two merchants or accounts that differ; their accounts one by one.
local function compare(path, was, is, found)
    if was == nil or is == nil then
        found[#found + 1] = path
        return
    end
    for _, name in ipairs(names_of(was, is)) do
        local at = path .. "." .. name
        if name == "accounts" then
            for _, slug in ipairs(names_of(was.accounts, is.accounts)) do
                compare(at .. "." .. slug, was.accounts[slug], is.accounts[slug], found)
            end
        elseif written(was[name]) ~= written(is[name]) then
            found[#found + 1] = at
        end
    end
end

--- The keys whose values differ, in the order of the schema, then those of merchants.
---@param was table config
---@param is table config
---@return string[]
function reload.changed(was, is)
    local found = {}
    for _, key in ipairs(schema.list) do
        if written(value_at(was, key.name)) ~= written(value_at(is, key.name)) then
            found[#found + 1] = key.name
        end
    end
    for _, slug in ipairs(names_of(was.merchants, is.merchants)) do
        compare("merchants." .. slug, was.merchants[slug], is.merchants[slug], found)
    end
    return found
end

---@class tael.reload.Answer
---@field certificates integer listeners whose certificate was read again
---@field channels string[] that have changed
---@field scripts tael.scripts.Reloaded[] of merchants: what runs from now on
---@field refused { owner: string, error: string }[] scripts that are wrong and do not run
---@field needs_restart string[] keys whose new value counts from the next start on

---@return tael.reload.Answer?
---@return table? err {code, message}
function reload.run()
    local config, err = started.config, nil -- reading thousands of merchants takes its time
    if not config_of.unchanged(started.source, config) then
        config, err = config_of.load(started.source)
    end
    local channels, done
    if config then
        done, err = engine.reload()
    end
    if done then
        channels, err = require("tael.scripts.renewal").again "channels"
    end
    if not channels then
        log.error("engine.not_reloaded", { code = err.code, message = err.message })
        return nil, err
    end
    require("tael.scripts.held_routes").again()
    local scripts = require("tael.scripts.reading").again()
    require("tael.scripts.jobs").reload()
    local answer = {
        certificates = done.certificates, channels = json.array(channels), scripts = json.array(scripts),
        refused = json.array(require("tael.scripts.refusals").list()),
        needs_restart = json.array(config == started.config and {} or reload.changed(started.config, config)),
    }
    log.info("engine.reloaded", {
        certificates = answer.certificates, channels = table.concat(channels, " "), scripts = #scripts,
        refused = #answer.refused,
        needs_restart = table.concat(answer.needs_restart, " "),
    })
    return answer
end

return reload
