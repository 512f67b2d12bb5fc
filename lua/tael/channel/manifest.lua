--- The checks of a channel package's manifest: what a package must have before the kernel trusts it with a
--- call. Data in, list of faults out; the loader finds the line. Unknown members are refused, because a
--- misspelt limit must not be ignored.
local durations = require "tael.config.durations"

local manifest = {}

local operations = {
    "create", "query", "close", "cancel", "capture", "void", "refund", "refund_query",
    "transfer", "transfer_query", "split", "split_query", "bill",
}
local function set(words)
    local out = {}
    for _, word in ipairs(words) do
        out[word] = true
    end
    return out
end

local attempt_states = set {
    "waiting_payer", "processing", "authorized", "succeeded", "declined", "cancelled", "expired",
    "unknown",
}
local code_words = set { "ok", "pending", "unknown", "not_found", "retry" }
local decline_words = set {
    "insufficient_funds", "payer_refused", "payer_limit", "payer_blocked", "auth_code_invalid",
    "auth_code_expired", "risk_channel", "merchant_limit", "merchant_not_permitted",
    "payer_mismatch", "other",
}
local next_actions = set {
    "redirect", "form", "qr_code", "app", "jsapi", "mini_program", "wait", "confirm_transfer", "sdk",
}
local field_types = {
    string = set { "match", "max" }, integer = set { "min", "max" }, boolean = {}, enum = set { "values" },
    url = set { "max" }, key = set { "use", "algorithm" }, secret = {}, list = set { "values" },
}
local field_members = set { "type", "doc", "required", "default", "sandbox" }
local products = set {
    "page", "wap", "app", "qr", "barcode", "jsapi", "mini_program", "agreement",
}

-- A fault is { field = "products.page.min", message = "…" }; check functions add them to `faults`.

local function fault(faults, field, message)
    faults[#faults + 1] = { field = field, message = message }
end

local function expect(faults, field, value, kind)
    if type(value) == kind then
        return true
    end
    fault(faults, field, value == nil and ("a " .. kind .. " is missing")
        or ("must be a " .. kind .. ", not a " .. type(value)))
    return false
end

local function known(faults, field, value, members)
    for name in pairs(value) do
        if not members[name] then
            local prefix = field == "" and "" or (field .. ".")
            fault(faults, prefix .. tostring(name), "unknown member")
        end
    end
end

local function check_field(faults, at, field)
    if not expect(faults, at, field, "table") then
        return
    end
    local own = field_types[field.type]
    if not own then
        return fault(faults, at .. ".type", "unknown type '" .. tostring(field.type) .. "'")
    end
    for name in pairs(field) do
        if not field_members[name] and not own[name] then
            fault(faults, at .. "." .. tostring(name), "unknown member of a " .. field.type)
        end
    end
    expect(faults, at .. ".doc", field.doc, "string")
    if field.type == "enum" then
        expect(faults, at .. ".values", field.values, "table")
    elseif field.type == "key" and field.use ~= "sign" and field.use ~= "verify" then
        fault(faults, at .. ".use", "must be 'sign' or 'verify'")
    elseif field.type == "string" and field.match ~= nil and not pcall(string.find, "", field.match) then
        fault(faults, at .. ".match", "is not a pattern")
    end
end

local function check_fields(faults, at, fields)
    if not expect(faults, at, fields, "table") then
        return
    end
    for name, field in pairs(fields) do
        if type(name) ~= "string" or not name:find("^[a-z][a-z0-9_]*$") then
            fault(faults, at .. "." .. tostring(name), "is not a field name")
        else
            check_field(faults, at .. "." .. name, field)
        end
    end
end

local function check_rules(faults, rules, fields)
    if rules == nil or not expect(faults, "rules", rules, "table") then
        return
    end
    for i, rule in ipairs(rules) do
        local at = "rules." .. i
        local kind, names = next(rule)
        if kind ~= "exactly_one_of" and kind ~= "requires" and kind ~= "differ" then
            fault(faults, at, "unknown rule '" .. tostring(kind) .. "'")
        else
            for _, name in ipairs(names) do
                if not fields[name] then
                    fault(faults, at, "names the field '" .. tostring(name) .. "', which does not exist")
                end
            end
        end
    end
end

local function check_text_limit(faults, at, limit)
    if limit == nil then
        return
    end
    local max = type(limit) == "table" and limit.max or limit
    if math.type(max) ~= "integer" or max < 1 then
        fault(faults, at, "must be a number of characters, or {max=, refuse=}")
    end
end

local function check_durations(faults, at, texts, count)
    local out = {}
    if not expect(faults, at, texts, "table") then
        return out
    end
    for i, text in ipairs(texts) do
        out[i] = type(text) == "string" and durations.parse(text) or nil
        if not out[i] then
            fault(faults, at .. "." .. i, "'" .. tostring(text) .. "' is not a duration such as \"15m\"")
        end
    end
    if count and #texts ~= count or #texts == 0 then
        fault(faults, at, "must hold " .. (count or "some") .. " durations")
    end
    return out
end

local not_found_words = set { "waiting", "closed", "unknown" }
local product_members = set {
    "next_action", "currencies", "min", "max", "expires", "query_after", "not_found", "capture", "needs",
    "subject", "description", "expires_ms", "query_after_ms",
}

local function check_product(faults, at, product)
    if not expect(faults, at, product, "table") then
        return
    end
    known(faults, at, product, product_members)
    if not next_actions[product.next_action] then
        fault(faults, at .. ".next_action", "unknown action '" .. tostring(product.next_action) .. "'")
    end
    if expect(faults, at .. ".currencies", product.currencies, "table") then
        for currency, flag in pairs(product.currencies) do
            if type(currency) ~= "string" or not currency:find("^%u%u%u$") or flag ~= true then
                fault(faults, at .. ".currencies." .. tostring(currency), "must read CNY = true")
            end
        end
    end
    for _, name in ipairs { "min", "max" } do
        if math.type(product[name]) ~= "integer" or product[name] < 1 then
            fault(faults, at .. "." .. name, "must be a positive integer of minor units")
        end
    end
    if not not_found_words[product.not_found] then
        fault(faults, at .. ".not_found", "must be 'waiting', 'closed' or 'unknown'")
    end
    check_text_limit(faults, at .. ".subject", product.subject)
    check_text_limit(faults, at .. ".description", product.description)
    product.expires_ms = check_durations(faults, at .. ".expires", product.expires, 2)
    product.query_after_ms = check_durations(faults, at .. ".query_after", product.query_after)
end

local function check_codes(faults, codes)
    if not expect(faults, "codes", codes, "table") then
        return
    end
    for code, meaning in pairs(codes) do
        local at = "codes." .. tostring(code)
        if type(code) ~= "string" then
            fault(faults, at, "a code is a string")
        elseif type(meaning) == "table" then
            local good = meaning[1] == "declined" and decline_words[meaning[2]]
                or meaning[1] == "config" and type(meaning[2]) == "string"
            if not good then
                fault(faults, at, "must be {'declined', word} or {'config', text}")
            end
        elseif not code_words[meaning] then
            fault(faults, at, "unknown meaning '" .. tostring(meaning) .. "'")
        end
    end
end

local function check_states(faults, states)
    if not expect(faults, "states", states, "table") then
        return
    end
    for word, state in pairs(states) do
        if not attempt_states[state] then
            fault(faults, "states." .. tostring(word), "unknown attempt state '" .. tostring(state) .. "'")
        end
    end
end

local notify_members = set { "methods", "content", "charset", "max_body", "window_s", "ack" }

local function check_notify(faults, notify)
    if notify == nil or not expect(faults, "notify", notify, "table") then
        return
    end
    known(faults, "notify", notify, notify_members)
    expect(faults, "notify.methods", notify.methods, "table")
    if notify.content ~= "form" and notify.content ~= "json" then
        fault(faults, "notify.content", "must be 'form' or 'json'")
    end
    if math.type(notify.max_body) ~= "integer" or notify.max_body < 1 then
        fault(faults, "notify.max_body", "must be a number of bytes")
    end
    if math.type(notify.window_s) ~= "integer" or notify.window_s < 0 then
        fault(faults, "notify.window_s", "must be seconds, 0 for none")
    end
    if expect(faults, "notify.ack", notify.ack, "table") then
        expect(faults, "notify.ack.1", notify.ack[1], "string")
        expect(faults, "notify.ack.2", notify.ack[2], "string")
    end
end

local stated_members = set { "order_no", "trade_no", "state", "amount", "seller" }

local function check_stated(faults, stated)
    if stated == nil or not expect(faults, "stated", stated, "table") then
        return
    end
    known(faults, "stated", stated, set { "notification", "query" })
    for name, fields in pairs(stated) do
        local at = "stated." .. tostring(name)
        if expect(faults, at, fields, "table") then
            known(faults, at, fields, stated_members)
            for member, field in pairs(fields) do
                expect(faults, at .. "." .. tostring(member), field, "string")
            end
        end
    end
end

local function check_functions(faults, package)
    for _, op in ipairs(operations) do
        local operation = package[op]
        if operation ~= nil and expect(faults, op, operation, "table") then
            expect(faults, op .. ".build", operation.build, "function")
            -- what is handed to the payer is never answered to us
            if op ~= "create" or operation.parse ~= nil then
                expect(faults, op .. ".parse", operation.parse, "function")
            end
            known(faults, op, operation, set { "build", "parse" })
        end
    end
    if not package.create then
        fault(faults, "create", "a table is missing")
    end
    if package.query then
        expect(faults, "verify_answer", package.verify_answer, "function")
    end
    if package.notify and expect(faults, "notification", package.notification, "table") then
        known(faults, "notification", package.notification,
            set { "parse", "verify", "signed", "facts" })
        for _, name in ipairs { "parse", "verify", "facts" } do
            expect(faults, "notification." .. name, package.notification[name], "function")
        end
    end
    if package.return_ ~= nil and expect(faults, "return_", package.return_, "table") then
        expect(faults, "return_.verify", package.return_.verify, "function")
    end
end

local members = set {
    "name", "api", "title", "fields", "rules", "options", "products", "capabilities", "codes", "states",
    "notify", "notification", "verify_answer", "return_", "stated", table.unpack(operations),
}

--- Checks a package's table and fills in expires_ms and query_after_ms of its products.
---@param package any what init.lua returned
---@param name string the folder's name
---@return { field: string, message: string }[] faults empty when it is right
function manifest.check(package, name)
    local faults = {}
    if type(package) ~= "table" then
        fault(faults, "", "must return the package's table, not a " .. type(package))
        return faults
    end
    known(faults, "", package, members)
    if package.name ~= name then
        fault(faults, "name", "must be '" .. name .. "', as its folder")
    end
    if package.api ~= 1 then
        fault(faults, "api", "must be 1")
    end
    if expect(faults, "title", package.title, "table") then
        expect(faults, "title.en", package.title.en, "string")
        expect(faults, "title.zh", package.title.zh, "string")
    end
    check_fields(faults, "fields", package.fields)
    check_rules(faults, package.rules, type(package.fields) == "table" and package.fields or {})
    if package.options ~= nil then
        check_fields(faults, "options", package.options)
    end
    if expect(faults, "products", package.products, "table") then
        for product, entry in pairs(package.products) do
            if not products[product] then
                fault(faults, "products." .. tostring(product), "unknown product")
            else
                check_product(faults, "products." .. product, entry)
            end
        end
    end
    expect(faults, "capabilities", package.capabilities, "table")
    check_codes(faults, package.codes)
    check_states(faults, package.states)
    check_notify(faults, package.notify)
    check_stated(faults, package.stated)
    check_functions(faults, package)
    table.sort(faults, function(a, b) return a.field < b.field end)
    return faults
end

return manifest
