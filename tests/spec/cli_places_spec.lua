--- What tael doctor says of ports, certificates and the disk.
require "tests.spec.cli_support"
local places = require "tael.cli.places"

local function file(text, mode)
    local path = os.tmpname()
    local made = assert(io.open(path, "wb"))
    made:write(text or "")
    made:close()
    assert(os.execute(("chmod %s %s"):format(mode or "600", path)))
    return path
end

describe("ports", function()
    local LIST = "  sl  local_address rem_address   st tx_queue rx_queue\n"
        .. "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n"
        .. "   1: 0100007F:1F91 0100007F:9C40 01 00000000:00000000\n"
        .. "   2: 00000000000000000000000001000000:1F9A 00000000000000000000000000000000:0000 0A 00000000:0\n"

    it("are taken where somebody listens, not where somebody speaks", function()
        local path = file(LIST)
        assert.are.same({ [8080] = { "0100007F" }, [8090] = { "00000000000000000000000001000000" } },
            places.listening { path, "/nowhere" })
        os.remove(path)
    end)

    for label, case in pairs {
        ["the same address"] = { "0100007F", "127.0.0.1:8080", true },
        ["another address"] = { "0200007F", "127.0.0.1:8080", false },
        ["another port"] = { "0100007F", "127.0.0.1:8081", false },
        ["all addresses"] = { "00000000", "127.0.0.1:8080", true },
        ["all addresses of IPv6 too"] = { ("0"):rep(32), "127.0.0.1:8080", true },
        ["the same, as IPv6 writes it"] = { "0000000000000000FFFF00000100007F", "127.0.0.1:8080", true },
        ["another one of IPv6"] = { "00000000000000000000000001000000", "127.0.0.1:8080", false },
        ["any, for all addresses"] = { "0200007F", "0.0.0.0:8080", true },
        ["one of IPv4, for one of IPv6"] = { "0200007F", "[::1]:8080", false },
        ["all addresses of IPv4, for all of IPv6"] = { "00000000", "[::]:8080", false },
        ["one of IPv4 as IPv6 writes it, for all of IPv6"] = { "0000000000000000FFFF00000100007F",
            "[::]:8080", false },
        ["all of IPv4 as IPv6 writes them"] = { "0000000000000000FFFF000000000000", "127.0.0.1:8080", true },
        ["all addresses of IPv6, for all"] = { ("0"):rep(32), "0.0.0.0:8080", true },
        ["all addresses of IPv6, for one of it"] = { ("0"):rep(32), "[::1]:8080", true },
        ["any of IPv6, for all of it"] = { "00000000000000000000000001000000", "[::]:8080", true },
        ["the same of IPv6"] = { "00000000000000000000000001000000", "[::1]:8080", true },
        ["another of IPv6, for one of it"] = { "00000000000000000000000002000000", "[::1]:8080", false },
        ["the same of IPv6, written out"] = { "B80D0120000000000000000001000000",
            "[2001:db8:0:0:0:0:0:1]:8080", true },
        ["the same of IPv6, written short"] = { "000080FE00000000FF005450AB5634FE",
            "[fe80::5054:ff:fe34:56ab]:8080", true },
        ["the same of IPv6, ended by zeros"] = { "B80D0120010000000000000000000000", "[2001:db8:0:1::]:8080",
            true },
        ["any, for what is no address"] = { "0200007F", "localhost:8080", true },
        ["any, for what is no address of IPv4"] = { "0200007F", "300.1.1.1:8080", true },
        ["any, for what is no address of IPv6"] = { "0200007F", "[1:2:3:4:5:6:7:8:9]:8080", true },
    } do
        it("are taken, or not, by who listens on " .. label, function()
            assert.are.equal(case[3], places.is_taken(case[2], { [8080] = { case[1] } }))
        end)
    end

    it("that nobody has are free", function()
        local check = places.ports({ pass = {}, config = { http = { listen = { "127.0.0.1:1" } },
            operations = { listen = false }, sandbox = { listen = "127.0.0.1:2" } } }, {})
        assert.are.same({ "ok", "127.0.0.1:1  free" }, { check.verdict, check.detail })
    end)

    it("on which the running engine does not listen are of another configuration", function()
        local call = { pass = { store = "owned" }, config = { http = { listen = { "127.0.0.1:1" } },
            operations = { listen = false } } }
        assert.are.equal("fail", places.ports(call, {}).verdict)
        local said = { system = { listeners = { { name = "api", address = "127.0.0.1:3" } } } }
        assert.is_truthy(places.ports(call, said).detail:find("127.0.0.1:3 (http.listen)", 1, true))
    end)
end)

describe("a certificate", function()
    local folder = os.tmpname()
    local key, other, short, long, gone, coming = folder .. ".key", folder .. ".other", folder .. ".short",
        folder .. ".long", folder .. ".gone", folder .. ".coming"
    local weak, weak_key, mixed = folder .. ".weak", folder .. ".weak_key", folder .. ".mixed"

    local function make(name, command)
        local quiet = (" 2>/dev/null && chmod 600 %s"):format(name)
        assert(os.execute(command .. quiet), command)
    end

    --- `openssl req` makes none of another time.
    local function make_within(out, from, to)
        assert(os.execute("mkdir " .. folder .. ".ca"))
        local base = folder .. ".ca/"
        for name, text in pairs {
            db = "", cnf = ("[ca]\ndefault_ca=a\n[a]\ndatabase=%sdb\nnew_certs_dir=%s\nrand_serial=yes\n"
                .. "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"):format(base, base),
        } do
            local made = assert(io.open(base .. name, "wb"))
            made:write(text)
            made:close()
        end
        local request = base .. "csr"
        make(request, ("openssl req -new -subj /CN=pay.example -key %s -out %s"):format(key, request))
        make(out, ("openssl ca -batch -selfsign -notext -keyfile %s -in %s -out %s -config %scnf "
            .. "-startdate %s0000Z -enddate %s0000Z"):format(key, request, out, base, from, to))
        assert(os.execute("rm -r " .. base))
    end

    local time, now = require "tael.time", nil

    setup(function()
        now, time.now = time.now, function() return os.time() * 1000 end
        for _, name in ipairs { key, other } do
            make(name, "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out " .. name)
        end
        local new = "openssl req -x509 -new -subj /CN=pay.example -key " .. key
        make(short, new .. " -days 3 -out " .. short)
        make(long, new .. " -days 90 -out " .. long)
        make_within(gone, "2020010100", "2020020100")
        make_within(coming, os.date("!%Y%m%d%H", os.time() + 180000), "2075010100")
        make(weak, ("openssl req -x509 -newkey rsa:1024 -nodes -subj /CN=pay.example -days 90 -keyout %s "
            .. "-out %s"):format(weak_key, weak))
        make(mixed, ("cat %s %s > %s"):format(long, weak, mixed))
    end)
    teardown(function()
        time.now = now
        for _, name in ipairs { folder, key, other, short, long, gone, coming, weak, weak_key, mixed } do
            os.remove(name)
        end
    end)

    local function check(cert, key_path)
        return places.tls({ config = { http = { listen = { "0.0.0.0:8443" },
            tls = { cert = cert, key = { at = key_path } } } } }, {})
    end

    it("that fits is told with the days that are left", function()
        local found = check(long, key)
        assert.are.equal("ok", found.verdict)
        assert.is_truthy(found.detail:find("[89]%d d left"), found.detail)
    end)

    it("that ends soon is warned of", function()
        assert.are.equal("warn", check(short, key).verdict)
    end)

    it("that has ended fails", function()
        assert.are.equal("fail", check(gone, key).verdict)
    end)

    it("that has not begun fails", function()
        assert.are.same({ "fail", "the certificate begins in 3 d" },
            { check(coming, key).verdict, check(coming, key).detail })
    end)

    it("that the engine would not load fails, and why", function()
        os.execute("chmod 600 " .. weak_key)
        for _, case in ipairs {
            { mixed, key, "certificate 2 did not issue the one before it" },
            { weak, weak_key, "ee key too small" },
        } do
            local found = check(case[1], case[2])
            assert.are.equal("fail", found.verdict)
            assert.is_truthy(found.detail:find(case[1] .. ": ", 1, true), found.detail)
            assert.is_truthy(found.detail:find(case[3], 1, true), found.detail)
        end
        assert(os.execute("chmod 666 " .. long))
        local open = check(long, key)
        assert(os.execute("chmod 644 " .. long))
        assert.are.same({ "fail", long .. ": mode 0666 lets others write it; chmod 644" },
            { open.verdict, open.detail })
    end)

    it("of another key fails, and both are named", function()
        local found = check(long, other)
        assert.are.equal("fail", found.verdict)
        assert.is_truthy(found.detail:find(other, 1, true) and found.detail:find(long, 1, true))
    end)

    it("whose key others may read fails, with the command that mends it", function()
        assert(os.execute("chmod 644 " .. key))
        local found = check(long, key)
        assert(os.execute("chmod 600 " .. key))
        assert.are.same({ "fail", "chmod 600 " .. key }, { found.verdict, found.next })
    end)

    it("or key that is none fails by its path", function()
        assert.is_truthy(check(key, key).detail:find(key, 1, true))
        assert.is_truthy(check(long, long).detail:find(long, 1, true))
        assert.is_truthy(check(long, "/nowhere").detail:find("/nowhere", 1, true))
    end)

    it("that is not there is a warning, and in development none is needed", function()
        local config = { http = { listen = { "127.0.0.1:8080" } }, operations = { listen = false },
            sandbox = { listen = "127.0.0.1:8090" } }
        local found = places.tls({ config = config }, {})
        assert.are.same({ "warn", "no certificate: API listens on 127.0.0.1:8080 only" },
            { found.verdict, found.detail })
        config.dev = true
        assert.are.equal("ok", places.tls({ config = config }, {}).verdict)
    end)
end)

describe("the disk", function()
    it("has room, or the folder is still to be made, or cannot be written", function()
        local found = places.disk { config = { data = "/tmp" } }
        assert.is_truthy(found.detail:find("is writable, %d+ [GM]iB free"))
        assert.are.equal("ok", places.disk({ config = { data = os.tmpname() .. ".new" } }).verdict)
        assert.are.equal("fail", places.disk({ config = { data = "/nowhere/data" } }).verdict)
        assert.are.equal("fail", places.disk({ config = { data = "/proc" } }).verdict)
        local loop = os.tmpname() .. ".loop"
        assert(os.execute(("ln -s %s %s"):format(loop, loop)))
        found = places.disk { config = { data = loop } }
        os.remove(loop)
        assert.are.equal("fail", found.verdict, "what is there and cannot be read is not made")
    end)
end)
