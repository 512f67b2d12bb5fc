--- The SQL of scripts' small state, in a real SQLite: versions that never come again, and no key too many.
require "tests.spec.kernel_support"
local kernel_store = require "tests.spec.kernel_store"

local bind, schema = kernel_store.bind, kernel_store.schema

--- Runs SQL in one new database and gives the lines that it prints; errors among them.
local function run(list)
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(schema, "\n", table.concat(list, "\n"))
    file:close()
    local pipe = assert(io.popen("sqlite3 -batch :memory: < " .. path .. " 2>&1"))
    local lines = {}
    for line in pipe:lines() do
        lines[#lines + 1] = line
    end
    pipe:close()
    os.remove(path)
    return lines
end

local function next_version(more, most)
    return bind("script_state.next", { merchant = 3, more = more, most = most or 10000 })
        .. " SELECT changes();"
end

local function insert(name, merchant)
    return bind("script_state.insert", { merchant = merchant or 3, id = name:byte(), name = name, value = "1",
        now = 1 })
end

local KEYS = "SELECT keys FROM script_state_counts WHERE merchant = 3;"

describe("the state of scripts", function()
    it("gives versions that rise over all keys, and none twice", function()
        local lines = run {
            next_version(1), insert "a", next_version(1), insert "b",
            next_version(0), bind("script_state.update", { merchant = 3, name = "a", value = "2", now = 2,
                version_was = 1 }),
            next_version(-1), bind("script_state.delete", { merchant = 3, name = "a", version_was = 3 }),
            next_version(1), insert "a", KEYS,
        }
        assert.are.same({ "1", "1", "1", "2", "1", "3", "1", "1", "5", "2" }, lines)
    end)

    it("changes only what has the version that was read", function()
        local lines = run {
            next_version(1), insert "a",
            bind("script_state.update", { merchant = 3, name = "a", value = "2", now = 2, version_was = 2 }),
            "SELECT changes();",
            bind("script_state.delete", { merchant = 3, name = "a", version_was = 7 }), "SELECT changes();",
            bind("script_state.update", { merchant = 4, name = "a", value = "2", now = 2, version_was = 1 }),
            "SELECT changes();", insert "a", "SELECT changes();",
        }
        assert.are.same({ "1", "1", "0", "0", "0", "0" }, lines)
    end)

    it("has no key more than it may", function()
        local lines = run {
            next_version(1, 2), next_version(1, 2), next_version(1, 2), next_version(0, 2), KEYS,
            next_version(-1, 2), next_version(1, 2), KEYS,
        }
        assert.are.same({ "1", "1", "0", "1", "2", "1", "1", "2" }, lines)
    end)
end)
