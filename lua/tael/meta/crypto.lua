---@meta tael.crypto
--- Keys, secrets, digests, ciphers and texts for bytes (C: engine/bind/crypto.c, crypto_keys.c).
---
--- Keys and secrets are handles: nothing gives their bytes, `tostring` shows the fingerprint. The key
--- folder holds `<name>.key` (private: PKCS#8 or PKCS#1, PEM or bare base64, or sealed), `<name>.pub`
--- (public) and `<name>.secret` (base64 of random bytes). The folder has mode 0700, files have mode 0600
--- or 0400, public keys may be readable for others; otherwise it is refused.
---
--- In a channel's pure function there is no randomness (random, aes_gcm_seal) and no folder.
--- Digests: "sha256", "sha1"; digest() also knows "md5". Misuse raises; what the world may do is
--- `nil, err`.

---@class tael.crypto
---@field base64 tael.crypto.Codec  RFC 4648 §4, padded; strict: one text for one value, no blanks
---@field base64url tael.crypto.Codec  RFC 4648 §5, not padded; strict
---@field hex tael.crypto.Codec  lower case; reads both cases
---@field url tael.crypto.Codec  percent-encoding of all but RFC 3986 unreserved; '+' stays '+'
local crypto = {}

---@class tael.crypto.Codec
---@field encode fun(bytes: string): string
---@field decode fun(text: string): string?, tael.Error?  code "invalid"

---@class tael.Error
---@field code string
---@field message string

---@alias tael.crypto.Digest "sha256"|"sha1"

--- An RSA key. Signatures are RSASSA-PKCS1-v1_5 in strict base64, exactly as long as the key.
---@class tael.Key
local key = {} -- luacheck: ignore 241

---@param digest tael.crypto.Digest
---@param text string
---@return string base64  raises with a key for verifying
function key:sign(digest, text) end

--- Proves nothing to the kernel: that is what attest is for.
---@param digest tael.crypto.Digest
---@param text string
---@param signature string  base64
---@return boolean
function key:verify(digest, text, signature) end

--- Evidence that the material's message came from the owner of this key. Only a key for verifying, of
--- the same account (above 0) as the message, gives it.
---@param digest tael.crypto.Digest  what the configuration says, never what the message says
---@param material tael.Material
---@param signature string?  base64; nil: the message has none
---@return tael.Evidence?
---@return nil|"use"|"account"|"algorithm"|"length"|"signature" reason
function key:attest(digest, material, signature) end

---@return string id  "rsa2048 9f2c01ab": the same for both halves of a pair
function key:id() end

---@return integer
function key:bits() end

--- All that can be told of its public part (NIST SP 800-89, 5.3.3), in some 3 ms. What comes from the folder
--- was only looked at for damage when it was read; what came as text has passed this already.
---@return true?
---@return tael.Error? err  "invalid"
function key:check() end

--- Bytes in locked memory.
---@class tael.Secret

---@class tael.crypto.KeyOptions
---@field use "sign"|"verify"  a private key is for signing, a public one for verifying
---@field account? integer  whom its evidence is about; 0 or absent: it gives none
---@field weak? boolean  RSA from 1024 bits instead of 2048

--- Opens the key folder, once; again with the same folder it does nothing.
---@param folder string
---@param master? string|tael.Secret  opens sealed files; new private keys and secrets are sealed with it
---@return true?
---@return tael.Error? err  "not_found", "forbidden" (mode or owner), "invalid"; the message names the path
function crypto.keys(folder, master) end

--- Reads `<name>.key` for signing, `<name>.pub` for verifying.
---@param name string
---@param options tael.crypto.KeyOptions
---@return tael.Key?
---@return tael.Error? err  "not_found", "forbidden", "invalid"
function crypto.key(name, options) end

--- Reads a key from text: PEM or bare base64, blanks and line breaks anywhere.
---@param text string
---@param options tael.crypto.KeyOptions
---@return tael.Key?
---@return tael.Error? err  "invalid"
function crypto.key_from_pem(text, options) end

---@param name string
---@return tael.Secret?
---@return tael.Error? err  "not_found", "forbidden", "invalid"
function crypto.secret(name) end

---@param name string
---@param kind "key"|"pub"|"secret"
---@return boolean
function crypto.exists(name, kind) end

--- Writes `<name>.key` and `<name>.pub`, never over another.
---@param name string
---@param bits integer  2048 to 8192, a multiple of 256
---@return true?
---@return tael.Error? err  "exists", "invalid", "forbidden"
function crypto.generate(name, bits) end

--- Writes `<name>.pub` of the private key, never over another.
---@param name string
---@return true?
---@return tael.Error? err  "exists", "not_found", "invalid", "forbidden"
function crypto.generate_public(name) end

--- Writes `<name>.secret`, never over another.
---@param name string
---@param n integer  16 to 1024 bytes
---@return true?
---@return tael.Error? err  "exists", "invalid", "forbidden"
function crypto.generate_secret(name, n) end

--- The public part of a stored key, as SubjectPublicKeyInfo in PEM.
---@param name string
---@return string?
---@return tael.Error? err
function crypto.public_pem(name) end

--- The same in one line of base64.
---@param name string
---@return string?
---@return tael.Error? err
function crypto.public_base64(name) end

---@param name tael.crypto.Digest|"md5"
---@param data string
---@return string bytes
function crypto.digest(name, data) end

---@param name tael.crypto.Digest
---@param secret tael.Secret|string
---@param data string
---@return string bytes
function crypto.hmac(name, secret, data) end

--- AES-256-GCM under a new random nonce.
---@param secret tael.Secret|string  32 bytes
---@param plain string
---@param aad? string  where it belongs; needed again to open it
---@return string sealed  nonce (12), ciphertext, tag (16)
function crypto.aes_gcm_seal(secret, plain, aad) end

---@param secret tael.Secret|string  32 bytes
---@param sealed string
---@param aad? string
---@return string? plain
---@return tael.Error? err  "forged"
function crypto.aes_gcm_open(secret, sealed, aad) end

--- AES-CBC with PKCS#7 padding. Proves nothing: verify a signature first.
---@param secret tael.Secret|string  16, 24 or 32 bytes
---@param iv string  16 bytes
---@param data string
---@return string
function crypto.aes_cbc_encrypt(secret, iv, data) end

---@param secret tael.Secret|string  16, 24 or 32 bytes
---@param iv string  16 bytes
---@param data string
---@return string? plain
---@return tael.Error? err  "damaged"
function crypto.aes_cbc_decrypt(secret, iv, data) end

--- Random bytes of the world: seeded in the simulated one.
---@param n integer  0 to 65536
---@return string
function crypto.random(n) end

--- Compares in a time that depends on the lengths only.
---@param a string
---@param b string
---@return boolean
function crypto.equal(a, b) end

--- CRC-32 as in gzip: finds slips of the pen, not forgeries.
---@param data string
---@return integer
function crypto.crc32(data) end

return crypto
