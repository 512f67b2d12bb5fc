--- Alipay signing vectors (tests/vectors): keys, texts and their signatures, by kind of case.
local json = require "tael.json"

local function read()
    local file <close> = assert(io.open("tests/vectors/alipay-sign.json", "rb"))
    local limits = { max_string = 1 << 20, max_tokens = 1 << 20, max_members = 1 << 10 }
    return assert(json.decode(file:read("a"), limits))
end

local vectors = read()

---@return table[] cases of one kind
function vectors.of(kind)
    local found = {}
    for _, case in ipairs(vectors.cases) do
        if case.kind == kind then
            found[#found + 1] = case
        end
    end
    assert(#found > 0, "no vectors of kind " .. kind)
    return found
end

return vectors
