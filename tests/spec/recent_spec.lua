--- What is kept of what was made lately.
local recent = require "tael.recent"

describe("a memory of what is recent", function()
    it("gives what was put last for a key", function()
        local kept = recent.new(4)
        kept:put("a", 1)
        kept:put("a", 2)
        kept:put("b", false)
        assert.are.equal(2, kept:get "a")
        assert.is_false(kept:get "b")
        assert.is_nil(kept:get "c")
    end)

    it("keeps the newest, and no more than twice as many as asked for", function()
        local kept = recent.new(10)
        for i = 1, 1000 do
            kept:put(i, -i)
            local known = 0
            for j = 1, i do
                known = known + ((kept.newer[j] or kept.older[j]) and 1 or 0)
            end
            assert.is_true(known <= 20)
            for j = math.max(1, i - 9), i do
                assert.are.equal(-j, kept.newer[j] or kept.older[j])
            end
        end
    end)

    it("keeps what is asked for again and again", function()
        local kept = recent.new(10)
        kept:put("often", 1)
        for i = 1, 1000 do
            kept:put(i, i)
            assert.are.equal(1, kept:get "often")
        end
    end)
end)
