-- The checks of one request: time, signature, nonce, token.

local fields, now = ngx.req.get_headers(), ngx.time()

local timestamp = tonumber(fields["x-timestamp"])
if not timestamp or math.abs(now - timestamp) > 300 then return ngx.exit(401) end

ngx.req.read_body()
local signed = ngx.req.get_method() .. "\n" .. ngx.var.request_uri .. "\n" .. fields["x-timestamp"] .. "\n"
  .. fields["x-nonce"] .. "\n" .. (ngx.req.get_body_data() or "")
if reference.hmac(signed) ~= fields["x-signature"] then return ngx.exit(401) end

if reference.remembers_nonces and not ngx.shared.nonces:add(fields["x-nonce"], 1, 300) then return ngx.exit(401) end

local token = (fields["authorization"] or ""):sub(8)
local header, payload, signature = token:match("^([^.]+)%.([^.]+)%.([^.]+)$")
if not header or reference.json.decode(reference.base64url(header)).alg ~= "RS256" then return ngx.exit(401) end
if not reference.verifies(header .. "." .. payload, reference.base64url(signature)) then return ngx.exit(401) end

local claims = reference.json.decode(reference.base64url(payload))
if claims.exp < now or claims.aud ~= "wallet" or claims.iss ~= "https://idp.lab" then return ngx.exit(401) end
