--- The application behind every command that is not a server: main.c calls it once with the words of the
--- command line and ends with the code it answers. A command that needs the store (migrate, doctor --deep)
--- plans for it, so that the owner lock tells when an engine is running.
local json = require "tael.json"

local app = {}

---@param options table from C; options.args = {argv = string[], json = boolean, url?, key?, merchant?}
function app.plan(options)
    local cli = require "tael.cli"
    return cli.plan(options)
end

---@param context table {worker, workers, pass}
function app.open(context)
    app.context = context.pass
end

---@param request table POST /command with the arguments as JSON
function app.handle(request)
    local args = assert(json.decode(request.body))
    local code = require("tael.cli").run(args, app.context)
    return { status = 200, headers = {}, body = tostring(code) }
end

--- A command that raised: the traceback is for the log, a person gets two lines.
function app.failed(_, message)
    local text = require("tael.cli.texts").of
    require("tael.cli.screen").problem { exit = 70,
        message = text("app.failed", { reason = tostring(message):match("^[^\n]*") }) }
    return { status = 200, headers = {}, body = "70" }
end

return app
