--- The checks of a channel package's manifest: what a package must have before the kernel trusts it with a
--- call. Data in, list of faults out; the loader finds the line. Unknown members are refused, because a
--- misspelt limit must not be ignored.
local capabilities = require "tael.channel.capabilities"
local faults = require "tael.channel.faults"
local meanings = require "tael.channel.meanings"
local products = require "tael.channel.products"

local manifest = {}

local set, add, expect, known = faults.set, faults.add, faults.expect, faults.known

local operations = {
    "create", "query", "close", "cancel", "capture", "void", "refund", "refund_query",
    "transfer", "transfer_query", "split", "split_query", "bill",
}
local is_operation = set(operations)
local field_types = {
    string = set { "match", "max" }, integer = set { "min", "max" }, boolean = {}, enum = set { "values" },
    url = set { "max" }, key = set { "use", "algorithm" }, secret = {}, list = set { "values" },
}
local field_members = set { "type", "doc", "required", "default", "sandbox" }

-- ---- an account's fields ----

local function check_field(list, at, field)
    if not expect(list, at, field, "table") then
        return
    end
    local own = field_types[field.type]
    if not own then
        return add(list, at .. ".type", "unknown type '" .. tostring(field.type) .. "'")
    end
    for name in pairs(field) do
        if not field_members[name] and not own[name] then
            add(list, at .. "." .. tostring(name), "unknown member of a " .. field.type)
        end
    end
    expect(list, at .. ".doc", field.doc, "string")
    if field.type == "enum" then
        expect(list, at .. ".values", field.values, "table")
    elseif field.type == "key" and field.use ~= "sign" and field.use ~= "verify" then
        add(list, at .. ".use", "must be 'sign' or 'verify'")
    elseif field.type == "string" and field.match ~= nil and not pcall(string.find, "", field.match) then
        add(list, at .. ".match", "is not a pattern")
    end
end

local function check_fields(list, at, fields)
    if not expect(list, at, fields, "table") then
        return
    end
    for name, field in pairs(fields) do
        if type(name) ~= "string" or not name:find("^[a-z][a-z0-9_]*$") then
            add(list, at .. "." .. tostring(name), "is not a field name")
        else
            check_field(list, at .. "." .. name, field)
        end
    end
end

local function check_rules(list, rules, fields)
    if rules == nil or not expect(list, "rules", rules, "table") then
        return
    end
    for i, rule in ipairs(rules) do
        local at = "rules." .. i
        local kind, names = next(rule)
        if kind ~= "exactly_one_of" and kind ~= "requires" and kind ~= "differ" then
            add(list, at, "unknown rule '" .. tostring(kind) .. "'")
        else
            for _, name in ipairs(names) do
                if not fields[name] then
                    add(list, at, "names the field '" .. tostring(name) .. "', which does not exist")
                end
            end
        end
    end
end

-- ---- notifications, timeouts, what a signed part states ----

local notify_members = set { "methods", "content", "charset", "max_body", "window_s", "ack" }

local function check_notify(list, notify)
    if notify == nil or not expect(list, "notify", notify, "table") then
        return
    end
    known(list, "notify", notify, notify_members)
    expect(list, "notify.methods", notify.methods, "table")
    if notify.content ~= "form" and notify.content ~= "json" then
        add(list, "notify.content", "must be 'form' or 'json'")
    end
    if math.type(notify.max_body) ~= "integer" or notify.max_body < 1 then
        add(list, "notify.max_body", "must be a number of bytes")
    end
    if math.type(notify.window_s) ~= "integer" or notify.window_s < 0 then
        add(list, "notify.window_s", "must be seconds, 0 for none")
    end
    if expect(list, "notify.ack", notify.ack, "table") then
        expect(list, "notify.ack.1", notify.ack[1], "string")
        expect(list, "notify.ack.2", notify.ack[2], "string")
    end
end

local stated_members = set {
    "order_no", "trade_no", "refund_no", "state", "amount", "total", "seller",
}
local stated_by = set { "notification", table.unpack(operations) }

local function check_stated(list, stated)
    if stated == nil or not expect(list, "stated", stated, "table") then
        return
    end
    known(list, "stated", stated, stated_by)
    for name, fields in pairs(stated) do
        local at = "stated." .. tostring(name)
        if expect(list, at, fields, "table") then
            known(list, at, fields, stated_members)
            for member, field in pairs(fields) do
                expect(list, at .. "." .. tostring(member), field, "string")
            end
        end
    end
end

local min_timeout_ms, max_timeout_ms = 100, 60000

local function check_timeouts(list, timeouts)
    local out = {}
    if timeouts == nil or not expect(list, "timeouts", timeouts, "table") then
        return out
    end
    known(list, "timeouts", timeouts, is_operation)
    for op, text in pairs(timeouts) do
        local at = "timeouts." .. tostring(op)
        local ms = products.duration(list, at, text)
        if ms and (ms < min_timeout_ms or ms > max_timeout_ms) then
            add(list, at, "must lie in 100ms … 60s")
        end
        out[op] = ms
    end
    return out
end

-- ---- functions ----

--- Is anything answered to us?
local function answers(package)
    for _, op in ipairs(operations) do
        if type(package[op]) == "table" and package[op].parse ~= nil then
            return true
        end
    end
    return false
end

local function check_functions(list, package)
    for _, op in ipairs(operations) do
        local operation = package[op]
        if operation ~= nil and expect(list, op, operation, "table") then
            expect(list, op .. ".build", operation.build, "function")
            -- what is handed to the payer is never answered to us
            if op ~= "create" or operation.parse ~= nil then
                expect(list, op .. ".parse", operation.parse, "function")
            end
            known(list, op, operation, set { "build", "parse" })
        end
    end
    if not package.create then
        add(list, "create", "a table is missing")
    end
    if answers(package) then
        expect(list, "verify_answer", package.verify_answer, "function")
    end
    if package.notify and expect(list, "notification", package.notification, "table") then
        known(list, "notification", package.notification,
            set { "parse", "verify", "signed", "facts" })
        for _, name in ipairs { "parse", "verify", "facts" } do
            expect(list, "notification." .. name, package.notification[name], "function")
        end
    end
    if package.return_ ~= nil and expect(list, "return_", package.return_, "table") then
        expect(list, "return_.verify", package.return_.verify, "function")
    end
end

local members = set {
    "name", "api", "title", "fields", "rules", "options", "products", "capabilities", "codes", "op_codes",
    "states", "refund_states", "amounts", "timeouts", "timeouts_ms", "notify", "notification",
    "verify_answer", "return_", "stated", table.unpack(operations),
}

--- Checks a package's table and fills in what follows from it: durations in ms, capabilities.
---@param package any what init.lua returned
---@param name string the folder's name
---@return { field: string, message: string }[] faults empty when it is right
function manifest.check(package, name)
    local list = {}
    if type(package) ~= "table" then
        add(list, "", "must return the package's table, not a " .. type(package))
        return list
    end
    known(list, "", package, members)
    if package.name ~= name then
        add(list, "name", "must be '" .. name .. "', as its folder")
    end
    if package.api ~= 1 then
        add(list, "api", "must be 1")
    end
    if expect(list, "title", package.title, "table") then
        expect(list, "title.en", package.title.en, "string")
        expect(list, "title.zh", package.title.zh, "string")
    end
    check_fields(list, "fields", package.fields)
    check_rules(list, package.rules, type(package.fields) == "table" and package.fields or {})
    if package.options ~= nil then
        check_fields(list, "options", package.options)
    end
    products.check(list, package.products)
    capabilities.check(list, package)
    meanings.check(list, package, is_operation)
    package.timeouts_ms = check_timeouts(list, package.timeouts)
    if package.amounts ~= nil and package.amounts ~= "decimal" and package.amounts ~= "minor" then
        add(list, "amounts", "must be 'decimal' or 'minor'")
    end
    check_notify(list, package.notify)
    check_stated(list, package.stated)
    check_functions(list, package)
    table.sort(list, function(a, b) return a.field < b.field end)
    return list
end

return manifest
