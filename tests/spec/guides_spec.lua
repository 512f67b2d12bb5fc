-- The guides of the houses name files and folders that exist, and leave no room out.
local function text_of(path)
    local file = assert(io.open(path))
    local text = file:read "a"
    file:close()
    return text
end

local function exists(path)
    local file = io.open(path)
    if file then
        file:close()
    end
    return file ~= nil
end

local function one_of(paths)
    for _, path in ipairs(paths) do
        if exists(path) then
            return true
        end
    end
    return false
end

--- Places that a guide means by `a/b`: below its house, with and without the ending.
local function places(house, name)
    local bare = name:gsub("/$", "")
    local list = {}
    for _, folder in ipairs { house, "lua/tael/", "lua/", "" } do
        for _, ending in ipairs { "", ".c", ".h", ".lua", "/init.lua" } do
            list[#list + 1] = folder .. bare .. ending
        end
    end
    return list
end

local function folders(house)
    local list = {}
    local pipe = assert(io.popen("ls -d " .. house .. "*/"))
    for line in pipe:lines() do
        list[#list + 1] = line:match "([^/]+)/$"
    end
    pipe:close()
    return list
end

describe("the guides", function()
    for guide, house in pairs { ["engine/README.md"] = "engine/", ["lua/README.md"] = "lua/tael/" } do
        local text = text_of(guide)

        it(guide .. " names what exists", function()
            local count = 0
            for name in text:gmatch "`([%w_.]+/[%w_./]*)`" do
                count = count + 1
                name = name:gsub("/NAME[%._].*", "/") -- a file that the reader is to make
                assert.is_true(one_of(places(house, name)), name .. " is not there")
            end
            for name in text:gmatch "`([%w_]+%.[ch])`" do
                count = count + 1
                assert.is_true(one_of(places(house, name)) or one_of(places("engine/include/", name)), name)
            end
            assert.is_true(count > 10)
        end)

        it(guide .. " leaves no room out", function()
            for _, folder in ipairs(folders(house)) do
                assert.is_truthy(text:find(folder .. "/", 1, true), folder)
            end
        end)
    end
end)
