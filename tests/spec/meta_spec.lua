--- What is written down about the C modules is what they have, no more and no less.
describe("the annotations of", function()
    local function functions(module)
        local names = {}
        for name, value in pairs(module) do
            if type(value) == "function" then names[#names + 1] = name end
        end
        table.sort(names)
        return names
    end

    for _, name in ipairs { "crypto", "decimal", "engine", "form", "id", "json", "limit", "log", "machine",
        "message", "qr", "script", "terminal", "text", "time" } do
        it("tael." .. name, function()
            local written = dofile("lua/tael/meta/" .. name .. ".lua")
            assert.are.same(functions(require("tael." .. name)), functions(written))
        end)
    end
end)
