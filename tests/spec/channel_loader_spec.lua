-- Packages are loaded apart, and a wrong one is named by file, line and field.
dofile "tests/spec/channel_support.lua"

local loader = require "tael.channel.loader"

local good = [[
local M = { name = "demo", api = 1, title = { en = "Demo", zh = "演示" } }
M.fields = {
    app_id = { type = "string", match = "^%d+$", max = 32, required = true, doc = "application id" },
    key = { type = "key", use = "sign", required = true, doc = "private key" },
}
M.products = {
    page = {
        next_action = "redirect", currencies = { CNY = true }, min = 1, max = 100,
        expires = { "1m", "2h" }, query_after = { "5s" }, not_found = "waiting",
    },
}
M.capabilities = {}
M.codes = { OK = "ok", NO = { "declined", "insufficient_funds" } }
M.states = { PAID = "succeeded" }
M.create = { build = function() return { ["local"] = {} } end }
return M
]]

local folder

local function write(name, text)
    local file = assert(io.open(folder .. "/channels/demo/" .. name, "wb"))
    file:write(text)
    file:close()
end

--- Loads the package whose init.lua is `text`; the error's table when it is refused.
local function load_text(text)
    write("init.lua", text)
    local ok, value = pcall(function() return loader.load(folder).demo end)
    return ok and value or nil, not ok and value or nil
end

--- `good` with one plain text replaced by another.
local function with(old, new)
    local first, last = good:find(old, 1, true)
    assert(first, "the good package has no " .. old)
    return good:sub(1, first - 1) .. new .. good:sub(last + 1)
end

local operations = [[
M.verify_answer = error
M.refund = { build = error, parse = error }
M.refund_query = { build = error, parse = error }
M.refund_states = { DONE = "succeeded" }
]]

--- `good` with refunds of these capabilities.
local function with_refunds(capability, more)
    local text = with("M.capabilities = {}", "M.capabilities = { refund = { " .. capability .. " } }")
    return (text:gsub("return M", operations .. (more or "") .. "\nreturn M"))
end

describe("channel.loader", function()
    setup(function()
        folder = os.tmpname()
        os.remove(folder)
        assert(os.execute("mkdir -p " .. folder .. "/channels/demo"))
    end)
    teardown(function()
        os.execute("rm -r " .. folder)
    end)

    it("loads a package when it is asked for, once", function()
        write("init.lua", good)
        local packages = loader.load(folder)
        local package = packages.demo
        assert.are.equal("demo", package.name)
        assert.are.equal(package, packages.demo)
        assert.are.same({ 60000, 7200000 }, package.products.page.expires_ms)
        assert.are.same({ 5000 }, package.products.page.query_after_ms)
    end)

    it("fills in capabilities and durations", function()
        local package = assert(load_text(with_refunds('partial = true, window = "365d"',
            "M.query = M.refund_query\nM.timeouts = { query = '5s' }")))
        assert.is_true(package.capabilities.query)
        assert.is_nil(package.capabilities.close)
        assert.are.same({ partial = true, window = "365d", query_after_ms = 10000,
            window_ms = 31536000000 }, package.capabilities.refund)
        assert.are.same({ query = 5000 }, package.timeouts_ms)
        assert.is_false(load_text(with_refunds("partial = true", "M.capabilities.query = false\n"
            .. "M.query = M.refund_query")).capabilities.query)
    end)

    it("has no package where there is no file", function()
        assert.is_nil(loader.load(folder).absent)
        assert.is_nil(loader.load(folder)["../demo"])
        assert.is_nil(loader.load(folder).Demo)
    end)

    local refused = {
        ["another name"] = { with('name = "demo"', 'name = "other"'), "name", 1 },
        ["another contract"] = { with("api = 1", "api = 2"), "api", 1 },
        ["an unknown member"] = { with("M.capabilities = {}", "M.capabilites = {}"), "capabilites", 12 },
        ["an unknown type"] = { with('type = "key"', 'type = "kex"'), "fields.key.type", 4 },
        ["a misspelt limit"] = { with("max = 32", "maks = 32"), "fields.app_id.maks", 3 },
        ["a key without use"] = { with('use = "sign", ', ""), "fields.key.use", 4 },
        ["a wrong minimum"] = { with("min = 1", "min = 0"), "products.page.min", 8 },
        ["a wrong duration"] = { with('"1m"', '"1 minute"'), "products.page.expires.1", 9 },
        ["an unknown decline word"] = { with("insufficient_funds", "no_funds"), "codes.NO", 13 },
        ["an unknown state"] = { with('"succeeded"', '"paid"'), "states.PAID", 14 },
        ["an operation without parse"] = {
            with("return M", "M.query = { build = function() end }\nM.verify_answer = print\nreturn M"),
            nil, nil, "unknown global 'print'" },
        ["a query without parse"] = {
            with("return M", "M.query = { build = function() end }\nM.verify_answer = error\nreturn M"),
            "query.parse", 16 },
        ["a query that cannot be verified"] = {
            with("return M", "M.query = { build = error, parse = error }\nreturn M"), "verify_answer" },
        ["a capability without its operation"] = { with("M.capabilities = {}",
            "M.capabilities = { close = true }"), "capabilities.close", 12 },
        ["an unknown capability"] = { with("M.capabilities = {}", "M.capabilities = { fly = true }"),
            "capabilities.fly", 12 },
        ["a capability that is no flag"] = { with("M.capabilities = {}",
            "M.capabilities = { close = 'yes' }"), "capabilities.close", 12 },
        ["refunds that are not described"] = { with("return M", operations .. "return M"),
            "capabilities.refund" },
        ["refunds that cannot be asked about"] = { with("M.capabilities = {}",
            "M.capabilities = { refund = {} }\nM.refund = { build = error, parse = error }\n"
            .. "M.refund_states = {}\nM.verify_answer = error"), "capabilities.refund", 12 },
        ["a wrong wait before a refund is asked about"] = { with_refunds('query_after = "soon"'),
            "capabilities.refund.query_after", 12 },
        ["a wrong window of refunds"] = { with_refunds("window = 365"), "capabilities.refund.window", 12 },
        ["a misspelt member of refunds"] = { with_refunds("partal = true"),
            "capabilities.refund.partal", 12 },
        ["a misspelt member of create"] = { with("M.capabilities = {}",
            "M.capabilities = { create = { repeteable = true } }"), "capabilities.create.repeteable", 12 },
        ["refunds without states"] = { with_refunds("partial = true", "M.refund_states = nil"),
            "refund_states" },
        ["an unknown refund state"] = { with_refunds("partial = true",
            "M.refund_states = { DONE = 'paid' }"), "refund_states.DONE" },
        ["codes of an unknown operation"] = { with("M.codes =", "M.op_codes = { refnd = {} }\nM.codes ="),
            "op_codes.refnd", 13 },
        ["a wrong code of one operation"] = { with("M.codes =",
            "M.op_codes = { close = { X = 'abnormal' } }\nM.codes ="), "op_codes.close.X", 13 },
        ["an abnormal code without a text"] = { with("M.codes =",
            "M.op_codes = { close = { X = { 'abnormal' } } }\nM.codes ="), "op_codes.close.X", 13 },
        ["a wrong way to write amounts"] = { with("M.codes =", "M.amounts = 'yuan'\nM.codes ="),
            "amounts", 13 },
        ["a timeout that is too long"] = { with("M.codes =", "M.timeouts = { query = '2m' }\nM.codes ="),
            "timeouts.query", 13 },
        ["a timeout of an unknown operation"] = { with("M.codes =",
            "M.timeouts = { ask = '2s' }\nM.codes ="), "timeouts.ask", 13 },
        ["a signed member nobody knows"] = { with("M.codes =",
            "M.stated = { refund = { fee = 'x' } }\nM.codes ="), "stated.refund.fee", 13 },
        ["signed members of an unknown operation"] = { with("M.codes =",
            "M.stated = { refunds = {} }\nM.codes ="), "stated.refunds", 13 },
        ["a misspelt limit of a text"] = { with('not_found = "waiting"',
            'not_found = "waiting", subject = { max = 5, refuses = "/" }'),
            "products.page.subject.refuses", 9 },
        ["an answered create that cannot be verified"] = {
            with("M.create = {", "M.create = { parse = error,"), "verify_answer" },
        ["no table"] = { "return 5", "" },
        ["a broken line"] = { "local M = {\n  a = = 1\n}", nil, 2, "unexpected symbol" },
    }
    for what, case in pairs(refused) do
        it("refuses " .. what .. " and says where", function()
            local package, err = load_text(case[1])
            assert.is_nil(package)
            assert.are.equal("script_refused", err.code)
            assert.are.equal(folder .. "/channels/demo/init.lua", err.file)
            if case[2] then
                assert.are.equal(case[2], err.field)
            end
            if case[3] then
                assert.are.equal(case[3], err.line)
                assert.is_truthy(err.message:find("init.lua:" .. case[3] .. ":", 1, true), err.message)
            end
            if case[4] then
                assert.is_truthy(err.message:find(case[4], 1, true), err.message)
            end
        end)
    end

    for _, name in ipairs { "os", "io", "debug", "load", "loadfile", "dofile", "package", "collectgarbage",
        "getmetatable", "print", "coroutine" } do
        it("keeps " .. name .. " from packages", function()
            local _, err = load_text("local x = " .. name .. "\nreturn x")
            assert.is_truthy(err.message:find("unknown global '" .. name .. "'", 1, true), err.message)
        end)
    end

    it("refuses to write a global", function()
        local _, err = load_text("leaked = 1\nreturn {}")
        assert.is_truthy(err.message:find("must not write the global 'leaked'", 1, true), err.message)
        _, err = load_text("\ntype = 1\nreturn {}")
        assert.is_truthy(err.message:find(":2: a package must not write the global 'type'", 1, true),
            err.message)
        _, err = load_text("local function f() leaked = 1 end\nf()\nreturn {}")
        assert.is_truthy(err.message:find("must not write the global 'leaked'", 1, true), err.message)
    end)

    for _, name in ipairs { "tael.crypto", "tael.store", "tael.http", "tael.kernel.money", "os",
        "channels.other.codes", "channels.demo...secret" } do
        it("does not let a package require " .. name, function()
            local _, err = load_text(("require %q\nreturn {}"):format(name))
            assert.is_truthy(err.message:find("is not for channel packages", 1, true), err.message)
        end)
    end

    it("gives a package neither the clock nor the randomness of the libraries it may use", function()
        local _, err = load_text('local t = require "tael.time"\nreturn t.now()')
        assert.is_truthy(err.message:find("attempt to call a nil value", 1, true), err.message)
        _, err = load_text("return math.random()")
        assert.is_truthy(err.message:find("attempt to call a nil value", 1, true), err.message)
    end)

    it("lets a package require its own files, in its own environment", function()
        write("codes.lua", 'return { OK = "ok" }')
        local split = with('{ OK = "ok", NO = { "declined", "insufficient_funds" } }',
            'require "channels.demo.codes"')
        local package = assert(load_text(split))
        assert.are.same({ OK = "ok" }, package.codes)
        write("codes.lua", "return os")
        local _, err = load_text(split)
        assert.are.equal(folder .. "/channels/demo/codes.lua:1: unknown global 'os'", err.message)
    end)

    --- What is refused when init.lua requires a codes.lua of this text.
    local function refused_codes(text)
        write("codes.lua", text)
        local _, err = load_text(with('{ OK = "ok", NO = { "declined", "insufficient_funds" } }',
            'require "channels.demo.codes"'))
        return err
    end

    for what, case in pairs {
        ["raises"] = { "local x = 1\nerror 'why'", 2, "why" },
        ["raises without a place"] = { "\n\nerror('why', 0)", 3, "why" },
        ["raises a table"] = { "\nerror {}", 2, "raised a table" },
        ["calls nothing"] = { "local x\n\n\nx()", 4, "attempt to call a nil value (local 'x')" },
        ["raises deep inside"] = { "local function f()\nerror 'why'\nend\nlocal function g()\nf()\nend\ng()",
            2, "why" },
        ["has a broken line"] = { "\nreturn = 1", 2, "unexpected symbol near '='" },
        ["wants a module that is not there"] = { "\nrequire 'channels.demo.absent'", 2,
            "module 'channels.demo.absent' was not found" },
        ["wants a module that is not for packages"] = { "\nrequire 'tael.store'", 2,
            "module 'tael.store' is not for channel packages" },
        ["requires itself"] = { "\nrequire 'channels.demo.codes'", 2,
            "module 'channels.demo.codes' requires itself" },
        ["does not end"] = { "local n = 0\nwhile true do pcall(function() while true do end end) end", 2,
            "does not end: 50 million instructions and no result" },
        ["has a wrong word"] = { "return {\n OK = 'ok',\n NO = 'maybe',\n}", 3,
            "codes.NO: unknown meaning 'maybe'" },
    } do
        it("names file and line of a file that " .. what, function()
            local err = refused_codes(case[1])
            local file = folder .. "/channels/demo/codes.lua"
            assert.are.equal("script_refused", err.code)
            assert.are.equal(file, err.file)
            assert.are.equal(case[2], err.line)
            assert.are.equal(("%s:%d: %s"):format(file, case[2], case[3]), err.message)
        end)
    end

    it("names init.lua for what a loop made", function()
        local err = refused_codes(
            "local c = {}\nfor _, n in ipairs { 'A' } do c[n .. n] = 'maybe' end\nreturn c")
        assert.are.equal(folder .. "/channels/demo/init.lua", err.file)
        assert.are.equal("codes.AA", err.field)
        assert.are.equal(13, err.line)
    end)

    it("says what a package's function raises with its place", function()
        local package = assert(load_text(with('build = function() return { ["local"] = {} } end',
            "build = function() error 'why' end")))
        local _, err = pcall(package.create.build)
        assert.are.equal(folder .. "/channels/demo/init.lua:15: why", err)
    end)

    it("cannot be made to change the string library of the engine", function()
        assert(load_text("string.rep = nil\n" .. good))
        assert.is_function(string.rep)
    end)

    it("gives a package an xpcall whose handler comes after the call", function()
        local package = assert(load_text(with("M.states", [[
            local function stay() while true do end end
            assert(xpcall(function(a, b) assert(a + b == 3) return 1, nil end, stay, 1, 2))
            local ok, text = xpcall(error, function(err) return err .. "!" end, "why", 0)
            assert(ok == false and text == "why!")
            M.states]])))
        assert.are.equal("succeeded", package.states.PAID)
        local _, err = load_text(with("M.states", "xpcall(error, function() while true do end end) M.states"))
        assert.matches("does not end", err.message)
    end)

    it("refuses bytecode", function()
        local _, err = load_text(string.dump(function() return {} end))
        assert.is_truthy(err.message:find("binary chunk", 1, true), err.message)
    end)
end)
