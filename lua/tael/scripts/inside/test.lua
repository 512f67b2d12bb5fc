--- `require "tael.test"` of a merchant's spec/*_spec.lua, inside an isolate: Busted's words, inputs for
--- rules, and requests for routes. The words stand in front of each spec (scripts/specs.lua).
local counters = require "tael.counters"
local nearest = require "tael.nearest"
local world = require "tael.spec_world"

local test = {}

local TESTS_MAX = 200

-- ---- what a failure shows ----

local SHOWN_MAX, DEPTH_MAX = 200, 4

local function shown(value, depth)
    if type(value) == "string" then
        local text = ("%q"):format(#value > SHOWN_MAX and value:sub(1, SHOWN_MAX) .. "…" or value)
        return (text:gsub("\\\n", "\\n")) -- a failure is told in one line
    elseif type(value) ~= "table" then
        return tostring(value)
    elseif depth == 0 then
        return "{…}"
    end
    local parts = {}
    for key, member in pairs(value) do
        local name = type(key) == "string" and key or "[" .. tostring(key) .. "]"
        parts[#parts + 1] = math.type(key) == "integer" and key == #parts + 1 and shown(member, depth - 1)
            or name .. " = " .. shown(member, depth - 1)
    end
    return "{ " .. table.concat(parts, ", ") .. " }"
end

local function show(value)
    return shown(value, DEPTH_MAX)
end

-- ---- assertions: each says whether it holds, and what to show when it does not ----

local function same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then
        return a == b
    end
    for key, value in pairs(a) do
        if not same(value, rawget(b, key)) then
            return false
        end
    end
    for key in pairs(b) do
        if rawget(a, key) == nil then
            return false
        end
    end
    return true
end

local function differ(expected, given)
    return ("expected %s, got %s"):format(show(expected), show(given))
end

--- A value of this type.
local function kind_of(kind)
    return function(value)
        return type(value) == kind, ("expected a %s, got %s"):format(kind, show(value))
    end
end

local function raises(fn, message)
    local ran, raised = pcall(fn)
    if ran then
        return false, "expected an error, there was none"
    elseif message == nil then
        return true, "expected no error, got " .. show(raised)
    end
    local text = type(raised) == "string" and raised:gsub("^[^:]+:%d+: ", "") or raised
    return same(text, message) or same(raised, message), differ(message, text)
end

local checks = {
    equal = function(expected, given) return rawequal(expected, given) or expected == given,
        differ(expected, given) end,
    same = function(expected, given) return same(expected, given), differ(expected, given) end,
    truthy = function(value) return not not value, "expected a true value, got " .. show(value) end,
    falsy = function(value) return not value, "expected false or nil, got " .. show(value) end,
    matches = function(pattern, text)
        return type(text) == "string" and text:find(pattern) ~= nil,
            ("expected a text like %s, got %s"):format(show(pattern), show(text))
    end,
    error = raises, errors = raises,
    string = kind_of "string", number = kind_of "number", table = kind_of "table",
    boolean = kind_of "boolean", ["function"] = kind_of "function",
    ["true"] = function(value) return value == true, "expected true, got " .. show(value) end,
    ["false"] = function(value) return value == false, "expected false, got " .. show(value) end,
    ["nil"] = function(value) return value == nil, "expected nil, got " .. show(value) end,
}
checks.equals = checks.equal

local function assertion(check, wanted)
    return function(...)
        local holds, why = check(...)
        if holds ~= wanted then
            error(wanted and why or "expected otherwise: " .. why, 2)
        end
        return ...
    end
end

local HOLDS = { "are", "is", "has", "was" }
local HOLDS_NOT = { "are_not", "is_not", "has_no", "was_not", "has_not" }

local assert_ = setmetatable({}, { __call = function(_, value, message, ...)
    if not value then
        error(message == nil and "assertion failed!" or message, 2)
    end
    return value, message, ...
end })

local function add_words(words, wanted)
    for _, word in ipairs(words) do
        assert_[word] = {}
        for name, check in pairs(checks) do
            assert_[word][name] = assertion(check, wanted)
            assert_[word .. "_" .. name] = assert_[word][name]
        end
    end
end
add_words(HOLDS, true)
add_words(HOLDS_NOT, false)
for name, check in pairs(checks) do
    assert_[name] = assertion(check, true)
    assert_["not_" .. name] = assertion(check, false)
end

-- ---- describe, it ----

local list = {}
local context ---@type { name: string, outer: table?, before: function[], after: function[] }?

local function must_be_function(fn, word)
    if type(fn) ~= "function" then
        error(word .. ": a function is needed", 3)
    end
end

local function describe(name, fn)
    must_be_function(fn, "describe")
    context = { name = tostring(name), outer = context, before = {}, after = {} }
    fn()
    context = context.outer
end

local function path_of(name)
    local at = context
    while at do
        name, at = at.name .. " " .. name, at.outer
    end
    return name
end

local function add(name, fn)
    if #list == TESTS_MAX then
        error("there are more than " .. TESTS_MAX .. " tests", 3)
    end
    list[#list + 1] = { name = path_of(tostring(name)), run = fn, context = context }
end

local function it(name, fn)
    must_be_function(fn, "it")
    add(name, fn)
end

local function pending(name)
    add(name, nil)
end

local function hook(when)
    return function(fn)
        must_be_function(fn, when .. "_each")
        if not context then
            error(when .. "_each stands inside describe", 2)
        end
        local hooks = context[when]
        hooks[#hooks + 1] = fn
    end
end

local function before(at)
    if at then
        before(at.outer)
        for _, fn in ipairs(at.before) do
            fn()
        end
    end
end

local function after(at)
    while at do
        for _, fn in ipairs(at.after) do
            fn()
        end
        at = at.outer
    end
end

local ended -- number of the test behind which it was run, or begun

--- For whom runs specs: which there are, one of them, and what stands behind one that did not get there.
test.runner = {
    list = function()
        local names = {}
        for i, one in ipairs(list) do
            names[i] = { name = one.name, pending = one.run == nil }
        end
        return names
    end,
    run = function(number)
        local one = list[number]
        ended = nil
        world.begin()
        before(one.context)
        one.run()
        ended = number
        after(one.context)
        return true
    end,
    after = function(number)
        if ended ~= number then
            after(list[number].context)
        end
    end,
    effect = world.effect,
}

--- What stands in front of each spec.
function test.words()
    return describe, it, pending, hook "before", hook "after", assert_
end

-- ---- inputs ----

local NOW = 1764374400000 -- 2025-11-29T00:00:00Z

local function names(text)
    local known = {}
    for name in text:gmatch "%S+" do
        known[name] = true
    end
    return known
end

--- As lua/tael/meta/rules.lua has them.
local FIELDS = {
    payment = names("id merchant_order_id amount currency subject channel account product device capture "
        .. "metadata payer now local_time"),
    payer = names "ip client_ip key",
    existing = names("id merchant_order_id amount currency subject metadata state reason late "
        .. "captured_amount refunded_amount refundable_amount channel account product now local_time"),
    attempt = names "id channel account product state amount currency",
    channels = names "name account products",
    request = names "json form text headers query ip",
}

--- Raises where the spec called: a field that no input has would be one that no rule reads.
local function check(word, given, level, known)
    if given ~= nil and type(given) ~= "table" then
        error(("%s: a table is needed, not %s"):format(word, show(given)), level + 1)
    end
    known = known or FIELDS[word]
    for name in pairs(given or {}) do
        if not known[name] then
            local near = type(name) == "string" and nearest(name, known)
            error(("%s: there is no field '%s'%s"):format(word, tostring(name):sub(1, 64),
                near and "; did you mean '" .. near .. "'?" or ""), level + 1)
        end
    end
end

local function filled(defaults, given)
    local out = {}
    for name, value in pairs(defaults) do
        out[name] = value
    end
    for name, value in pairs(given or {}) do
        out[name] = value
    end
    return out
end

local function local_time()
    return { year = 2025, month = 11, day = 29, hour = 8, minute = 0, wday = 7 }
end

--- What limits, risk and route are given; fields of your own go over those here.
---@param given table?
---@return tael.PaymentInput
function test.payment(given)
    check("payment", given, 2)
    local payer = given and given.payer
    check("payment: payer", payer, 2, FIELDS.payer)
    local payment = filled({
        id = "pay_00000000000000000000000000", merchant_order_id = "A1001", amount = 1000, currency = "CNY",
        subject = "coffee", capture = "automatic", metadata = {}, now = NOW, local_time = local_time(),
    }, given)
    payment.payer = filled({}, payer)
    payment.payer.ip = payment.payer.ip or payment.payer.client_ip
    payment.payer.client_ip = payment.payer.ip -- two names for one
    return payment
end

--- What on_late_paid and on_duplicate_paid are given first.
---@param given table?
---@return tael.RulePayment
function test.existing(given)
    check("existing", given, 2)
    local payment = filled({
        id = "pay_00000000000000000000000000", merchant_order_id = "A1001", amount = 1000, currency = "CNY",
        subject = "coffee", metadata = {}, state = "closed", late = true, captured_amount = 1000,
        refunded_amount = 0, channel = "alipay", account = "main", product = "page", now = NOW,
        local_time = local_time(),
    }, given)
    payment.refundable_amount = payment.refundable_amount or payment.captured_amount - payment.refunded_amount
    return payment
end

--- The second argument of on_duplicate_paid.
---@param given table?
---@return tael.RuleAttempt
function test.attempt(given)
    check("attempt", given, 2)
    return filled({
        id = "att_00000000000000000000000000", channel = "alipay", account = "main", product = "page",
        state = "issued", amount = 1000, currency = "CNY",
    }, given)
end

--- The second argument of route: of names of channels, or of tables that say more.
---@param given (string|table)[]
---@return tael.ChannelInput[]
function test.channels(given)
    local out = {}
    for i, one in ipairs(given) do
        local of = type(one) == "table" and one or { name = one }
        check("channels", of, 2)
        out[i] = filled({ account = tostring(of.name) .. "-main",
            products = { page = true, wap = true, qr = true } }, of)
    end
    return out
end

--- What limits, risk and route are given last: each counter is 0 where the spec does not say.
---@param given table<string, integer>?
---@return tael.History
function test.history(given)
    local out = {}
    for name in pairs(counters.known) do
        out[name] = 0
    end
    for name, value in pairs(given or {}) do
        if not counters.known[name] then
            error(("history: there is no counter '%s': names are like ip_attempts_1h, payer_paid_30d"):format(
                tostring(name)), 2)
        elseif math.type(value) ~= "integer" then
            error(("history: %s is an integer"):format(name), 2)
        end
        out[name] = value
    end
    return out
end

-- ---- routes, and the world that they meet ----

--- Asks the merchant's own routes.lua: world.request.
function test.request(method, path, given)
    check("request", given, 2)
    return world.request(method, path, given)
end

test.on, test.advance = world.on, world.advance
test.sandbox, test.pay, test.get = world.sandbox, world.pay, world.get

-- ---- the rules ----

--- What the engine gives each of them: tael.scripts.contract. What a spec leaves out is filled in.
test.args = {
    limits = { "payment", "history" }, risk = { "payment", "history" }, price = { "payment" },
    on_late_paid = { "existing" }, on_duplicate_paid = { "existing", "attempt" },
    route = { "payment", "channels", "history" },
}

local function asking(rule, args)
    return function(...)
        local given = { ... }
        for place, arg in ipairs(args) do
            if given[place] == nil then
                given[place] = test[arg](arg == "channels" and { "alipay" } or nil)
            end
        end
        return rule(table.unpack(given, 1, math.max(#args, select("#", ...))))
    end
end

local rules ---@type table?

local function rules_of()
    local own = require "rules"
    if not rules and type(own) == "table" then
        rules = {}
        for name, rule in pairs(own) do
            local args = type(rule) == "function" and test.args[name]
            rules[name] = args and asking(rule, args) or rule
        end
    end
    return rules or own
end

--- test.rules: the merchant's own. test.log, test.metrics: what was said so far in this test.
return setmetatable(test, { __index = function(_, name)
    if name == "rules" then
        return rules_of()
    end
    return (name == "log" or name == "metrics") and world[name] or nil
end })
