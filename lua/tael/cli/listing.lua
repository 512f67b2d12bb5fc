--- What all `list` commands share: the page that is asked for, and how it is shown.
local exits = require "tael.cli.exits"
local json = require "tael.json"
local screen = require "tael.cli.screen"
local texts = require "tael.cli.texts"
local words = require "tael.cli.words"

local listing = {}

local LIMIT = 20 -- of a page, as the API has it

--- Options of a list, with its own filters. An option has the name of the API's parameter, unless it
--- says another.
---@param filters table<string, tael.cli.Option>
---@return table<string, tael.cli.Option>
function listing.options(filters)
    local all = words.with_asking(filters)
    all.limit = { value = "N", integer = true }
    all.cursor = { value = "CURSOR" }
    return all
end

local function query_of(flags, options)
    local query = {}
    for name, value in pairs(flags) do
        if options[name] and options[name].parameter ~= false and not words.asking[name] then
            query[options[name].parameter or name] = value
        end
    end
    return query
end

--- The same command, one page further; screen says of whom it is asked.
local function next_page(call, cursor)
    local parts, names = { "tael", call.path }, {}
    for name in pairs(call.flags) do
        names[#names + 1] = name ~= "cursor" and not words.asking[name] and name or nil
    end
    table.sort(names)
    for _, name in ipairs(names) do
        parts[#parts + 1] = ("--%s %s"):format(name, screen.word(tostring(call.flags[name])))
    end
    for _, word in ipairs(call.rest) do
        parts[#parts + 1] = screen.word(word)
    end
    parts[#parts + 1] = "--cursor " .. cursor
    return table.concat(parts, " ")
end

--- Objects of the API that are already here.
---@param call tael.cli.Call
---@param list table[]
---@param heads string key of the columns' heads
---@param row fun(object: table): any[]
function listing.print(call, list, heads, row)
    local rows = {}
    for i, object in ipairs(list) do
        if call.json then
            screen.object(object)
        else
            rows[i] = row(object)
        end
    end
    if not call.json and #rows > 0 then
        screen.table(texts.list(heads), rows)
    elseif not call.json then
        screen.line(texts.of "list.none")
    end
end

--- A page, in as many questions as it takes: where few of many fit a filter, an answer holds less than was
--- asked for, and says where to go on.
---@return table[]? list
---@return string|tael.cli.Failure|nil cursor of the next page; or the failure
local function gather(call, path)
    local query, list = query_of(call.flags, call.command.options), {}
    local wanted = query.limit or LIMIT
    repeat
        query.limit = wanted - #list
        local page, failure = call.client:get(path, query)
        if not page then
            return nil, failure
        end
        table.move(page.data, 1, #page.data, #list + 1, list)
        query.cursor = page.next_cursor ~= json.null and page.next_cursor or nil
    until not query.cursor or #list >= wanted
    return list, query.cursor
end

---@param call tael.cli.Call
---@param path string of the API
---@param heads string key of the columns' heads
---@param row fun(object: table): any[]
---@return integer? exit
---@return tael.cli.Failure?
function listing.show(call, path, heads, row)
    local list, cursor = gather(call, path)
    if not list then
        return nil, cursor
    end
    listing.print(call, list, heads, row)
    if cursor then
        screen.hint(texts.of("list.next_page", { command = next_page(call, cursor) }))
    end
    return exits.done
end

return listing
