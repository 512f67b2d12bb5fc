--- tael.response, in isolates: an answer of a route, whose fields are looked at where it is made.
local FIELDS = { status = "number", headers = "table", json = true, text = "string", body = "string" }

---@param answer { status: integer?, headers: table?, json: any, text: string?, body: string? }
return function(answer)
    if type(answer) ~= "table" then
        error("tael.response: must be given {status=, headers=, json= | text= | body=}", 2)
    end
    for name, value in pairs(answer) do
        local wanted = FIELDS[name]
        if not wanted then
            error("tael.response: unknown field '" .. tostring(name) .. "'", 2)
        elseif wanted ~= true and type(value) ~= wanted then
            error(("tael.response: %s must be a %s, not a %s"):format(name, wanted, type(value)), 2)
        end
    end
    return answer
end
