--- tael reload: has a running engine read its configuration, certificates and scripts again. Scripts that are
--- wrong are told, and the answer is no: what ran before them goes on.
local json = require "tael.json"
local exits = require "tael.cli.exits"
local screen = require "tael.cli.screen"
local text = require("tael.cli.texts").of
local words = require "tael.cli.words"

local reload = {
    name = "reload", usage = "", min = 0, max = 0, asks = true, options = words.with_asking {},
}

function reload.run(call)
    local answer, failure = call.client:request("POST", "/v1/system/reload",
        { body = {}, any_merchant = true })
    if not answer then
        if failure.exit == exits.no then
            failure.next = failure.next or text "reload.refused.next"
        end
        return nil, failure
    elseif call.json then
        screen.object(answer)
    else
        screen.line(text("reload.done", { count = answer.certificates }))
        if #answer.channels > 0 then
            screen.line(text("reload.channels", { names = table.concat(answer.channels, ", ") }))
        end
        for _, one in ipairs(answer.scripts) do
            screen.line(text(one.generation == json.null and "reload.no_scripts" or "reload.scripts", one))
        end
        for _, one in ipairs(answer.refused) do
            screen.line(text("reload.refused", one))
        end
        if #answer.needs_restart > 0 then
            screen.line(text("reload.needs_restart", { keys = table.concat(answer.needs_restart, ", ") }))
        end
    end
    return #answer.refused > 0 and exits.no or exits.done
end

return reload
