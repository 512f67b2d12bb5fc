-- RSA2 by OpenSSL through LuaJIT's FFI: keys parsed once.
-- luacheck: globals ngx
local ffi = require "ffi"
ffi.cdef [[
typedef struct evp_pkey_st EVP_PKEY; typedef struct evp_md_ctx_st EVP_MD_CTX;
typedef struct evp_md_st EVP_MD; typedef struct bio_st BIO;
BIO *BIO_new_mem_buf(const void *, int);
EVP_PKEY *PEM_read_bio_PrivateKey(BIO *, EVP_PKEY **, void *, void *);
EVP_PKEY *PEM_read_bio_PUBKEY(BIO *, EVP_PKEY **, void *, void *);
EVP_MD_CTX *EVP_MD_CTX_new(void); void EVP_MD_CTX_free(EVP_MD_CTX *); const EVP_MD *EVP_sha256(void);
int EVP_DigestSignInit(EVP_MD_CTX *, void *, const EVP_MD *, void *, EVP_PKEY *);
int EVP_DigestSign(EVP_MD_CTX *, unsigned char *, size_t *, const char *, size_t);
int EVP_DigestVerifyInit(EVP_MD_CTX *, void *, const EVP_MD *, void *, EVP_PKEY *);
int EVP_DigestVerify(EVP_MD_CTX *, const char *, size_t, const char *, size_t);
]]
local crypto = ffi.load("libcrypto.so.3")

local function read(name)
    local file = assert(io.open(os.getenv("KEYS") .. "/" .. name))
    local text = file:read("*a")
    file:close()
    return text
end

local private_text, public_text = read("shop.key"), read("alipay.pub")
local private_bio = crypto.BIO_new_mem_buf(private_text, #private_text)
local private = crypto.PEM_read_bio_PrivateKey(private_bio, nil, nil, nil)
local public = crypto.PEM_read_bio_PUBKEY(crypto.BIO_new_mem_buf(public_text, #public_text), nil, nil, nil)
assert(private ~= nil and public ~= nil, "keys")
local buffer, length = ffi.new("unsigned char[512]"), ffi.new("size_t[1]")

local M = {}

function M.sign(text)
    local context = crypto.EVP_MD_CTX_new()
    length[0] = 512
    crypto.EVP_DigestSignInit(context, nil, crypto.EVP_sha256(), nil, private)
    local ok = crypto.EVP_DigestSign(context, buffer, length, text, #text) == 1
    crypto.EVP_MD_CTX_free(context)
    return ok and ngx.encode_base64(ffi.string(buffer, length[0]))
end

function M.verify(text, signature)
    local bytes = ngx.decode_base64(signature or "")
    if not bytes then
        return false
    end
    local context = crypto.EVP_MD_CTX_new()
    crypto.EVP_DigestVerifyInit(context, nil, crypto.EVP_sha256(), nil, public)
    local ok = crypto.EVP_DigestVerify(context, bytes, #bytes, text, #text) == 1
    crypto.EVP_MD_CTX_free(context)
    return ok
end

return M
