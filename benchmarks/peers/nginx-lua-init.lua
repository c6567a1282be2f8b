-- Once, before the worker is forked: OpenSSL's functions, the keys, and what the checks use.

local ffi = require "ffi"
ffi.cdef [[
unsigned char *HMAC(const void *, const void *, int, const unsigned char *, size_t, unsigned char *, unsigned int *);
const void *EVP_sha256(void);
void *BIO_new_mem_buf(const void *, int);
void *PEM_read_bio_PUBKEY(void *, void *, void *, void *);
void *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(void *);
int EVP_DigestVerifyInit(void *, void *, const void *, void *, void *);
int EVP_DigestVerify(void *, const unsigned char *, size_t, const unsigned char *, size_t);
]]

local crypto, sha256 = ffi.C, ffi.C.EVP_sha256()
local digest, digest_size = ffi.new("unsigned char[64]"), ffi.new("unsigned int[1]")

local hex = {}
for octet = 0, 255 do hex[octet] = string.format("%02x", octet) end

local pem = assert(io.open(os.getenv("LAB") .. "/jwt.pub")):read("*a")
local token_key = crypto.PEM_read_bio_PUBKEY(crypto.BIO_new_mem_buf(pem, #pem), nil, nil, nil)

reference = {
  secret = os.getenv("SECRET"),
  remembers_nonces = os.getenv("REPLAY") ~= "no",
  json = require "cjson",
}

function reference.hmac(text)
  crypto.HMAC(sha256, reference.secret, #reference.secret, text, #text, digest, digest_size)
  local digits = {}
  for place = 0, 31 do digits[place + 1] = hex[digest[place]] end
  return table.concat(digits)
end

function reference.base64url(text)
  text = text:gsub("-", "+"):gsub("_", "/")
  return ngx.decode_base64(text .. string.rep("=", (4 - #text % 4) % 4))
end

function reference.verifies(text, signature)
  local context = crypto.EVP_MD_CTX_new()
  crypto.EVP_DigestVerifyInit(context, nil, sha256, nil, token_key)
  local verified = crypto.EVP_DigestVerify(context, signature, #signature, text, #text)
  crypto.EVP_MD_CTX_free(context)
  return verified == 1
end
