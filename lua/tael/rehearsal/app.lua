--- `tael test` with the channels' sandboxes: the payments application, in a simulated world where the clock
--- jumps and the store lies in memory, with the simulators of the channels beside it. The same command that
--- runs specs elsewhere runs them here (rehearse.c).
--- 1 Nothing of the real installation is used but its scripts, the names of its merchants and accounts, and
--- their policies: keys are made for this world and go with it. 2 Nothing leaves the process.
local config_of = require "tael.rehearsal.config"
local json = require "tael.json"
local server = require "tael.server"

local app = {}

local kept ---@type table what the command is told: where things really are

---@param options table of the application contract; args = those of tael.cli and `world`, a folder
---@return table? plan
---@return table? err {code, message}
function app.plan(options)
    local made = config_of.make(options)
    local plan, err = server.plan {
        config_lua = made.text, root = options.args.world, lua_root = options.lua_root, dev = true, env = {},
        version = options.version, make_folder = options.make_folder,
    }
    if not plan then
        return nil, err
    end
    plan.log = { level = "error" }
    plan.pass.dev = false -- nobody saves files here, and nobody needs a key of the API
    plan.pass.scripts.merchants = made.merchants
    plan.pass.scripts.specs = false -- the command runs them: one that fails keeps nothing from the others
    plan.pass.rehearsal = {
        options = { config_path = options.config_path, root = options.root, lua_root = options.lua_root,
            dev = options.dev, version = options.version },
    }
    return plan
end

function app.open(context)
    local opened, err = server.open(context)
    if not opened then
        return nil, err
    end
    kept = context.pass.rehearsal
    return true
end

function app.handle(request)
    if request.listener ~= "call" then
        return server.handle(request)
    end
    local code = require("tael.cli").run(assert(json.decode(request.body)),
        { options = kept.options, rehearsal = require "tael.rehearsal.world" })
    return { status = 200, headers = {}, body = tostring(code) }
end

app.failed = require("tael.cli.app").failed

return app
