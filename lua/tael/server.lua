--- The payments application: what `tael serve` and a host of libtael run. It plans from the configuration,
--- opens keys, merchants and channels on every worker, and hands requests to the API.
--- 1 A start that cannot take money is refused, with the key, file or account that is wrong. 2 Development
--- makes what it needs; production makes nothing by itself.
local config_of = require "tael.config"
local demo = require "tael.config.demo"
local json = require "tael.json"
local key_folder = require "tael.config.keys"
local plan_of = require "tael.config.plan"
local reload = require "tael.reload"

local app = {}

-- ---- plan: in the boot state ----

local function companions(config)
    if not config.dev then
        return nil
    end
    return { { app = "tael.sandbox.app", options = require("tael.sandbox.options").of(config) } }
end

--- Reads the keys of all accounts into what the workers share, while a predecessor still serves: thousands
--- take seconds. What is wrong with one is said when it is opened.
local function read_keys(config)
    local account_fields, loader = require "tael.channel.account", require "tael.channel.loader"
    if not key_folder.open(config) then
        return
    end
    local packages = loader.load(config.scripts.channels)
    local function read(slug, account)
        account_fields.prepare(packages[account.channel], { id = 0, slug = slug,
            environment = account.environment, fields = account_fields.fields_of(account) })
    end
    for _, merchant in pairs(config.merchants) do
        for slug, account in pairs(merchant.accounts or {}) do
            pcall(read, slug, account)
        end
    end
end

---@param options table of the application contract
---@return table? plan
---@return table? err {code, message}
function app.plan(options)
    local source = {
        path = options.config_path, text = options.config_lua, root = options.root,
        lua_root = options.lua_root, dev = options.dev, env = options.env,
    }
    local config, err = config_of.load(source)
    if not config then
        return nil, err
    end
    source.at = options.config_at -- from now on: who holds the engine may go elsewhere
    local listeners
    listeners, err = plan_of.listeners(config)
    if not listeners then
        return nil, err
    end
    if config.dev then
        local made
        made, err = demo.make_keys(config, options.make_folder)
        if not made then
            return nil, err
        end
    end
    if options.succeeds then
        read_keys(config)
    end
    config.version, config.origin, config.source = options.version, nil, source
    return {
        workers = config.workers, drain_ms = config.drain, log = { level = config.log.level },
        clock = config.dev and "adjustable" or nil,
        listeners = listeners, limits = plan_of.limits(config),
        body_limits = plan_of.body_limits(config),
        folders = { config.data }, client = plan_of.client(config),
        store = plan_of.store(config, options.lua_root, config.store.migrate == "auto"),
        routes = plan_of.routes(config),
        pass = config, companions = companions(config),
        handover = not config.dev and plan_of.handover(config) or nil,
    }
end

-- ---- open: on every worker ----

--- Scripts that belong to nobody.
local function tell_strays(config)
    local folder, shown = plan_of.own_scripts(config, config.source)
    local known = {}
    for _, merchant in ipairs(require("tael.kernel.registry").merchants()) do
        known[merchant.slug] = true
    end
    for _, stray in ipairs(require("tael.scripts.strays").of(folder .. "/merchants", known)) do
        require("tael.log").warn("scripts.stray", { folder = shown .. "/merchants/" .. stray.name,
            why = "no such merchant" .. (stray.meant and "; did you mean " .. stray.meant .. "?" or "") })
    end
end

--- The version of the operator's own endpoints that runs, where one does.
local function open_routes()
    local held_routes, ids = require "tael.scripts.held_routes", require "tael.kernel.ids"
    local owners, versions = require "tael.scripts.owners", require "tael.scripts.versions"
    local version, err, activation = versions.running(owners.operator "routes")
    if err then
        error("routes: " .. err.code, 0)
    end
    require("tael.scripts.renewal").serve("routes", held_routes, activation)
    held_routes.open(version and version.files, version and ids.encode("scr", version.id))
end

--- What an author sees of a refusal: the line itself, under a path that an editor opens.
local function show_refusals(config)
    local report = require "tael.dev.report"
    local own, shown = plan_of.own_scripts(config, config.source)
    require("tael.scripts.refusals").report = function(why)
        local in_channels = why:find("channels/", 1, true) == 1
        if not why:find("^[^\n]-:%d+: ") then
            return "  " .. shown .. "/" .. why:match("^[^\n]*") .. "\n"
        end
        local folder = why:sub(1, 1) == "/" and "" or (in_channels and config.scripts.channels or own) .. "/"
        return report.text({ message = folder .. why }, config.source.root)
    end
end

local function open_kernel(context)
    local registry, generations = require "tael.kernel.registry", require "tael.scripts.generations"
    if context.worker == 1 then
        require("tael.kernel.own_secrets").hold()
        registry.sync(context.pass)
    end
    local activation = registry.load(context.pass)
    require("tael.scripts.shares").open(context.pass.scripts.share)
    require("tael.scripts.budgets").open(context.pass.scripts.budget)
    local own = plan_of.own_scripts(context.pass, context.pass.source)
    generations.open {
        folder = context.pass.scripts.merchants or own .. "/merchants", own = own,
        channels = context.pass.scripts.channels,
        lua_root = context.pass.source.lua_root,
        watch = context.pass.dev, memory = context.pass.scripts.memory_mib << 20,
        memory_each = context.pass.scripts.budget.memory_mib << 20,
        isolation = context.pass.scripts.isolation, processes = context.pass.scripts.processes,
        specs = context.pass.scripts.specs,
    }
    require("tael.scripts.renewal").serve("channels",
        { prepare = registry.prepare_channels, take = registry.take_channels }, activation)
    require("tael.scripts.refusals").open()
    if context.pass.dev then
        show_refusals(context.pass)
    end
    open_routes()
    require "tael.scripts.jobs" -- answers the other workers
    if context.worker == 1 then
        if context.pass.dev then
            demo.make_api_key(context.pass)
        end
        require("tael.scripts.reading").start(context.pass.dev)
        require("tael.kernel.jobs").start()
        require("tael.scripts.jobs").start()
        if not context.pass.scripts.merchants then
            tell_strays(context.pass)
        end
    end
end

---@param context { worker: integer, workers: integer, pass: table }
---@return true?
---@return table? err {code, message}
function app.open(context)
    local ready, err = key_folder.open(context.pass)
    if ready then
        ready, err = key_folder.check()
    end
    if not ready then
        return nil, err
    end
    local ran, wrong = pcall(open_kernel, context)
    if not ran then
        return nil, type(wrong) == "table" and wrong or { code = "internal", message = tostring(wrong) }
    end
    reload.remember(context.pass.source, context.pass)
    app.config, app.api = context.pass, require "tael.api"
    return true
end

-- ---- requests ----

local function banner()
    local text = app.config.dev and demo.banner(app.config)
    return {
        status = text and 200 or 404, headers = { ["content-type"] = "text/plain; charset=utf-8" },
        body = text or "",
    }
end

--- For `tael dev`; the body is how many ms it took.
local function dev_banner(request)
    return {
        status = 200, headers = { ["content-type"] = "text/plain; charset=utf-8" },
        body = require("tael.dev.banner").text(app.config, math.tointeger(tonumber(request.body)) or 0),
    }
end

--- Chains, seals and tables against the events: everything that the store can prove of itself.
local function verified()
    local differences, counts = require("tael.kernel.rebuild").verify()
    return {
        status = 200, headers = { ["content-type"] = "application/json" },
        body = json.encode { ok = #differences == 0, differences = json.array(differences), counts = counts },
    }
end

local function reloaded()
    local answer, err = reload.run()
    return { status = answer and 200 or 409, headers = { ["content-type"] = "application/json" },
        body = json.encode(answer or err) }
end

-- What only the process that holds the engine may ask; no listener reaches these.
local internal = {
    ["/-/banner"] = banner, ["/-/dev"] = dev_banner, ["/-/verify"] = verified, ["/-/reload"] = reloaded,
}

---@param request table of the application contract
---@return table response
function app.handle(request)
    if request.listener == "call" and internal[request.path] then
        return internal[request.path](request)
    end
    return app.api.handle(request)
end

--- Who calls one of the operator's own routes.
function app.admit(request)
    return require("tael.api.own_routes").admit(request)
end

--- Why one of them does not answer.
function app.refuse(request, refusal)
    return require("tael.api.own_routes").refuse(request, refusal)
end

--- Only what the API itself could not answer comes here.
function app.failed(request, _, request_id)
    local problem = require "tael.api.problem"
    local response = problem.response(problem.new("internal"),
        { instance = request.path, request_id = request_id })
    response.headers["tael-request-id"] = request_id
    return response
end

--- Of an answer that the engine makes by itself.
---@return string
function app.name()
    return require("tael.kernel.ids").encode("req", require("tael.store").next_id())
end

return app
