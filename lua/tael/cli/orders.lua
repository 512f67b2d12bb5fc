--- A payment may be named by its order, as the merchant's own books name it, wherever its id is meant.
local exits = require "tael.cli.exits"
local text = require("tael.cli.texts").of

local orders = {}

--- Ids are a prefix of three letters and 26 characters (interfaces §1); an order that looks like one is one.
local function is_id(word)
    return #word == 30 and word:find("^%l%l%l_%w+$") ~= nil
end

--- Replaces an order among the command's words or options by the payment's id.
---@param call tael.cli.Call
---@param words table<string|integer, any> call.rest or call.flags
---@param place integer|string of the word
---@return boolean? done
---@return tael.cli.Failure?
function orders.resolve(call, words, place)
    local word = words[place]
    if not word or not call.client or is_id(word) then
        return true
    end
    local page, failure = call.client:get("/v1/payments", { merchant_order_id = word })
    if not page then
        return nil, failure
    elseif not page.data[1] then
        return exits.fail(exits.no, text("orders.none", { order = word }), "tael payments list")
    end
    words[place] = page.data[1].id
    return true
end

return orders
