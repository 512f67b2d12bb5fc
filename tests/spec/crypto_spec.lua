local crypto = require "tael.crypto"
local form = require "tael.form"
local vectors = require "tests.spec.vectors"

local digests = { RSA2 = "sha256", RSA = "sha1" }

local function armoured(label, base64)
    local lines = base64:gsub(("."):rep(64), "%0\n")
    return "-----BEGIN " .. label .. "-----\n" .. lines .. "\n-----END " .. label .. "-----\n"
end

local function private_text(case)
    local key = vectors.keys[case.key]
    if case.key_format == "pkcs1" then return key.private_pkcs1 end
    if case.key_format == "pkcs1-pem" then return armoured("RSA PRIVATE KEY", key.private_pkcs1) end
    if case.key_format == "pkcs8-pem" then return armoured("PRIVATE KEY", key.private_pkcs8) end
    return key.private_pkcs8
end

local function sign_key(case)
    return assert(crypto.key_from_pem(private_text(case), { use = "sign" }))
end

local function verify_key(name)
    return assert(crypto.key_from_pem(vectors.keys[name].public, { use = "verify" }))
end

describe("the vectors: signed requests", function()
    for _, case in ipairs(vectors.of("request_sign")) do
        it(case.id .. " " .. case.title, function()
            local text = form.canonical(case.params, { except = { "sign" } })
            assert.are.equal(case.string_to_sign, text)
            assert.are.equal(case.string_to_sign_sha256, crypto.hex.encode(crypto.digest("sha256", text)))
            assert.are.equal(case.sign, sign_key(case):sign(digests[case.sign_type], text))
            assert.is_true(verify_key(case.key):verify(digests[case.sign_type], text, case.sign))
        end)
    end
    for _, case in ipairs(vectors.of("request_sign_gbk")) do
        it(case.id .. " " .. case.title, function()
            local text = assert(crypto.hex.decode(case.string_to_sign_gbk_hex))
            local wire = text:gsub("[^=&]+", crypto.url.encode)
            local params = assert(form.decode(wire, { charset = "gbk" }))
            assert.are.equal(text, form.canonical(params))
            assert.are.equal(case.sign, sign_key(case):sign(digests[case.sign_type], text))
        end)
    end
    it("has the key formats", function()
        local formats = {}
        for _, case in ipairs(vectors.of("request_sign")) do formats[case.key_format] = true end
        assert.are.same({ pkcs8 = true, pkcs1 = true, ["pkcs1-pem"] = true, ["pkcs8-pem"] = true }, formats)
    end)
end)

describe("the vectors: AES", function()
    local zero = ("\0"):rep(16)
    for _, case in ipairs(vectors.of("aes")) do
        it(case.id .. " " .. case.title, function()
            local key = assert(crypto.base64.decode(case.aes_key))
            local secret = crypto.aes_cbc_encrypt(key, zero, case.plaintext)
            assert.are.equal(case.ciphertext, crypto.base64.encode(secret))
            assert.are.equal(case.plaintext, crypto.aes_cbc_decrypt(key, zero, secret))
        end)
    end
    for _, case in ipairs(vectors.of("aes_v2")) do
        it(case.id .. " " .. case.title, function()
            local key = assert(crypto.base64.decode(case.aes_key))
            local iv = assert(crypto.hex.decode(case.iv_hex))
            local secret = iv .. crypto.aes_cbc_encrypt(key, iv, case.plaintext)
            assert.are.equal(case.ciphertext, crypto.base64.encode(secret))
            assert.are.equal(case.plaintext, crypto.aes_cbc_decrypt(key, iv, secret:sub(17)))
        end)
    end
    for _, case in ipairs(vectors.of("encrypted_request")) do
        it(case.id .. " " .. case.title, function()
            local key = assert(crypto.base64.decode(case.aes_key))
            local secret = crypto.aes_cbc_encrypt(key, zero, case.biz_plaintext)
            assert.are.equal(case.params.biz_content, crypto.base64.encode(secret))
            local text = form.canonical(case.params, { except = { "sign" } })
            assert.are.equal(case.string_to_sign, text)
            assert.are.equal(case.sign, sign_key(case):sign("sha256", text))
        end)
    end
    it("refuses what was not encrypted with the key", function()
        local key = ("k"):rep(16)
        local text, err = crypto.aes_cbc_decrypt(key, zero, "fifteen bytes !")
        assert.is_nil(text)
        assert.are.equal("damaged", err.code)
        assert.has_error(function() crypto.aes_cbc_decrypt("short", zero, zero) end)
        assert.has_error(function() crypto.aes_cbc_encrypt(key, "short", zero) end)
    end)
end)

describe("key handles", function()
    local merchant = vectors.keys.merchant

    it("say who they are and nothing else", function()
        local sign = assert(crypto.key_from_pem(merchant.private_pkcs8, { use = "sign" }))
        local verify = verify_key("merchant")
        assert.matches("^rsa2048 %x%x%x%x%x%x%x%x$", sign:id())
        assert.are.equal(sign:id(), verify:id())
        assert.are_not.equal(sign:id(), verify_key("merchant_b"):id())
        assert.are.equal("tael.key (" .. sign:id() .. ")", tostring(sign))
        assert.are.equal(2048, sign:bits())
        assert.is_false(getmetatable(sign))
        for _, name in ipairs { "key", "pem", "private", "bytes", "__gc", "account", 1 } do
            assert.is_nil(sign[name])
        end
        assert.has_error(function() sign.account = 1 end)
        assert.has_error(function() return #sign end)
        assert.has_error(function() return next(sign) end)
    end)

    it("do only what they are for", function()
        local verify = verify_key("merchant")
        assert.has_error(function() verify:sign("sha256", "x") end)
        for _, use in ipairs { "both", "", "SIGN" } do
            assert.has_error(function() crypto.key_from_pem(merchant.public, { use = use }) end)
        end
        assert.has_error(function() crypto.key_from_pem(merchant.public, {}) end)
        local public = merchant.public
        assert.has_error(function() crypto.key_from_pem(public, { use = "verify", acount = 1 }) end)
        assert.has_error(function() crypto.key_from_pem(public, { use = "verify", account = -1 }) end)
        assert.has_error(function() crypto.key_from_pem(public, { use = "verify", account = "1x" }) end)
    end)

    it("are not mixed up: a private key does not verify, a public one does not sign", function()
        for _, text in ipairs { merchant.private_pkcs8, merchant.private_pkcs1 } do
            local key, err = crypto.key_from_pem(text, { use = "verify" })
            assert.is_nil(key)
            assert.are.equal("invalid", err.code)
            assert.is_nil(err.message:find(text:sub(100, 120), 1, true))
        end
        for _, text in ipairs { merchant.public, merchant.public_pkcs1 } do
            assert.is_nil((crypto.key_from_pem(text, { use = "sign" })))
        end
    end)

    it("are read with blanks and line breaks anywhere", function()
        local id = verify_key("merchant"):id()
        local spaced = "\r\n " .. merchant.public:gsub(".....", "%0 \r\n\t") .. "\n\n"
        assert.are.equal(id, assert(crypto.key_from_pem(spaced, { use = "verify" })):id())
        local pem = armoured("RSA PUBLIC KEY", merchant.public_pkcs1)
        assert.are.equal(id, assert(crypto.key_from_pem(pem, { use = "verify" })):id())
    end)

    it("are not made from hostile texts", function()
        local broken = {
            "", "x", "====", "-----BEGIN PUBLIC KEY-----",
            merchant.public:sub(1, -5), merchant.public .. "AAAA", (merchant.public:gsub("A", "\0", 1)),
            armoured("PRIVATE KEY", merchant.public), armoured("CERTIFICATE", merchant.public),
            ("A"):rep(100000), ("-"):rep(5000),
        }
        for _, text in ipairs(broken) do
            local key, err = crypto.key_from_pem(text, { use = "verify" })
            assert.is_nil(key)
            assert.are.equal("invalid", err.code)
        end
    end)

    it("verify the whole signature and only with the right key, digest and text", function()
        local sign = assert(crypto.key_from_pem(merchant.private_pkcs8, { use = "sign" }))
        local verify = verify_key("merchant")
        local signature = sign:sign("sha256", "text")
        assert.is_true(verify:verify("sha256", "text", signature))
        assert.is_true(sign:verify("sha256", "text", signature))
        assert.is_false(verify_key("merchant_b"):verify("sha256", "text", signature))
        assert.is_false(verify:verify("sha1", "text", signature))
        assert.is_false(verify:verify("sha256", "text ", signature))
        for _, changed in ipairs {
            "", " " .. signature, signature .. "\n", (signature:gsub("=", "")), signature:sub(2),
            signature .. "====", "*" .. signature:sub(2), " " .. signature:sub(2), "_" .. signature:sub(2),
            ("A"):rep(344), ("/"):rep(344), "AAAA", ("A"):rep(5000), ("A"):rep(342) .. "==",
        } do
            assert.is_false(verify:verify("sha256", "text", changed))
        end
        for _, digest in ipairs { "md5", "SHA256", "none", "" } do
            assert.has_error(function() verify:verify(digest, "text", signature) end)
            assert.has_error(function() sign:sign(digest, "text") end)
        end
        assert.has_error(function() verify:verify("sha256", "text", nil) end)
        assert.has_error(function() verify:verify("sha256", 1, signature) end)
    end)

    it("cannot be imitated", function()
        local verify = verify_key("merchant")
        local meta = { __index = function(_, name) return verify[name] end, __name = "tael.key" }
        local fake = setmetatable({}, meta)
        assert.has_error(function() fake:id() end)
        assert.has_error(function() verify.id(io.stdout) end)
        assert.has_error(function() verify.id("tael.key") end)
    end)

    it("refuse short keys unless told", function()
        local short = table.concat {
            "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCnNepvdAmRWsDuEXOlK0Yyj5ViMfqoOR2zUI/aSlK3waRn",
            "5iTBfvAUBvq37JlmPV6z12oD35tFgX8dumEKixjYCHBG1qZYcKdnqCgzfkPtpNv8Sm2C288A3roVpfX5NWTA",
            "z4tzAcHIF1Cb80yLRjSKDn9opjSMfoq06IKO3aYFwQIDAQAB",
        }
        local key, err = crypto.key_from_pem(short, { use = "verify" })
        assert.is_nil(key)
        assert.are.equal("invalid", err.code)
        assert.are.equal("the RSA key is too short", err.message)
        assert.are.equal(1024, assert(crypto.key_from_pem(short, { use = "verify", weak = true })):bits())
    end)
end)

describe("the key folder", function()
    local folder

    local function shell(command)
        assert(os.execute(command))
    end

    --- A module of its own: a folder is opened once in each.
    local function fresh()
        package.loaded["tael.crypto"] = nil
        local module = require "tael.crypto"
        package.loaded["tael.crypto"] = crypto
        return module
    end

    local function read(name)
        local file = assert(io.open(folder .. "/" .. name, "rb"))
        local text = file:read("a")
        file:close()
        return text
    end

    local function write(name, text, mode)
        local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
        assert(file:write(text))
        shell(("chmod %s '%s/%s'"):format(mode or "600", folder, name))
    end

    before_each(function()
        folder = os.tmpname()
        os.remove(folder)
        shell("mkdir -m 700 '" .. folder .. "'")
    end)

    after_each(function()
        shell("rm -rf '" .. folder .. "'")
    end)

    it("must be open before keys are asked for", function()
        local module = fresh()
        for _, call in ipairs {
            function() module.key("a", { use = "sign" }) end,
            function() module.secret("a") end,
            function() module.exists("a", "key") end,
            function() module.generate("a", 2048) end,
            function() module.generate_public("a") end,
            function() module.generate_secret("a", 32) end,
            function() module.public_pem("a") end,
        } do
            assert.has_error(call)
        end
    end)

    it("generates keys and gives handles", function()
        local module = fresh()
        assert.is_true(module.keys(folder))
        assert.is_true(module.keys(folder))
        assert.has_error(function() module.keys(folder .. "/other") end)
        assert.is_true(module.generate("demo", 2048))
        assert.is_true(module.exists("demo", "key"))
        assert.is_true(module.exists("demo", "pub"))
        assert.is_false(module.exists("demo", "secret"))
        local sign = assert(module.key("demo", { use = "sign" }))
        local verify = assert(module.key("demo", { use = "verify", account = 3 }))
        assert.is_true(verify:verify("sha256", "x", sign:sign("sha256", "x")))
        local pem = assert(module.public_pem("demo"))
        assert.matches("^%-%-%-%-%-BEGIN PUBLIC KEY%-%-%-%-%-\n", pem)
        assert.are.equal(sign:id(), assert(module.key_from_pem(pem, { use = "verify" })):id())
        local base64 = assert(module.public_base64("demo"))
        assert.is_nil(base64:find("%s"))
        assert.are.equal(sign:id(), assert(module.key_from_pem(base64, { use = "verify" })):id())
        assert.is_true(os.remove(folder .. "/demo.pub"))
        assert.are.equal(pem, module.public_pem("demo"))
        assert.is_true(module.generate_public("demo"))
        assert.are.equal(pem, read("demo.pub"))
    end)

    it("never overwrites", function()
        local module = fresh()
        assert.is_true(module.keys(folder))
        assert.is_true(module.generate_secret("ids", 32))
        local ok, err = module.generate_secret("ids", 32)
        assert.is_nil(ok)
        assert.are.equal("exists", err.code)
        write("demo.pub", vectors.keys.merchant.public)
        ok, err = module.generate("demo", 2048)
        assert.is_nil(ok)
        assert.are.equal("exists", err.code)
        assert.is_false(module.exists("demo", "key"))
        ok, err = module.generate_public("demo")
        assert.is_nil(ok)
        assert.are.equal("exists", err.code)
        ok, err = module.generate_public("none")
        assert.is_nil(ok)
        assert.are.equal("not_found", err.code)
        ok, err = module.generate("small", 1024)
        assert.is_nil(ok)
        assert.are.equal("invalid", err.code)
    end)

    it("keeps secrets as handles", function()
        local module = fresh()
        assert.is_true(module.keys(folder))
        assert.is_true(module.generate_secret("ids", 32))
        local secret = assert(module.secret("ids"))
        assert.matches("^tael%.secret %(%x%x%x%x%x%x%x%x%)$", tostring(secret))
        assert.is_false(getmetatable(secret))
        assert.are.equal(32, #module.hmac("sha256", secret, "x"))
        local sealed = module.aes_gcm_seal(secret, "plain", "place")
        assert.are.equal("plain", module.aes_gcm_open(secret, sealed, "place"))
        assert.has_error(function() return secret .. "" end)
        assert.has_error(function() return #secret end)
        write("short.secret", "AAAA")
        local none, err = module.secret("short")
        assert.is_nil(none)
        assert.are.equal("invalid", err.code)
        assert.is_not_nil(err.message:find(folder .. "/short.secret", 1, true))
        none, err = module.secret("absent")
        assert.is_nil(none)
        assert.are.equal("not_found", err.code)
    end)

    it("reads what a person puts there", function()
        local module = fresh()
        write("a.key", armoured("RSA PRIVATE KEY", vectors.keys.merchant.private_pkcs1), "400")
        write("b.key", vectors.keys.merchant.private_pkcs8 .. "\n")
        write("c.pub", vectors.keys.merchant.public)
        assert.is_true(module.keys(folder))
        local a, b = assert(module.key("a", { use = "sign" })), assert(module.key("b", { use = "sign" }))
        local c = assert(module.key("c", { use = "verify" }))
        assert.are.equal(a:id(), b:id())
        assert.are.equal(a:id(), c:id())
        local none, err = module.key("c", { use = "sign" })
        assert.is_nil(none)
        assert.are.equal("not_found", err.code)
        none, err = module.key("../c", { use = "verify" })
        assert.is_nil(none)
        assert.are.equal("invalid", err.code)
    end)

    it("is refused when others may enter, and the path is named", function()
        for _, mode in ipairs { "755", "750", "770" } do
            shell(("chmod %s '%s'"):format(mode, folder))
            local ok, err = fresh().keys(folder)
            assert.is_nil(ok)
            assert.are.equal("forbidden", err.code)
            assert.is_not_nil(err.message:find(folder, 1, true))
        end
    end)

    it("is refused when a secret file is open to others", function()
        for _, mode in ipairs { "644", "640", "660", "700" } do
            write("a.key", vectors.keys.merchant.private_pkcs8, mode)
            local ok, err = fresh().keys(folder)
            assert.is_nil(ok)
            assert.are.equal("forbidden", err.code)
            assert.is_not_nil(err.message:find(folder .. "/a.key", 1, true))
        end
    end)

    it("seals its files under a master", function()
        local module, master = fresh(), ("m"):rep(32)
        assert.is_true(module.keys(folder, master))
        assert.is_true(module.generate("demo", 2048))
        assert.is_true(module.generate_secret("ids", 32))
        local mac = module.hmac("sha256", assert(module.secret("ids")), "x")
        local file = assert(io.open(folder .. "/demo.key", "rb"))
        local text = file:read("a")
        file:close()
        assert.is_nil(text:find("PRIVATE", 1, true))
        local again = fresh()
        assert.is_true(again.keys(folder, master))
        assert.are.equal(mac, again.hmac("sha256", assert(again.secret("ids")), "x"))
        assert.is_not_nil((again.key("demo", { use = "sign" })))
        for _, wrong in ipairs { ("n"):rep(32), false } do
            local stranger = fresh()
            assert.is_true(stranger.keys(folder, wrong or nil))
            local none, err = stranger.secret("ids")
            assert.is_nil(none)
            assert.are.equal("invalid", err.code)
        end
        assert.has_error(function() fresh().keys(folder, "short") end)
    end)
end)

describe("sealing", function()
    local key = ("k"):rep(32)

    it("returns what was sealed, with its place", function()
        for _, plain in ipairs { "", "x", ("long "):rep(10000), "\0\255" } do
            local sealed = crypto.aes_gcm_seal(key, plain, "payment 1")
            assert.are.equal(#plain + 28, #sealed)
            assert.are.equal(plain, crypto.aes_gcm_open(key, sealed, "payment 1"))
        end
        assert.are_not.equal(crypto.aes_gcm_seal(key, "x"), crypto.aes_gcm_seal(key, "x"))
    end)

    it("opens nothing else", function()
        local sealed = crypto.aes_gcm_seal(key, "plain", "payment 1")
        local tries = { "", sealed:sub(1, -2), sealed .. "x", sealed:sub(2), ("\0"):rep(28) }
        for i = 1, #sealed do
            tries[#tries + 1] = sealed:sub(1, i - 1) .. string.char(sealed:byte(i) ~ 1) .. sealed:sub(i + 1)
        end
        for _, text in ipairs(tries) do
            local plain, err = crypto.aes_gcm_open(key, text, "payment 1")
            assert.is_nil(plain)
            assert.are.equal("forged", err.code)
        end
        assert.is_nil((crypto.aes_gcm_open(key, sealed, "payment 2")))
        assert.is_nil((crypto.aes_gcm_open(key, sealed)))
        assert.is_nil((crypto.aes_gcm_open(("l"):rep(32), sealed, "payment 1")))
        assert.has_error(function() crypto.aes_gcm_seal("short", "x") end)
    end)
end)

describe("small functions of crypto", function()
    it("digest and hmac", function()
        local hex = crypto.hex.encode
        assert.are.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            hex(crypto.digest("sha256", "abc")))
        assert.are.equal("900150983cd24fb0d6963f7d28e17f72", hex(crypto.digest("md5", "abc")))
        assert.are.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            hex(crypto.hmac("sha256", "Jefe", "what do ya want for nothing?")))
        assert.has_error(function() crypto.digest("sha512", "x") end)
        assert.has_error(function() crypto.hmac("md5", "key", "x") end)
        assert.has_error(function() crypto.hmac("sha256", 1, "x") end)
    end)

    it("random bytes differ and have their length", function()
        assert.are.equal("", crypto.random(0))
        assert.are.equal(32, #crypto.random(32))
        assert.are_not.equal(crypto.random(16), crypto.random(16))
        assert.has_error(function() crypto.random(-1) end)
        assert.has_error(function() crypto.random(65537) end)
    end)

    it("equal compares bytes", function()
        assert.is_true(crypto.equal("a\0b", "a\0b"))
        assert.is_false(crypto.equal("a\0b", "a\0c"))
        assert.is_false(crypto.equal("a", "ab"))
        assert.is_true(crypto.equal("", ""))
        assert.has_error(function() crypto.equal("1", 1) end)
    end)

    it("base64, hex and url are strict", function()
        assert.are.equal("YWI=", crypto.base64.encode("ab"))
        assert.are.equal("ab", crypto.base64.decode("YWI="))
        for _, text in ipairs { "YWI", "YWI =", "YWI=\n", "YWJ=", "Y!I=", "====" } do
            assert.is_nil((crypto.base64.decode(text)))
        end
        assert.are.equal("_-8", crypto.base64url.encode("\255\239"))
        assert.are.equal("\255\239", crypto.base64url.decode("_-8"))
        assert.is_nil((crypto.base64url.decode("_-8=")))
        assert.are.equal("00ff", crypto.hex.encode("\0\255"))
        assert.are.equal("\0\255", crypto.hex.decode("00fF"))
        assert.is_nil((crypto.hex.decode("0")))
        assert.are.equal("a-._~%20%2B%E4%B8%AD", crypto.url.encode("a-._~ +中"))
        assert.are.equal("a+b 中", crypto.url.decode("a+b%20%e4%b8%ad"))
        assert.is_nil((crypto.url.decode("%2")))
        assert.are.equal(0xCBF43926, crypto.crc32("123456789"))
    end)
end)
