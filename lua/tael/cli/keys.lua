--- tael keys: pairs and secrets in the key folder, API keys of merchants. Public halves and
--- fingerprints are shown; a private half never leaves C. An API key is shown by the command that makes it.
local crypto = require "tael.crypto"
local exits = require "tael.cli.exits"
local keyring = require "tael.cli.keyring"
local listing = require "tael.cli.listing"
local nearest = require "tael.nearest"
local screen = require "tael.cli.screen"
local texts = require "tael.cli.texts"
local words = require "tael.cli.words"

local keys = { name = "keys" }

local text = texts.of

local BITS, SECRET_BYTES = 2048, 32

local function where(config, name, kind)
    return config.keys.folder .. "/" .. name .. "." .. kind
end

local function open(call)
    local opened, err = keyring.open(call.config)
    if opened then
        return true
    elseif err.code == "not_found" then
        return exits.fail(exits.configuration, "keys.folder: " .. err.message,
            text "keys.no_folder.next")
    end
    return exits.fail(exits.configuration, "keys.folder: " .. err.message, "tael doctor")
end

-- ---- generate ----

local function taken(name, kind)
    return exits.fail(exits.no, text("keys.taken." .. kind, { name = name }),
        text("keys.taken.next", { name = name }))
end

local function refused(err, name, kind)
    if err.code == "exists" then
        return taken(name, kind)
    elseif err.code == "invalid" then
        return exits.fail(exits.usage, err.message, text "keys.form.next")
    end
    return exits.fail(exits.no, err.message, "tael doctor")
end

local function made_line(call, name, kind, about)
    screen.line(text("keys.made", { file = where(call.config, name, kind), fingerprint = about.fingerprint }))
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
    made_line(call, name, "key", about)
    screen.line("")
    screen.line(text "keys.public_line")
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
        made_line(call, name, "secret", about)
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
        screen.line(text("keys.nothing", { names = table.concat(keyring.OWN, ", ") }))
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
        return exits.fail(exits.usage, text "keys.needs_name", "tael keys generate --help")
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
    return exits.fail(exits.no, text(near and "keys.missing_near" or "keys.missing",
        { name = name, folder = call.config.keys.folder, near = near }), "tael keys list")
end

local function print_pair(about)
    screen.line(("%s  %s  %s"):format(text(about.private and "keys.pair" or "keys.public"), about.name,
        about.fingerprint))
    screen.line("")
    screen.line((about.public_pem:gsub("\n$", "")))
    screen.line("")
    screen.line(text "keys.same_line")
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
        screen.line(("%s  %s  %s"):format(text "keys.secret", name, about.fingerprint))
    else
        print_pair(about)
    end
    return exits.done
end

local function print_list(call, list)
    local rows = {}
    for i, row in ipairs(list) do
        rows[i] = { row.name, row.kind, row.fingerprint or screen.paint("red", text "keys.absent"),
            row.used_by }
        if call.json then
            screen.object(row)
        end
    end
    if not call.json then
        screen.table(texts.list "columns.keys", rows)
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
        return exits.fail(exits.no, text "keys.no_account", text "keys.no_account.next")
    end
    print_list(call, found)
    if missing > 0 then
        return exits.fail(exits.no, text("keys.some_missing", { count = missing }),
            text("keys.some_missing.next", { folder = call.config.keys.folder }))
    end
    return exits.done
end

-- ---- API keys ----

local PATH = "/v1/merchants/{}/api_keys"

--- Who has a key may not make or revoke others: that is done over the engine's own socket.
local function not_local(call)
    if not call.client.socket then
        return exits.fail(exits.usage, text "keys.api_is_local", text "keys.api_is_local.next")
    end
end

--- The answer, or what went wrong with what to do when there is no such merchant.
local function of_merchant(answer, failure)
    if not answer and failure.exit == exits.no then
        failure.next = text "keys.no_merchant.next"
    end
    return answer, failure
end

local function api(call)
    local _, failure = not_local(call)
    if failure then
        return nil, failure
    end
    local answer
    answer, failure = of_merchant(call.client:request("POST", call.client.path(PATH, call.rest[1]),
        { body = { note = call.flags.note }, any_merchant = true }))
    if not answer then
        return nil, failure
    elseif call.json then
        screen.object(answer)
    else
        screen.line(answer.key)
        screen.hint(text "keys.shown_once")
    end
    return exits.done
end

local function key_row(key)
    return { key.id, key.created_at, key.expires_at, key.revoked_at, table.concat(key.scopes, " "), key.note }
end

local function apis(call)
    local _, failure = not_local(call)
    if failure then
        return nil, failure
    end
    return of_merchant(listing.show(call, call.client.path(PATH, call.rest[1]), "columns.api_keys", key_row))
end

--- What of the word names a key in a path, where no secret belongs.
local function name_of(word)
    if not word:find("^tael_") then
        return word
    end
    return require("tael.kernel.keys").public_part(word)
end

local function revoke(call)
    local _, failure = not_local(call)
    local name, merchant = name_of(call.rest[1]), call.client.merchant
    if failure then
        return nil, failure
    elseif not name then
        return exits.fail(exits.usage, text "keys.no_key", text "keys.revoke.next")
    elseif not merchant then
        return exits.fail(exits.usage, text "keys.whose", text "client.next.invalid_header")
    end
    local key
    key, failure = call.client:request("DELETE", call.client.path(PATH .. "/{}", merchant, name))
    if not key then
        if failure.exit == exits.no then
            failure.next = text "keys.revoke.next"
        end
        return nil, failure
    elseif call.json then
        screen.object(key)
    else
        screen.line(text("keys.revoked", { id = key.id, at = key.revoked_at }))
    end
    return exits.done
end

keys.commands = {
    {
        name = "generate", usage = "[NAME]", min = 0, max = 1, run = generate, plan = plan_folders,
        options = { bits = { value = "N", integer = true }, secret = {} },
    },
    {
        name = "show", usage = "NAME", min = 1, max = 1, run = show,
    },
    {
        name = "list", usage = "", min = 0, max = 0, run = list,
        options = { account = { value = "CHANNEL/SLUG" } },
    },
    {
        name = "api", usage = "MERCHANT", min = 1, max = 1, run = api, asks = true,
        options = words.with_asking { note = { value = "TEXT" } },
    },
    {
        name = "apis", usage = "MERCHANT", min = 1, max = 1, run = apis, asks = true,
        options = listing.options {},
    },
    {
        name = "revoke", usage = "KEY_ID", min = 1, max = 1, run = revoke, asks = true,
        options = words.with_asking {},
    },
}

return keys
