-- wrk: one signed wallet debit a request, each with a nonce of its own. The environment says what is special:
--   LAB            folder with the token
--   SECRET         the signing key
--   BODY_BYTES     size of the JSON body
--   KEEP_ALIVE     "no": the server is asked to close after each response
--   SIGNATURE      "bad": one digit of the signature is wrong
--   PREPARED       folder with the fields and the body of one request that is signed already, and sent again and again; with a file
--                  `each`, the fields of its lines, parted by tabs, are added in turn
-- Prints its figures in one line of JSON, after the word `figures`.

local ffi = require "ffi"
ffi.cdef [[
unsigned char *HMAC(const void *md, const void *key, int key_len, const unsigned char *data, size_t size,
                    unsigned char *out, unsigned int *out_len);
const void *EVP_sha256(void);
]]
local crypto = ffi.load("crypto")
local sha256, digest, digest_size = crypto.EVP_sha256(), ffi.new("unsigned char[64]"), ffi.new("unsigned int[1]")

local secret = os.getenv("SECRET")
local is_bad = os.getenv("SIGNATURE") == "bad"

local function read(path, what)
  local file = assert(io.open(path, "rb"))
  local text = file:read(what)
  file:close()
  return text
end

local function json_body(size)
  local body = '{"player":"p-100234","currency":"EUR","amount":"12.50","round":"r-883412",'
    .. '"tx":"c0ffee00-0000-4000-8000-000000000000","game":"book-of-x","note":""}'
  assert(#body <= size, "BODY_BYTES is too small")
  return body:sub(1, -3) .. string.rep("x", size - #body) .. '"}'
end

local hex = {}
for octet = 0, 255 do hex[octet] = string.format("%02x", octet) end

local function signature(text)
  crypto.HMAC(sha256, secret, #secret, text, #text, digest, digest_size)
  local digits = {}
  for place = 0, 31 do digits[place + 1] = hex[digest[place]] end
  if is_bad then digits[32] = hex[(digest[31] + 1) % 256] end
  return table.concat(digits)
end

-- wrk calls init, request and response in each of its threads, setup and done in a state of their own.

local body, run_id, fields, sent, prepared, each
statuses = {}

local function prepare(folder)
  fields = {}
  for line in io.lines(folder .. "/fields") do
    local name, value = line:match("^([^:]+): (.*)$")
    fields[name] = value
  end
  body = read(folder .. "/body", "*a")
  prepared = wrk.format("POST", "/wallet/debit", fields, body)
  local file = io.open(folder .. "/each", "rb")
  if not file then return end
  each, sent = {}, 0
  for line in file:lines() do table.insert(each, line) end
  file:close()
end

local function next_prepared()
  for part in each[sent % #each + 1]:gmatch("[^\t]+") do
    local name, value = part:match("^([^:]+): (.*)$")
    fields[name] = value
  end
  sent = sent + 1
  return wrk.format("POST", "/wallet/debit", fields, body)
end

function init()
  if os.getenv("PREPARED") then return prepare(os.getenv("PREPARED")) end
  body = json_body(tonumber(os.getenv("BODY_BYTES")))
  run_id = read("/dev/urandom", 8):gsub(".", function(octet) return hex[octet:byte()] end)
  sent = 0
  fields = {
    ["Content-Type"] = "application/json",
    ["Authorization"] = "Bearer " .. read(os.getenv("LAB") .. "/token", "*a"),
    ["X-Key-Id"] = "partner-1",
  }
  if os.getenv("KEEP_ALIVE") == "no" then fields["Connection"] = "close" end
end

function request()
  if each then return next_prepared() end
  if prepared then return prepared end
  sent = sent + 1
  local timestamp, nonce = tostring(os.time()), run_id .. "-" .. sent
  fields["X-Timestamp"], fields["X-Nonce"] = timestamp, nonce
  fields["X-Signature"] = signature(table.concat({"POST", "/wallet/debit", timestamp, nonce, body}, "\n"))
  return wrk.format("POST", "/wallet/debit", fields, body)
end

function response(status)
  local name = tostring(status)
  statuses[name] = (statuses[name] or 0) + 1
end

local threads = {}

function setup(thread) table.insert(threads, thread) end

function done(summary, latency)
  local counts = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("statuses")) do counts[status] = (counts[status] or 0) + count end
  end
  local listed = {}
  for status, count in pairs(counts) do table.insert(listed, string.format('"%s": %d', status, count)) end
  local errors = summary.errors
  print(string.format(
    'figures {"requests": %d, "microseconds": %d, "p50_microseconds": %d, "p99_microseconds": %d, '
      .. '"statuses": {%s}, "errors": {"connect": %d, "read": %d, "write": %d, "timeout": %d}}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    table.concat(listed, ", "), errors.connect, errors.read, errors.write, errors.timeout))
end
