--- Money of the simulated Alipay: fen inside, yuan as decimal text outside.
local yuan = {}

local MAX = 10000000000 -- 100000000.00

---@param fen integer
---@return string "12.34"
function yuan.text(fen)
    return ("%d.%02d"):format(fen // 100, fen % 100)
end

--- "12", "12.3" or "12.34", from 0.01 on.
---@param text any
---@return integer? fen
function yuan.fen(text)
    if type(text) ~= "string" then
        return nil
    end
    local whole, part = text:match("^(%d+)%.(%d%d?)$")
    if not whole then
        whole, part = text:match("^(%d+)$"), "0"
    end
    if not whole or #whole > 9 then
        return nil
    end
    local fen = math.tointeger(tonumber(whole .. part .. (#part == 1 and "0" or "")))
    return fen >= 1 and fen <= MAX and fen or nil
end

return yuan
