--- tael keys: pairs and secrets in the key folder, API keys of merchants. Public halves and
--- fingerprints are shown; a private half never leaves C.
local crypto = require "tael.crypto"
local exits = require "tael.cli.exits"
local keyring = require "tael.cli.keyring"
local nearest = require "tael.nearest"
local screen = require "tael.cli.screen"
local words = require "tael.cli.words"

local keys = { name = "keys", summary = "key pairs, secrets, API keys" }

local BITS, SECRET_BYTES = 2048, 32
local NAME_FORM = "a name has letters, digits, '-', '_' and '.', at most 64"

local function where(config, name, kind)
    return config.keys.folder .. "/" .. name .. "." .. kind
end

local function open(call)
    local opened, err = keyring.open(call.config)
    if opened then
        return true
    elseif err.code == "not_found" then
        return exits.fail(exits.configuration, "keys.folder: " .. err.message,
            "tael keys generate    makes the folder and the engine's own secrets")
    end
    return exits.fail(exits.configuration, "keys.folder: " .. err.message, "tael doctor")
end

-- ---- generate ----

local function taken(name, kind)
    return exits.fail(exits.no,
        ("there is a %s '%s' already; it is never written over"):format(kind, name),
        "choose another name, or look at it: tael keys show " .. name)
end

local function refused(err, name, kind)
    if err.code == "exists" then
        return taken(name, kind)
    elseif err.code == "invalid" then
        return exits.fail(exits.usage, err.message, NAME_FORM .. "; bits are 2048 to 8192")
    end
    return exits.fail(exits.no, err.message, "tael doctor")
end

local function generate_pair(call, name)
    local made, err = crypto.generate(name, call.flags.bits or BITS)
    if not made then
        return refused(err, name, "key")
    end
    local about = assert(keyring.pair(name))
    if call.json then
        screen.object(about)
        return exits.done
    end
    screen.line(("made  %s  %s"):format(where(call.config, name, "key"), about.fingerprint))
    screen.line("")
    screen.line("public half, on one line as Alipay's console asks for it:")
    screen.line(about.public_base64)
    return exits.done
end

local function generate_secret(call, name)
    local made, err = crypto.generate_secret(name, SECRET_BYTES)
    if not made then
        return refused(err, name, "secret")
    end
    local about = assert(keyring.secret(name))
    if call.json then
        screen.object(about)
    else
        screen.line(("made  %s  %s"):format(where(call.config, name, "secret"), about.fingerprint))
    end
    return exits.done
end

--- The engine's own secrets that are missing.
local function generate_own(call)
    local made = 0
    for _, name in ipairs(keyring.OWN) do
        if not crypto.exists(name, "secret") then
            local done, failure = generate_secret(call, name)
            if not done then
                return nil, failure
            end
            made = made + 1
        end
    end
    if made == 0 and not call.json then
        screen.line("nothing to do: " .. table.concat(keyring.OWN, ", ") .. " are there")
    end
    return exits.done
end

local function generate(call)
    local opened, failure = open(call)
    if not opened then
        return nil, failure
    end
    local name = call.rest[1]
    if name and call.flags.secret then
        return generate_secret(call, name)
    elseif name then
        return generate_pair(call, name)
    elseif call.flags.secret or call.flags.bits then
        return exits.fail(exits.usage, "keys generate: the option needs a NAME",
            "tael keys generate --help")
    end
    return generate_own(call)
end

--- The folders that must be there before a key can be written.
local function plan_folders(plan, config)
    local folder = config.keys.folder
    plan.folders = { folder }
    if folder:sub(1, #config.data + 1) == config.data .. "/" then
        plan.folders = { config.data, folder }
    end
end

-- ---- show, list ----

local function not_there(call, name)
    local known = {}
    for _, row in ipairs(keyring.list(call.config)) do
        known[row.name] = true
    end
    local near = nearest(name, known)
    return exits.fail(exits.no, ("there is no key or secret '%s' in %s%s"):format(name,
        call.config.keys.folder, near and "; did you mean '" .. near .. "'?" or ""), "tael keys list")
end

local function print_pair(about)
    local kind = about.private and "pair" or "public key"
    screen.line(("%s  %s  %s"):format(kind, about.name, about.fingerprint))
    screen.line("")
    screen.line((about.public_pem:gsub("\n$", "")))
    screen.line("")
    screen.line("the same on one line, as Alipay's console asks for it:")
    screen.line(about.public_base64)
end

local function show(call)
    local opened, failure = open(call)
    if not opened then
        return nil, failure
    end
    local name = call.rest[1]
    local about, err = keyring.pair(name)
    if not about and err.code == "not_found" then
        about, err = keyring.secret(name)
    end
    if not about and err.code == "not_found" then
        return not_there(call, name)
    elseif not about then
        return exits.fail(exits.no, err.message, "tael doctor")
    elseif call.json then
        screen.object(about)
    elseif about.kind == "secret" then
        screen.line(("secret  %s  %s"):format(name, about.fingerprint))
    else
        print_pair(about)
    end
    return exits.done
end

local function print_list(call, list)
    local rows = { { "NAME", "KIND", "FINGERPRINT", "USED BY" } }
    for i, row in ipairs(list) do
        rows[i + 1] = { row.name, row.kind, row.fingerprint or "missing", row.used_by }
        if call.json then
            screen.object(row)
        end
    end
    if not call.json then
        screen.columns(rows)
    end
end

local function list(call)
    local opened, failure = open(call)
    if not opened then
        return nil, failure
    end
    local found, missing = {}, 0
    for _, row in ipairs(keyring.list(call.config)) do
        if not call.flags.account or row.account == call.flags.account then
            found[#found + 1] = row
            missing = missing + (row.fingerprint and 0 or 1)
        end
    end
    if #found == 0 then
        return exits.fail(exits.no, "the configuration names no such account",
            "tael config show lists the accounts")
    end
    print_list(call, found)
    if missing > 0 then
        return exits.fail(exits.no, missing .. " missing, or not readable as what they should be",
            "tael keys generate NAME, or put the file into " .. call.config.keys.folder)
    end
    return exits.done
end

-- ---- API keys ----

local function api(call)
    local path = call.client.path("/v1/merchants/{}/api_keys", call.rest[1])
    local answer, failure = call.client:request("POST", path,
        { body = { note = call.flags.note }, any_merchant = true })
    if not answer then
        if failure.exit == exits.no then
            failure.next = "tael config show lists the merchants"
        end
        return nil, failure
    elseif call.json then
        screen.object(answer)
    else
        screen.line(answer.key)
        screen.hint("shown once: only a hash of it is stored")
    end
    return exits.done
end

keys.commands = {
    {
        name = "generate", usage = "[NAME]", min = 0, max = 1, run = generate, plan = plan_folders,
        summary = "a key pair, never over another; without a name the engine's own secrets",
        options = {
            bits = { value = "N", integer = true, doc = "2048 when not said" },
            secret = { doc = "a secret of 32 random bytes in place of a pair" },
        },
    },
    {
        name = "show", usage = "NAME", min = 1, max = 1, run = show,
        summary = "the public half and the fingerprint",
    },
    {
        name = "list", usage = "", min = 0, max = 0, run = list,
        summary = "what the configuration names, and whether it is there",
        options = { account = { value = "CHANNEL/SLUG", doc = "only those of one account" } },
    },
    {
        name = "api", usage = "MERCHANT", min = 1, max = 1, run = api, asks = true,
        summary = "a new API key for a merchant, shown once",
        options = words.with_asking { note = { value = "TEXT", doc = "what it is for" } },
    },
}

return keys
