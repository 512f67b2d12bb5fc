--- What the specs of channels and sandbox share: the vectors, their keys as handles, and stand-ins for the
--- modules that need a running engine (a task's pure call is a plain pcall here).
local crypto = require "tael.crypto"
local vectors = require "tests.spec.vectors"

local support = {}

package.preload["tael.task"] = package.preload["tael.task"] or function()
    return { pure = pcall, spawn = function() end, last = function() end }
end
package.preload["tael.http"] = package.preload["tael.http"] or function()
    return { request = function() error("no network in specs") end }
end
package.preload["tael.store"] = package.preload["tael.store"] or function()
    return { query = function() return {} end, commit = function() return {} end }
end

support.scripts = "scripts"
support.account_id = 7

support.vectors, support.cases = vectors, vectors.of

local function pem(kind, base64)
    local lines = { "-----BEGIN " .. kind .. "-----" }
    for line in base64:gmatch(("."):rep(64, "?")) do
        lines[#lines + 1] = line ~= "" and line or nil
    end
    lines[#lines + 1] = "-----END " .. kind .. "-----\n"
    return table.concat(lines, "\n")
end

--- The text of a vector key in one of the four forms.
function support.private_text(name, format)
    local key = support.vectors.keys[name]
    if format == "pkcs1" then
        return key.private_pkcs1
    elseif format == "pkcs1-pem" then
        return pem("RSA PRIVATE KEY", key.private_pkcs1)
    elseif format == "pkcs8-pem" then
        return pem("PRIVATE KEY", key.private_pkcs8)
    end
    return key.private_pkcs8
end

local sign_keys = {}

function support.sign_key(name, format)
    local known = name .. ":" .. (format or "")
    sign_keys[known] = sign_keys[known] or assert(crypto.key_from_pem(support.private_text(name, format),
        { use = "sign", account = support.account_id }))
    return sign_keys[known]
end

function support.verify_key(name, account)
    return assert(crypto.key_from_pem(support.vectors.keys[name].public,
        { use = "verify", account = account or support.account_id }))
end

--- Runs fn while crypto.key finds the vectors' keys by name, as if they stood in the key folder.
function support.with_keys(fn)
    local original = crypto.key
    crypto.key = function(name, options)
        local key = support.vectors.keys[name]
        if not key then
            return nil, { code = "not_found", message = "no key '" .. name .. "'" }
        end
        return crypto.key_from_pem(options.use == "sign" and key.private_pkcs8 or key.public, options)
    end
    local results = table.pack(pcall(fn))
    crypto.key = original
    assert(results[1], results[2])
    return table.unpack(results, 2, results.n)
end

support.fields = {
    app_id = "2021000000000001", key = "merchant", alipay_key = "alipay", seller_id = "2088101106499364",
    gateway = "https://openapi.alipay.com/gateway.do",
}

--- An account of the Alipay package with the vectors' keys; `changed` replaces fields.
function support.account(package, changed)
    local account = require "tael.channel.account"
    local fields = {}
    for name, value in pairs(support.fields) do
        fields[name] = value
    end
    for name, value in pairs(changed or {}) do
        fields[name] = value
    end
    return assert(support.with_keys(function()
        return account.prepare(package,
            { id = support.account_id, slug = "spec", environment = "production", fields = fields })
    end))
end

--- 2026-01-15 10:20:30 in GMT+8
support.now = 1768443630000

--- The context of one page order; `changed` replaces members of payment, attempt, options and the rest.
function support.context(changed)
    local call = require "tael.channel.call"
    changed = changed or {}
    local payment = { subject = "coffee" }
    local attempt = {
        order_no = "01J8ZQ4F7MX2K9D0V3B6N8TACE", amount = 1234, currency = "CNY", product = "page",
        expires_at = support.now + 1800000,
    }
    for target, values in pairs { [payment] = changed.payment or {}, [attempt] = changed.attempt or {} } do
        for name, value in pairs(values) do
            target[name] = value
        end
    end
    return call.context {
        now = changed.now or support.now, payment = payment, attempt = attempt, options = changed.options,
        notify_url = changed.notify_url or "https://pay.example.com/notify/alipay/spec",
        return_url = changed.return_url,
    }
end

--- A JSON body as an answer of call.send.
function support.answer(raw, status)
    return { status = status or 200, headers = {}, raw = raw, ms = 3, at = support.now }
end

--- An answer of the simulated Alipay, signed with the vectors' key over the node as given.
function support.signed_answer(root, node, key)
    local sign = (key or support.sign_key("alipay")):sign("sha256", node)
    return support.answer(('{"%s":%s,"sign":"%s"}'):format(root, node, sign))
end

return support
