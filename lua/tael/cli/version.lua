--- tael version: main.c says it by itself, so that it is said whatever else is broken; here for programs.
local exits = require "tael.cli.exits"
local screen = require "tael.cli.screen"

local version = { name = "version", usage = "", min = 0, max = 0, any_config = true }

function version.run(call)
    if call.json then
        screen.object { version = call.options.version }
    else
        screen.line("tael " .. call.options.version)
    end
    return exits.done
end

return version
