--- What development mode adds: one merchant with one account at the simulated Alipay, and the keys for it.
local crypto = require "tael.crypto"
local key_folder = require "tael.config.keys"

local demo = {}

demo.MERCHANT = "demo.test"
demo.ACCOUNT = "alipay-demo"

local SECRET_BYTES, KEY_BITS = 32, 2048

--- The demo merchant, unless the file has one of that name.
---@param config table being made
function demo.add(config)
    if config.merchants[demo.MERCHANT] then
        return
    end
    config.merchants[demo.MERCHANT] = {
        name = "Demo shop", mode = "test",
        accounts = {
            [demo.ACCOUNT] = {
                channel = "alipay", environment = "sandbox", zone = "+08:00",
                app_id = "2021000000000001", seller_id = "2088000000000001",
                key = "demo.alipay", alipay_key = "sandbox.alipay",
                gateway = "http://" .. config.sandbox.listen .. "/gateway.do",
            },
        },
    }
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

--- Makes the folders and what is missing in them: the engine's secrets, both sides' keys of the demo account.
---@param config table
---@param make_folder fun(path: string): boolean?, string?
---@return true?
---@return table? err {code, message}
function demo.make_keys(config, make_folder)
    for _, folder in ipairs { config.data, config.keys.folder } do
        local made, message = make_folder(folder)
        if not made then
            return nil, { code = "configuration_invalid", message = message }
        end
    end
    local open, err = key_folder.open(config)
    if not open then
        return nil, err
    end
    for _, name in ipairs(key_folder.SECRETS) do
        local made, wrong = ensure(name, "secret", function()
            return crypto.generate_secret(name, SECRET_BYTES)
        end)
        if not made then
            return nil, wrong
        end
    end
    local account = (config.merchants[demo.MERCHANT].accounts or {})[demo.ACCOUNT] or {}
    for _, name in ipairs { account.key, account.alipay_key } do
        local made, wrong = ensure(name, "key", function()
            return crypto.generate(name, KEY_BITS)
        end)
        if not made then
            return nil, wrong
        end
    end
    return true
end

-- ---- the API key of the demo merchant, kept in data/demo.key so that it can be shown again ----

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
    local merchant = registry.merchant(demo.MERCHANT)
    local found = keys.authenticate(demo.api_key(config) or "")
    if found and found.merchant == merchant.id and found.scopes["refunds:write"] then
        return
    end
    local text, err = keys.create(merchant.id, { note = "demo" })
    if not text then
        error({ code = "store", message = "the demo API key: " .. tostring(err.message or err.code) }, 0)
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
    return BANNER:format(config.version, base, operations, config.sandbox.listen, config.data, demo.MERCHANT,
        key, base, key)
end

return demo
