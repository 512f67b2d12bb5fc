-- The name that was meant.
local nearest = require "tael.nearest"

describe("nearest", function()
    local known = { client_ip = true, user_agent = true, buyer_id = true, buyer_open_id = true,
        amount = true }

    for name, meant in pairs {
        amuont = "amount", buyer_ids = "buyer_id",
        ip = "client_ip", agent = "user_agent", user = "user_agent", -- a whole part of one name
        buyer = false, id = false, -- of two
        gent = false, p = false, x = false, [("amount"):rep(20)] = false,
    } do
        it(("finds %s for %s"):format(meant, name:sub(1, 20)), function()
            assert.are.equal(meant or nil, nearest(name, known))
        end)
    end
end)
