--- What development mode adds: the simulated Alipay's gateway for the accounts that name its key, the keys
--- of both sides, and a demo merchant where the file names no test merchant.
local crypto = require "tael.crypto"
local key_folder = require "tael.config.keys"
local sorted = require "tael.sorted"

local demo = {}

demo.MERCHANT = "demo.test"
demo.ACCOUNT = "alipay-demo"
demo.SANDBOX_KEY = "sandbox.alipay" -- alipay_key of an account whose Alipay is the sandbox

local SECRET_BYTES, KEY_BITS = 32, 2048

--- The merchant that development is about: the demo merchant, or the first test merchant of the file.
---@param config table
---@return string? slug
function demo.merchant(config)
    if config.merchants[demo.MERCHANT] then
        return demo.MERCHANT
    end
    for _, slug in ipairs(sorted(config.merchants)) do
        if config.merchants[slug].mode == "test" then
            return slug
        end
    end
end

local function gateway(config)
    return "http://" .. config.sandbox.listen .. "/gateway.do"
end

--- Every account, with its slug, in the order of their names.
local function each_account(config, fn)
    for _, merchant in ipairs(sorted(config.merchants)) do
        local accounts = config.merchants[merchant].accounts
        for _, slug in ipairs(sorted(accounts)) do
            local done, err = fn(accounts[slug], slug)
            if done == nil then
                return nil, err
            end
        end
    end
    return true
end

--- The demo merchant, unless the file has a test merchant; the sandbox's gateway where its key is named.
---@param config table being made
function demo.add(config)
    if not demo.merchant(config) then
        config.merchants[demo.MERCHANT] = {
            name = "Demo shop", mode = "test",
            accounts = {
                [demo.ACCOUNT] = {
                    channel = "alipay", environment = "sandbox", zone = "+08:00",
                    app_id = "2021000000000001", seller_id = "2088000000000001",
                    key = "demo.alipay", alipay_key = demo.SANDBOX_KEY,
                },
            },
        }
    end
    each_account(config, function(account)
        if account.environment == "sandbox" and account.alipay_key == demo.SANDBOX_KEY then
            account.gateway = account.gateway or gateway(config)
        end
        return true
    end)
end

local function ensure(name, kind, make)
    if crypto.exists(name, kind) then
        return true
    end
    local made, err = make()
    if not made and err.code ~= "exists" then
        return nil, err
    end
    return true
end

local function make_secrets()
    for _, name in ipairs(key_folder.SECRETS) do
        local made, wrong = ensure(name, "secret", function()
            return crypto.generate_secret(name, SECRET_BYTES)
        end)
        if not made then
            return nil, wrong
        end
    end
    return true
end

--- Both sides' keys of an account that the sandbox serves.
local function make_account_keys(account)
    for _, name in ipairs { account.key, account.alipay_key } do
        local made, wrong = ensure(name, "key", function()
            return crypto.generate(name, KEY_BITS)
        end)
        if made then -- a start that was killed may have left it out
            made, wrong = ensure(name, "pub", function()
                return crypto.generate_public(name)
            end)
        end
        if not made then
            return nil, wrong
        end
    end
    return true
end

--- Makes the folders and what is missing in them: the engine's secrets, both sides' keys of the accounts that
--- the sandbox serves.
---@param config table
---@param make_folder fun(path: string): boolean?, string?
---@return true?
---@return table? err {code, message}
function demo.make_keys(config, make_folder)
    for _, folder in ipairs { config.data, config.keys.folder } do
        local made, message = make_folder(folder)
        if not made then
            return nil, { code = "folder", message = message }
        end
    end
    local open, err = key_folder.open(config)
    if open then
        open, err = make_secrets()
    end
    if not open then
        return nil, err
    end
    return each_account(config, function(account, slug)
        if slug ~= demo.ACCOUNT and account.gateway ~= gateway(config) then
            return true
        end
        return make_account_keys(account)
    end)
end

-- ---- the API key of the test merchant, kept in data/demo.key so that it can be shown again ----

local function key_file(config)
    return config.data .. "/demo.key"
end

---@param config table
---@return string? text
function demo.api_key(config)
    local file = io.open(key_file(config), "rb")
    local text = file and file:read("l")
    if file then
        file:close()
    end
    return text
end

local function write_key(config, text)
    local file = assert(io.open(key_file(config), "wb"))
    assert(file:write(text, "\n"))
    assert(file:close())
end

--- Makes one when there is none that works and may do everything. On worker 1, once the registry is loaded.
---@param config table
function demo.make_api_key(config)
    local keys = require "tael.kernel.keys"
    local registry = require "tael.kernel.registry"
    local merchant = registry.merchant(demo.merchant(config))
    local found = keys.authenticate(demo.api_key(config) or "")
    if found and found.merchant == merchant.id and found.scopes["refunds:write"] then
        return
    end
    local text, err = keys.create(merchant.id, { note = "demo" })
    if not text then
        local why = tostring(err.message or err.code)
        error({ code = "store", message = "the API key of development: " .. why }, 0)
    end
    write_key(config, text)
end

-- ---- what a person reads when it has started ----

local BANNER = [[
tael %s  development mode: simulated channels, real signatures

  api         %s
  operations  %s
  sandbox     http://%s   (simulated Alipay)
  data        %s
  merchant    %s   API key %s

create a payment, then open next_action.url in a browser:

  curl -s %s/v1/payments -u %s: \
    -H 'Content-Type: application/json' \
    -d '{"merchant_order_id":"A1001","amount":1234,"currency":"CNY","subject":"coffee","channel":"alipay"}'

]]

---@param config table
---@return string
function demo.banner(config)
    local base = (config.http.tls and "https://" or "http://") .. config.http.listen[1]
    local operations = config.operations.listen and "http://" .. config.operations.listen or "off"
    local key = demo.api_key(config) or "?"
    return BANNER:format(config.version, base, operations, config.sandbox.listen, config.data,
        demo.merchant(config), key, base, key)
end

return demo
