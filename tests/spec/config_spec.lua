--- tael.lua: what is accepted, what is refused and how it says so.
local config = require "tael.config"
local configuration = require "tael.cli.configuration"
local plan = require "tael.config.plan"

local function load_text(text, options)
    options = options or {}
    return config.load {
        text = text, path = "tael.lua", root = "/srv/tael", dev = options.dev, env = options.env or {},
    }
end

local function loaded(text, options)
    local result, err = load_text(text, options)
    assert.is_nil(err and err.message)
    return result
end

describe("a configuration", function()
    it("may be empty: every key has a default", function()
        local result = loaded "return {}"
        assert.are.same({ "127.0.0.1:8080" }, result.http.listen)
        assert.are.equal("http://127.0.0.1:8080", result.http.public_url)
        assert.are.equal("127.0.0.1:8081", result.operations.listen)
        assert.are.equal("/srv/tael/data", result.data)
        assert.are.equal("/srv/tael/data/tael.db", result.store.path)
        assert.are.equal("/srv/tael/keys", result.keys.folder)
        assert.are.equal("manual", result.store.migrate)
        assert.are.same({}, result.merchants)
        assert.is_false(result.dev)
    end)

    it("holds durations as milliseconds and sizes as bytes", function()
        local result = loaded [[return { drain = "2m", audit = { seal_every = 250 },
            payments = { expires = "1h", poll = { "1s", 2000 } }, notifications = { ring_mib = 2 } }]]
        assert.are.equal(120000, result.drain)
        assert.are.equal(250, result.audit.seal_every)
        assert.are.equal(3600000, result.payments.expires)
        assert.are.same({ 1000, 2000 }, result.payments.poll)
        assert.are.equal(2097152, result.notifications.ring_bytes)
    end)

    it("names the key whose default does not do, and the default", function()
        local _, err = config.load { text = "return {}", path = "tael.lua", root = "/srv/a\tb", env = {} }
        assert.are.equal("scripts.folder: its default does not do here: /srv/a?b/scripts must not hold "
            .. "control characters", err.message)
    end)

    it("makes paths absolute from its own folder", function()
        local result = loaded [[return { data = "./d/", keys = { folder = "/k" },
            store = { url = "sqlite:x.db" } }]]
        assert.are.equal("/srv/tael/d", result.data)
        assert.are.equal("/k", result.keys.folder)
        assert.are.equal("/srv/tael/d/x.db", result.store.path)
    end)

    it("is another one when a file that it reads has changed", function()
        local path = os.tmpname()
        local function write(text)
            local handle = assert(io.open(path, "wb"))
            handle:write(text)
            handle:close()
        end
        write "5s"
        local options = { text = ('return { drain = file %q }'):format(path), root = "/srv/tael", env = {} }
        local result = assert(config.load(options))
        assert.are.equal(5000, result.drain)
        assert.is_true(config.unchanged(options, result))
        write "6s"
        assert.is_false(config.unchanged(options, result))
        write "5s"
        assert.is_true(config.unchanged(options, result))
        os.remove(path)
        assert.is_false(config.unchanged(options, result))
    end)

    it("is plain Lua with env and a default, and nothing else", function()
        local result = loaded([[return { drain = env("DRAIN", "5s"), workers = 1 + 1 }]])
        assert.are.equal(5000, result.drain)
        assert.are.equal(2, result.workers)
        assert.are.equal(7000, loaded([[return { drain = env "DRAIN" }]], { env = { DRAIN = "7s" } }).drain)
        local _, err = load_text "os.exit(1) return {}"
        assert.are.equal("config_failed", err.code)
        assert.is_truthy(err.message:find("tael.lua:1:", 1, true))
    end)

    it("takes a zone that there can be", function()
        local function zone_of(zone)
            return load_text(("return { merchants = { acme = { mode = 'test', zone = %q } } }"):format(zone))
        end
        for _, zone in ipairs { "UTC", "+08:00", "-03:30", "+14:00" } do
            assert.are.equal(zone, assert(zone_of(zone)).merchants.acme.zone)
        end
        for _, zone in ipairs { "+24:00", "+08:60", "8", "+8:00", "Asia/Shanghai" } do
            local _, err = zone_of(zone)
            assert.matches("acme%.zone: must be \"UTC\" or an offset", err and err.message)
        end
    end)

    it("is evaluated with an end", function()
        local _, err = load_text "\nwhile true do end"
        assert.are.equal("config_failed", err.code)
        assert.matches("tael.lua:2: does not end", err.message)
    end)

    it("speaks TLS with a certificate and its key, and says so in its own address", function()
        local result = loaded [[return { http = { tls = { cert = "tls/full.pem",
            key = secret.file "/run/tls.key" } } }]]
        assert.are.equal("/srv/tael/tls/full.pem", result.http.tls.cert)
        assert.are.same({ secret = "file", at = "/run/tls.key" }, result.http.tls.key)
        assert.are.equal("https://127.0.0.1:8080", result.http.public_url)
        local listeners = plan.listeners(result)
        assert.are.same({ cert = "/srv/tael/tls/full.pem", key = "/run/tls.key" }, listeners[1].tls)
        assert.is_nil(listeners[2].tls) -- operations
        assert.is_nil(listeners[3].tls) -- the socket
        assert.is_nil(plan.listeners(loaded "return {}")[1].tls)
        local env = { TAEL_HTTP__TLS__CERT = "/c.pem", TAEL_HTTP__TLS__KEY = "k.pem" }
        assert.are.same({ cert = "/c.pem", key = { secret = "file", at = "/srv/tael/k.pem" } },
            loaded("return {}", { env = env }).http.tls)
    end)

    it("says how long and how much a channel may be asked", function()
        assert.are.same({ connect_ms = 3000, total_ms = 10000, per_host = 64, allow_private = false },
            plan.client(loaded "return {}"))
        assert.is_true(plan.client(loaded "return { dev = true }").allow_private)
        local result = loaded [[return { dev = true, client = { connect = "1s", total = "20s", per_host = 4,
            ca = "ca.pem", allow_private = false } }]]
        assert.are.same({ connect_ms = 1000, total_ms = 20000, per_host = 4, ca = "/srv/tael/ca.pem",
            allow_private = false }, plan.client(result))
    end)

    it("holds rates as a count and a window, and false as none", function()
        local result = loaded [[return { limits = { key = "5/m", notify_address = false } }]]
        assert.are.same({ count = 5, window_ms = 60000 }, result.limits.key)
        assert.is_false(result.limits.notify_address)
        assert.are.same({ count = 500, window_ms = 1000 }, loaded("return {}").limits.key)
        result = loaded("return {}", { env = { TAEL_LIMITS__KEY = "false",
            TAEL_LIMITS__NOTIFY_ADDRESS = "9/h" } })
        assert.is_false(result.limits.key)
        assert.are.same({ count = 9, window_ms = 3600000 }, result.limits.notify_address)
    end)

    it("has a policy for what comes late or twice, and a merchant may have its own", function()
        local result = loaded [[return {
            payments = { on_late_paid = "accept", review_approval_above = 100000 },
            merchants = { acme = { mode = "live", policies = { on_late_paid = "refund" } } } }]]
        assert.are.equal("accept", result.payments.on_late_paid)
        assert.are.equal("refund", result.payments.on_duplicate_paid)
        assert.are.equal(100000, result.payments.review_approval_above)
        assert.are.same({ on_late_paid = "refund" }, result.merchants.acme.policies)
        assert.are.equal("review", loaded("return {}").payments.on_late_paid)
        assert.is_nil(loaded("return {}").payments.review_approval_above)
    end)

    it("gives way to the environment, and the environment to the command line", function()
        local env = {
            TAEL_HTTP__LISTEN = "127.0.0.1:1000,127.0.0.1:1001", TAEL_OPERATIONS__LISTEN = "false",
            TAEL_WORKERS = "3", TAEL_PAYMENTS__EXPIRES = "10m", TAEL_DEV = "false",
        }
        local result = loaded("return { workers = 9, drain = '1s' }", { env = env, dev = true })
        assert.are.same({ "127.0.0.1:1000", "127.0.0.1:1001" }, result.http.listen)
        assert.is_false(result.operations.listen)
        assert.are.equal(3, result.workers)
        assert.are.equal(600000, result.payments.expires)
        assert.are.equal(1000, result.drain)
        assert.is_true(result.dev)
    end)
end)

local refused = {
    ["a misspelt key"] = { "return {\n  htttp = {} }",
        "tael.lua:2: unknown key 'htttp'; did you mean 'http'?" },
    ["a misspelt key below another"] = { "return {\n  http = {\n    lisen = 'x' } }",
        "tael.lua:3: unknown key 'lisen' in http; did you mean 'listen'?" },
    ["a key that is nothing like another"] = { "return { zzzzzz = 1 }", "tael.lua:1: unknown key 'zzzzzz'" },
    ["a key whose name stands in a comment before"] = { "-- workers = 1\nreturn {\n workers = 'x' }",
        "tael.lua:3: workers: must be an integer" },
    ["a float"] = { "return { workers = 1.5 }", "tael.lua:1: workers: must be an integer" },
    ["a number that is out of range"] = { "return { workers = 65 }",
        "tael.lua:1: workers: must be at most 64" },
    ["a duration without a unit that is known"] = { "return { drain = '5 minutes' }",
        "tael.lua:1: drain: must be a duration such as \"30s\" (ms s m h d), or milliseconds" },
    ["a duration that is too short"] = { "return { payments = { expires = '1s' } }",
        "tael.lua:1: payments.expires: must be at least 1m" },
    ["an address without a port"] = { "return { http = { listen = '127.0.0.1' } }",
        "tael.lua:1: http.listen: item 1 must be host:port, such as 127.0.0.1:8080" },
    ["a word that is not in the list"] = { "return { log = { level = 'loud' } }",
        "tael.lua:1: log.level: must be one of: error, warn, info, debug" },
    ["a value where a table belongs"] = { "return { http = 1 }", "tael.lua:1: http: must be a table" },
    ["a secret that stands in the file"] = { "return { keys = { master = 'hunter2hunter2hunter2' } }",
        "tael.lua:1: keys.master: holds a secret and must not stand in the file; "
            .. "use secret.file(\"…\") or secret.env(\"…\")" },
    ["a secret where none is expected"] = { "return { data = secret.env 'X' }",
        "tael.lua:1: data: is not a secret; write the value itself" },
    ["a name in another encoding"] = {
        "return { merchants = {\n acme = { mode = 'live', name = '\xd6\xd0' } } }",
        "tael.lua:2: merchants.acme.name: must be text in UTF-8" },
    ["a key in another encoding"] = { "return { ['\xd6\xd0'] = 1 }", "tael.lua: unknown key '??'" },
    ["a path in another encoding"] = { "return {\n data = 'd\xff' }",
        "tael.lua:2: data: must be text in UTF-8" },
    ["a file of a secret in another encoding"] = { "return { keys = { master = secret.file 'm\xff' } }",
        "tael.lua:1: keys.master: must be text in UTF-8" },
    ["a value from a file in another encoding"] = { "return { data = file 'd\xff' }",
        "tael.lua:1: a file's path must be text in UTF-8" },
    ["an environment variable that is not set"] = { "return {\n data = env 'NOPE' }",
        "tael.lua:2: the environment variable NOPE is not set" },
    ["what does not compile"] = { "retrun 1", "tael.lua:1: syntax error near '1'" },
    ["what returns no table"] = { "return 1", "tael.lua: must return a table" },
    ["development mode for everybody"] = { "return { dev = true, http = { listen = '0.0.0.0:80' } }",
        "tael.lua:1: http.listen: 0.0.0.0:80 is not a loopback address; dev mode is for this machine alone" },
    ["notifications to nowhere"] = { "return { http = { listen = '0.0.0.0:80' } }",
        "tael.lua: http.public_url: must be set when http.listen is not a loopback address: "
            .. "channels send notifications there" },
    ["a certificate without its key"] = { "return { http = { tls = { cert = 'x' } } }",
        "tael.lua:1: http.tls: needs both cert and key" },
    ["a private key that stands in the environment"] = {
        "return { http = { tls = { cert = 'x', key = secret.env 'K' } } }",
        "tael.lua:1: http.tls.key: must be a file: secret.file(\"…\")" },
    ["a rate without a window"] = { "return { limits = { key = 500 } }",
        "tael.lua:1: limits.key: must be a rate such as \"500/s\" (s m h), or false" },
    ["a rate of nothing"] = { "return { limits = { key = '0/s' } }",
        "tael.lua:1: limits.key: must be a rate such as \"500/s\" (s m h), or false" },
    ["a policy that is none"] = {
        "return { merchants = { acme = { mode = 'live',\n policies = { on_late_paid = 'keep' } } } }",
        "tael.lua:2: merchants.acme.policies.on_late_paid: must be one of: accept, refund, review" },
    ["a host that is a URL"] = {
        "return { merchants = { acme = { mode = 'live', hosts = { 'a.example', 'https://b.example' } } } }",
        "tael.lua:1: merchants.acme.hosts: item 2 must be a host in lower case, with a port where it is not "
            .. "443, such as erp.acme.example" },
    ["a secret in the file"] = {
        "return { merchants = { acme = { mode = 'live', secrets = { erp = { 'x' } } } } }",
        "tael.lua:1: merchants.acme.secrets.erp: must be a string" },
    ["a secret that scripts cannot name"] = {
        "return { merchants = { acme = { mode = 'live', secrets = { ['A b'] = 'x' } } } }",
        "tael.lua:1: merchants.acme.secrets.A b: is not a name such as erp" },
    ["a misspelt policy"] = {
        "return { merchants = { acme = { mode = 'live', policies = { on_late = 'accept' } } } }",
        "tael.lua:1: unknown key 'on_late' in merchants.acme.policies; did you mean 'on_late_paid'?" },
    ["a merchant without a mode"] = { "return { merchants = { acme = {} } }",
        "tael.lua:1: merchants.acme: mode is missing: live merchants have production accounts, "
            .. "test merchants sandbox accounts" },
    ["a merchant whose name is no slug"] = { "return { merchants = { Acme = { mode = 'live' } } }",
        "tael.lua:1: merchants.Acme: is not a slug of a merchant, such as acme or acme.test" },
    ["a misspelt key of a merchant"] = {
        "return { merchants = { acme = {\n mode = 'live', acounts = {} } } }",
        "tael.lua:2: unknown key 'acounts' in merchants.acme; did you mean 'accounts'?" },
    ["an account without a channel"] = {
        "return { merchants = { acme = { mode = 'live', accounts = { ['acme-main'] = {} } } } }",
        "tael.lua:1: merchants.acme.accounts.acme-main: channel is missing: "
            .. "name of a package in scripts/channels" },
}

describe("a configuration refuses", function()
    for label, case in pairs(refused) do
        it(label, function()
            local result, err = load_text(case[1])
            assert.is_nil(result)
            assert.are.equal(case[2], err.message)
        end)
    end

    it("a wrong value from the environment, naming the variable", function()
        local _, err = load_text("return {}", { env = { TAEL_WORKERS = "many" } })
        assert.are.equal("TAEL_WORKERS: must be an integer", err.message)
    end)

    for variable, message in pairs {
        TAEL_HTTP__LISEN = "TAEL_HTTP__LISEN: this environment variable names no key; "
            .. "did you mean TAEL_HTTP__LISTEN?",
        TAEL_HTTP_LISTEN = "TAEL_HTTP_LISTEN: this environment variable names no key; "
            .. "did you mean TAEL_HTTP__LISTEN?",
        TAEL_NOTHING_LIKE_IT = "TAEL_NOTHING_LIKE_IT: this environment variable names no key",
        TAEL_KEYS__MASTER = "TAEL_KEYS__MASTER: a secret is not taken from here; "
            .. "write keys.master = secret.env(\"TAEL_KEYS__MASTER\") into the file",
    } do
        it("the variable " .. variable, function()
            local result, err = load_text("return {}", { env = { [variable] = "x", PATH = "/bin" } })
            assert.is_nil(result)
            assert.are.equal(message, err.message)
            assert.are.equal("config_unknown_variable", err.code)
        end)
    end

    it("no variable that the file asks for, or that is for commands", function()
        local env = { TAEL_MASTER = "x", TAEL_DRAIN_TIME = "5s", TAEL_KEY = "k", TAEL_URL = "u",
            XTAEL_A = "1" }
        assert.are.equal(5000, loaded([[return { drain = env "TAEL_DRAIN_TIME",
            keys = { master = secret.env "TAEL_MASTER" } }]], { env = env }).drain)
        assert.are.equal(15000, loaded([[return { drain = env("TAEL_DRAIN", "15s") }]],
            { env = { TAEL_KEY = "k" } }).drain)
    end)

    it("a file that is not there", function()
        local _, err = config.load { path = "/nonexistent/tael.lua", root = "/srv" }
        assert.are.equal("config_not_found", err.code)
    end)
end)

describe("secrets", function()
    it("stay references", function()
        local result = loaded [[return { keys = { master = secret.file "run/master" } }]]
        assert.are.same({ secret = "file", at = "/srv/tael/run/master" }, result.keys.master)
        result = loaded [[return { keys = { master = secret.env "MASTER" } }]]
        assert.are.same({ secret = "env", at = "MASTER" }, result.keys.master)
    end)

    it("are read without the line's end", function()
        local path = os.tmpname()
        local file = assert(io.open(path, "wb"))
        file:write("0123456789abcdef\n")
        file:close()
        assert.are.equal("0123456789abcdef", config.secret { secret = "file", at = path })
        os.remove(path)
        local _, err = config.secret { secret = "file", at = path }
        assert.are.equal("secret_not_found", err.code)
    end)
end)

describe("what is shown of it", function()
    it("holds rates as they are written, and files of secrets by name", function()
        local result = loaded [[return { http = { tls = { cert = "c", key = secret.file "k" } },
            limits = { key = "7/m", notify_address = false } }]]
        local object = configuration.object(result)
        assert.are.equal("7/m", object.limits.key)
        assert.is_false(object.limits.notify_address)
        assert.are.equal('secret.file("/srv/tael/k")', object.http.tls.key)
        assert.are.equal('"7/m"', configuration.written(result.limits.key, "rate"))
        assert.are.equal("false", configuration.written(false, "rate"))
    end)
end)

describe("development mode", function()
    it("brings a merchant at the simulated channel, and migrates by itself", function()
        local result = loaded("return { sandbox = { listen = '127.0.0.1:7777' } }", { dev = true })
        local account = result.merchants["demo.test"].accounts["alipay-demo"]
        assert.are.equal("http://127.0.0.1:7777/gateway.do", account.gateway)
        assert.are.equal("sandbox", account.environment)
        assert.are.equal("test", result.merchants["demo.test"].mode)
        assert.are.equal("auto", result.store.migrate)
        assert.are.equal("/srv/tael/data/keys", result.keys.folder)
    end)

    it("leaves a demo merchant of the file as it is", function()
        local result = loaded [[return { dev = true, merchants = { ["demo.test"] = { mode = "test" } } }]]
        assert.are.same({}, result.merchants["demo.test"].accounts)
    end)

    it("adds no merchant beside a test merchant, and serves the accounts that name the sandbox's key",
        function()
            local result = loaded [[return { dev = true, merchants = {
                shop = { mode = "live" }, ["shop.test"] = { mode = "test", accounts = {
                    mine = { channel = "alipay", environment = "sandbox", alipay_key = "sandbox.alipay" },
                    theirs = { channel = "alipay", environment = "sandbox", alipay_key = "alipaydev" },
                } } } }]]
            assert.is_nil(result.merchants["demo.test"])
            local accounts = result.merchants["shop.test"].accounts
            assert.are.equal("http://127.0.0.1:8090/gateway.do", accounts.mine.gateway)
            assert.is_nil(accounts.theirs.gateway)
            assert.are.equal("shop.test", require("tael.config.demo").merchant(result))
        end)

    it("adds the demo merchant beside live ones", function()
        local result = loaded [[return { dev = true, merchants = { shop = { mode = "live" } } }]]
        assert.are.equal("demo.test", require("tael.config.demo").merchant(result))
    end)
end)
