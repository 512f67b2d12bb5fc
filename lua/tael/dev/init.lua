--- The check before `tael dev` starts or replaces an engine: an application of its own, in a Lua state that
--- is thrown away, so that what is wrong in a file never meets the running engine.
local check = require "tael.dev.check"
local report = require "tael.dev.report"

local app = {}

---@param options table of the application contract
---@return table plan
function app.plan(options)
    local found, err = check.run(options)
    local pass = { ok = found ~= nil }
    if found then
        pass.text = table.concat(found, "\n") .. "\n"
    elseif err.code == "folder" then
        pass.text, pass.code = err.message, err.code
    else
        pass.text, pass.code = report.text(err, options.root), err.code
    end
    return { workers = 1, drain_ms = 0, log = { level = "error" }, pass = pass }
end

---@param context { pass: table }
function app.open(context)
    app.pass = context.pass
end

--- 200: the data folder, then every place to be watched, a line each. 422: what is wrong, for a person;
--- 403: the folder that cannot be made.
---@return table response
function app.handle()
    local status = app.pass.ok and 200 or app.pass.code == "folder" and 403 or 422
    return { status = status, body = app.pass.text }
end

return app
