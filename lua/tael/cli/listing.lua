--- What all `list` commands share: the page that is asked for, and how it is shown.
local exits = require "tael.cli.exits"
local json = require "tael.json"
local screen = require "tael.cli.screen"
local words = require "tael.cli.words"

local listing = {}

--- Options of a list, with its own filters. An option has the name of the API's parameter, unless it
--- says another.
---@param filters table<string, tael.cli.Option>
---@return table<string, tael.cli.Option>
function listing.options(filters)
    local all = words.with_asking(filters)
    all.limit = { value = "N", integer = true, doc = "at most 100; 20 when not said" }
    all.cursor = { value = "CURSOR", doc = "where the page before ended" }
    return all
end

local function query_of(flags, options)
    local query = {}
    for name, value in pairs(flags) do
        if options[name] and not words.asking[name] then
            query[options[name].parameter or name] = value
        end
    end
    return query
end

--- The same command, one page further.
local function next_page(call, cursor)
    local parts = { "next page: tael", call.path }
    local names = {}
    for name in pairs(call.flags) do
        names[#names + 1] = name ~= "cursor" and name ~= "key" and name or nil
    end
    table.sort(names)
    for _, name in ipairs(names) do
        parts[#parts + 1] = ("--%s %s"):format(name, call.flags[name])
    end
    parts[#parts + 1] = "--cursor " .. cursor
    return table.concat(parts, " ")
end

---@param call tael.cli.Call
---@param path string of the API
---@param header string[]
---@param row fun(object: table): any[]
---@return integer? exit
---@return tael.cli.Failure?
function listing.show(call, path, header, row)
    local page, failure = call.client:get(path, query_of(call.flags, call.command.options))
    if not page then
        return nil, failure
    end
    local rows = { header }
    for i, object in ipairs(page.data) do
        if call.json then
            screen.object(object)
        else
            rows[i + 1] = row(object)
        end
    end
    if not call.json then
        if #rows > 1 then
            screen.columns(rows)
        else
            screen.line("none")
        end
    end
    if page.next_cursor and page.next_cursor ~= json.null then
        screen.hint(next_page(call, page.next_cursor))
    end
    return exits.done
end

return listing
