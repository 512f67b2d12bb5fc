--- What a sandbox is started with: from the words of `tael sandbox`, from a configuration, or handed over by
--- the engine that it accompanies. The result is plain data:
--- {listen, data, keys, master?, speed, level,
--- apps = {{app_id, seller_id, merchant_key, alipay_key, gateway?}}}.
local sorted = require "tael.sorted"

local options = {}

--- Every Alipay account of the sandbox environment; whether its Alipay is us shows when the keys are opened.
local function apps_of(config)
    local apps = {}
    for _, merchant in ipairs(sorted(config.merchants)) do
        local accounts = config.merchants[merchant].accounts
        for _, slug in ipairs(sorted(accounts)) do
            local account = accounts[slug]
            if account.channel == "alipay" and account.environment == "sandbox" then
                apps[#apps + 1] = {
                    app_id = account.app_id, seller_id = account.seller_id,
                    merchant_key = account.key, alipay_key = account.alipay_key,
                    gateway = account.gateway,
                }
            end
        end
    end
    return apps
end

--- The options for a configuration; also what `serve --dev` gives to its companion.
---@param config table of tael.config
---@return table
function options.of(config)
    return {
        listen = config.sandbox.listen,
        data = config.data,
        keys = config.keys.folder,
        master = config.keys.master, -- a reference, never the secret
        speed = config.sandbox.speed,
        level = config.log and config.log.level,
        apps = apps_of(config),
    }
end

local flags = { ["--listen"] = "listen", ["--data"] = "data", ["--speed"] = "speed" }
-- the program takes these itself, if they have a value
local of_program = { ["--config"] = true, ["--lang"] = true }

local function read_words(argv)
    local words = {}
    local i = 2 -- after "sandbox"
    while i <= #argv do
        local name, value = argv[i]:match("^(%-%-%l+)=(.*)$")
        name = name or argv[i]
        if not flags[name] and not of_program[name] then
            return nil, "unknown option '" .. argv[i] .. "'; there are --listen, --data and --speed"
        end
        if not value then
            i = i + 1
            value = argv[i]
        end
        if not value or value == "" or of_program[name] then
            return nil, name .. " needs a value"
        end
        words[flags[name]] = value
        i = i + 1
    end
    return words
end

local function usage(message)
    return nil, { code = "usage", message = "sandbox: " .. message }
end

local function from_words(given)
    local words, wrong = read_words(given.args.argv)
    if not words then
        return usage(wrong)
    end
    local config, err = require("tael.config").load {
        path = given.config_path, text = given.config_lua, root = given.root,
        lua_root = given.lua_root, dev = given.dev,
    }
    if not config then
        return nil, err
    end
    local out = options.of(config)
    out.listen, out.data = words.listen or out.listen, words.data or out.data
    if words.speed then
        out.speed = math.tointeger(tonumber(words.speed))
    end
    return out
end

local function check(out)
    if type(out.listen) ~= "string" or not out.listen:find("^.+:%d+$") then
        return usage("listen must be host:port")
    elseif math.type(out.speed) ~= "integer" or out.speed < 1 or out.speed > 100000 then
        return usage("speed must be an integer from 1 to 100000")
    elseif type(out.data) ~= "string" or type(out.keys) ~= "string" then
        return usage("folders for data and keys are needed")
    end
    return out
end

--- What this sandbox is to be, from the application's options (see the application contract).
---@param given table
---@return table?
---@return table? err {code, message}
function options.read(given)
    if given.args.argv then
        local out, err = from_words(given)
        if not out then
            return nil, err
        end
        return check(out)
    end
    local handed = given.args
    return check {
        listen = handed.listen, data = handed.data, keys = handed.keys, master = handed.master,
        speed = handed.speed or 1, level = handed.level, apps = handed.apps or {},
    }
end

return options
