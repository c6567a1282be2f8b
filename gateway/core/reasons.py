"""Every reason for which the gate refuses or ends something, and the exception that carries one.

A code is stable: callers, dashboards and policies may rely on it. docs/reasons.md is generated from this file.
"""

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.core.holds import StoredAnswer


class Reason(Enum):
    """A stable code, the HTTP status, the caller's title, and a sentence for each of the three users.

    The status is None where no HTTP answer can be given: the connection is closed instead.
    """

    # fmt: off
    # code, status, title for the caller, for the deployer, for the policy's author, for the auditor

    ALLOWED = (
        "allowed", 200, "Allowed",
        "The request was forwarded; the status the caller saw is the upstream's.",
        "Every control named on the route passed, or is switched off there in words.",
        "A decision with this reason is followed by exactly one outcome with the same request id.",
    )

    # Connection and handshake
    CONNECTION_LIMIT = (
        "connection.limit", None, "Too many connections",
        "Raise listener.limits.connections, or look for clients that leave connections open.",
        "listener.limits.connections bounds the memory that callers can hold.",
        "The connection was closed before TLS; no request was read.",
    )
    PROXY_HEADER_INVALID = (
        "connection.proxy_header", None, "PROXY protocol header missing or invalid",
        "Let the load balancer send PROXY protocol v1 or v2, or remove proxy_protocol from the listener.",
        "With proxy_protocol: required, every connection starts with a PROXY header from a trusted proxy.",
        "The client's address could not be established, so the connection was closed.",
    )
    PROXY_UNTRUSTED = (
        "connection.proxy_untrusted", None, "Not a trusted proxy",
        "A host other than the load balancer reached a listener that stands behind one: close that way in.",
        "List the load balancer's addresses under listener.trusted_proxies.",
        "A peer outside trusted_proxies connected to a listener that takes addresses from proxies.",
    )
    TLS_PLAINTEXT = (
        "tls.plaintext", None, "Plaintext on a TLS port",
        "Something speaks plain HTTP, or a port scan; point it at https.",
        "A listener speaks TLS only; there is nothing to switch off.",
        "Bytes that are not a TLS handshake arrived; they were not read as a request.",
    )
    TLS_NO_CERTIFICATE = (
        "tls.no_certificate", None, "Client certificate required",
        "The client offered no certificate; check its key store.",
        "listener.tls.client_certificate is required; optional lets routes decide.",
        "An unauthenticated peer was refused in the handshake.",
    )
    TLS_CERTIFICATE_UNTRUSTED = (
        "tls.certificate_untrusted", None, "Client certificate not trusted",
        "The chain does not lead to listener.tls.client_ca; a missing intermediate looks the same.",
        "Add the partner's CA to client_ca, or have the certificate issued by a listed one.",
        "A certificate from a CA outside the trust store was refused in the handshake.",
    )
    TLS_CERTIFICATE_EXPIRED = (
        "tls.certificate_expired", None, "Client certificate expired or not yet valid",
        "Renew the certificate, and check both clocks.",
        "Validity is always checked; no policy lifts it.",
        "A certificate outside its validity was refused in the handshake.",
    )
    TLS_CERTIFICATE_PURPOSE = (
        "tls.certificate_purpose", None, "Client certificate not meant for clients",
        "Issue a certificate with the extended key usage clientAuth.",
        "The purpose is always checked; no policy lifts it.",
        "A certificate issued for another purpose was refused in the handshake.",
    )
    TLS_CERTIFICATE_CHAIN = (
        "tls.certificate_chain", None, "Client certificate issued against its CA's rules",
        "A CA in the chain was not allowed to issue this: path length, name constraints, no CA at all. See the detail.",
        "The chain is checked by OpenSSL with its strict rules; no policy lifts it.",
        "A certificate that its issuer had no right to issue was refused; look for a misused or stolen CA.",
    )
    TLS_CERTIFICATE_WEAK = (
        "tls.certificate_weak", None, "Client certificate too weak",
        "RSA below 2,048 bits, a curve below 256, DSA, or a signature by SHA-1 or MD5, somewhere in the chain.",
        "Key sizes and algorithms are always checked; no policy lifts it.",
        "A certificate that could be forged, or whose key could be found, was refused.",
    )
    TLS_CERTIFICATE_COSTLY = (
        "tls.certificate_costly", None, "Client certificates too costly to look at",
        "Send the client's certificate and its CAs only: see the detail, and docs/identity.md for what is taken.",
        "Bounds on what a client may send are always checked; no policy lifts them.",
        "Certificates whose checking would cost too much were refused before anything of them was trusted.",
    )
    TLS_CERTIFICATE_REVOKED = (
        "tls.certificate_revoked", None, "Client certificate revoked",
        "The issuer took the certificate, or its CA's, back; the partner needs a new one.",
        "listener.tls.revocation says where revocation is looked up.",
        "A revoked certificate was refused: find out why it was revoked and who still uses it.",
    )
    TLS_CERTIFICATE_STATUS = (
        "tls.certificate_status", None, "Client certificate's status unknown",
        "No revocation list of the issuer, or it is out of date: fetch the next one. The detail names the issuer.",
        "revocation.on_stale lets an outdated list count for a while; without any list nobody is let in.",
        "Whether the certificate was revoked could not be told, so it was refused.",
    )
    TLS_CERTIFICATE_INVALID = (
        "tls.certificate_invalid", None, "Client certificate invalid",
        "OpenSSL's own words stand in the record's detail.",
        "The chain is checked by OpenSSL with its strict rules.",
        "A certificate that breaks RFC 5280 was refused in the handshake.",
    )
    TLS_VERSION = (
        "tls.version", None, "TLS version not supported",
        "The client speaks no version from listener.tls.minimum on.",
        "listener.tls.minimum is 1.2 or 1.3.",
        "A peer that offered outdated TLS only was refused.",
    )
    TLS_RESUMPTION = (
        "tls.resumption", None, "TLS session could not be resumed",
        "The client resumed a session whose certificate chain is no longer known; it will make a full handshake next.",
        "A session is resumed only while its verified chain is known and valid.",
        "A resumed session was closed, because its certificate could not be validated again.",
    )
    TLS_HANDSHAKE = (
        "tls.handshake", None, "TLS handshake failed",
        "OpenSSL's own words stand in the record's detail; port scans and health checks look like this.",
        "Cipher suites and versions are set by listener.tls.",
        "The peer and the gate found no common TLS parameters, or the peer went away.",
    )
    TLS_TIMEOUT = (
        "tls.timeout", None, "TLS handshake took too long",
        "The peer connected and did not finish its handshake in time.",
        "listener.limits.handshake_timeout sets the time.",
        "A peer that held a connection open without a handshake was closed.",
    )

    # Reading the message
    MESSAGE_MALFORMED = (
        "http.malformed", 400, "Malformed HTTP message",
        "The bytes are not HTTP by RFC 9112 or 9113; look at what stands in front of the gate.",
        "Reading is strict on every listener; there is no lenient mode.",
        "The message could not be read as one request, so it was refused.",
    )
    VERSION_UNSUPPORTED = (
        "http.version", 505, "HTTP version not supported",
        "Use HTTP/1.1 or HTTP/2.",
        "HTTP/1.0 and unknown versions are never served.",
        "A request in another HTTP version was refused.",
    )
    METHOD_UNKNOWN = (
        "http.method", 501, "Method not implemented",
        "Only GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS are read.",
        "Routes name their methods; CONNECT and TRACE are never forwarded.",
        "A request with an unknown method was refused.",
    )
    TARGET_INVALID = (
        "http.target", 400, "Invalid request target",
        "The target breaks RFC 3986 or is longer than 8,000 bytes.",
        "Targets are read strictly; encode reserved characters.",
        "The request target was not valid.",
    )
    TARGET_AMBIGUOUS = (
        "http.target_ambiguous", 400, "Ambiguous request target",
        "The path has dot or empty segments, `;`, or needless percent-encoding: send it in its plain form.",
        "A path that upstream could read as another one matches no route.",
        "A path with two readings was refused; this is how access rules are walked around.",
    )
    HOST_INVALID = (
        "http.host", 400, "Invalid host",
        "Send exactly one Host that agrees with the target.",
        "A route may match by host; so the host must be beyond doubt.",
        "No host, several, or one that disagrees with the target.",
    )
    FIELD_INVALID = (
        "http.field", 400, "Invalid header field",
        "A field name or value breaks RFC 9110: control characters, folding, underscores in the name.",
        "Fields are read strictly; there is no lenient mode.",
        "A header field that programs read differently was refused.",
    )
    FIELD_REPEATED = (
        "http.field_repeated", 400, "Repeated header field",
        "A field that a control reads must stand once.",
        "Fields named in a policy may stand only once in a request.",
        "Two values for a security field: which one would have counted is open, so it was refused.",
    )
    FRAMING_AMBIGUOUS = (
        "http.framing", 400, "Ambiguous message framing",
        "Content-Length and Transfer-Encoding conflict or are malformed; the connection was closed.",
        "Nothing in a policy lifts this.",
        "The signature of a request-smuggling attempt.",
    )
    EXPECTATION_UNKNOWN = (
        "http.expectation", 417, "Expectation failed",
        "Only `Expect: 100-continue` is known.",
        "Nothing in a policy changes this.",
        "A request with an unknown expectation was refused.",
    )
    HEAD_TOO_LARGE = (
        "http.head_too_large", 431, "Request head too large",
        "Raise listener.limits.head or .fields, or send smaller headers.",
        "listener.limits.head bounds bytes, .fields the number of field lines.",
        "A head beyond the listener's limits was refused.",
    )
    HEAD_TIMEOUT = (
        "http.head_timeout", 408, "Request head took too long",
        "The client sent its head too slowly, or stopped half-way.",
        "listener.limits.head_timeout sets the time.",
        "A slow sender was refused; attackers hold connections this way.",
    )
    BODY_TOO_LARGE = (
        "http.body_too_large", 413, "Request body too large",
        "Raise the route's body.limit, or send less.",
        "body.limit on the route bounds what is read.",
        "A body beyond the route's limit was refused; one in chunks that was passed on as it came was broken off.",
    )
    BODY_TIMEOUT = (
        "http.body_timeout", 408, "Request body took too long",
        "The client sent its body too slowly, or stopped half-way.",
        "listener.limits.body_timeout sets the time.",
        "A slow sender was refused.",
    )
    CLIENT_CLOSED = (
        "http.client_closed", None, "Client closed the connection",
        "The client went away before its answer was complete; upstream may have done the work.",
        "Nothing in a policy changes this.",
        "An outcome with this reason: upstream may have acted, and the caller never learned of it.",
    )

    # Route, address, certificate, partner
    ROUTE_UNKNOWN = (
        "route.unknown", 404, "No such resource",
        "No route of the policy matches host and path.",
        "What no route names is denied; add a route to open it.",
        "A request for something the policy does not expose.",
    )
    METHOD_NOT_ALLOWED = (
        "route.method", 405, "Method not allowed",
        "The path has a route, but not for this method; Allow lists those it has.",
        "Add the method to a route's match to open it.",
        "A request with a method the policy does not expose on this path.",
    )
    ADDRESS_UNREADABLE = (
        "address.unreadable", 400, "Client address unreadable",
        "A trusted proxy sent an X-Forwarded-For that holds no address at the place that counts.",
        "trusted_proxies must append the address they saw, without ports or names.",
        "The client's address could not be established, so the request was refused.",
    )
    ADDRESS_NOT_ALLOWED = (
        "address.not_allowed", 403, "Client address not allowed",
        "The caller's address is in none of the allowed networks; NAT and new egress addresses look like this.",
        "Add the network to the partner's networks or the route's ip_allowlist.",
        "A caller outside the allowlist was refused.",
    )
    CERTIFICATE_MISSING = (
        "certificate.missing", 403, "Client certificate required",
        "The listener lets clients come without a certificate, this route does not.",
        "mutual_tls: required on the route.",
        "An unauthenticated request was refused.",
    )
    CERTIFICATE_EXPIRED = (
        "certificate.expired", 403, "Client certificate expired",
        "The certificate, or its issuer, expired while the connection stood; connect again with a renewed one.",
        "Validity is checked on every request; no policy lifts it.",
        "A long-lived connection outlived its certificate and was refused.",
    )
    CERTIFICATE_REVOKED = (
        "certificate.revoked", 403, "Client certificate revoked",
        "The certificate, or its CA's, was revoked while the connection stood; the partner needs a new one.",
        "Connections are looked at anew whenever a revocation list changes.",
        "A connection of a revoked certificate was cut; what it had been allowed before stands in the log.",
    )
    CERTIFICATE_STATUS_UNKNOWN = (
        "certificate.status_unknown", 503, "Temporarily unavailable",
        "The issuer's revocation list went out of date while the connection stood: fetch the next one.",
        "revocation.on_stale lets an outdated list count for a while.",
        "Whether the certificate was still good could not be told, so its connection was cut.",
    )
    CERTIFICATE_UNTRUSTED = (
        "certificate.untrusted", 403, "Client certificate no longer trusted",
        "A reload took the certificate's CA out of listener.tls.client_ca while the connection stood.",
        "What client_ca no longer holds is out at once, open connections included.",
        "A connection whose CA is no longer trusted was cut.",
    )
    CERTIFICATE_ISSUER = (
        "certificate.issuer", 403, "Client certificate from another CA",
        "The route takes certificates of certain CAs only; the detail names who issued this one.",
        "mutual_tls: {ca: FILE} on the route names its CAs; the listener's client_ca must trust them too.",
        "A certificate that the listener trusts was refused on a route that wants another CA's.",
    )
    CERTIFICATE_AMBIGUOUS = (
        "certificate.ambiguous", 403, "Client certificate fits two partners",
        "The record's detail names the partners it fits.",
        "Give partners names or pins that no other partner's certificate carries.",
        "One certificate stood for two partners, so it stood for none.",
    )
    PARTNER_UNKNOWN = (
        "partner.unknown", 403, "Unknown partner",
        "The certificate is trusted but fits no partner of the policy.",
        "Add its SAN, subject or pin to a partner.",
        "A certificate from a trusted CA that stands for nobody was refused.",
    )
    PARTNER_NOT_ALLOWED = (
        "partner.not_allowed", 403, "Partner not allowed here",
        "The partner is known, but the route does not list it.",
        "Add the partner to the route's partners.",
        "A known partner asked for something it has no right to.",
    )

    # Token
    TOKEN_MISSING = (
        "token.missing", 401, "Access token required",
        "Send one Authorization field with the Bearer scheme, or with DPoP where the route takes it.",
        "Tokens are read from the Authorization field only.",
        "A request without an access token was refused.",
    )
    TOKEN_MALFORMED = (
        "token.malformed", 401, "Malformed access token",
        "The token is not a compact JWS in canonical form, or not one token at all.",
        "Where an issuer has keys, only signed JWTs are read; no nesting, no `crit`, no needless padding.",
        "Something that is not a well-formed token was refused.",
    )
    TOKEN_ALGORITHM = (
        "token.algorithm", 401, "Access token algorithm not allowed",
        "The issuer signs with an algorithm the policy does not list.",
        "issuers.NAME.algorithms decides, never the token.",
        "`none`, a swapped algorithm, or an unlisted one: refused before its signature was looked at.",
    )
    TOKEN_KEY_UNKNOWN = (
        "token.key_unknown", 401, "Access token key unknown",
        "The token's kid is not in the issuer's key set; a rotation that has not arrived looks like this.",
        "Publish the new key in the JWKS before signing with it.",
        "A token signed by a key that is not the issuer's was refused.",
    )
    TOKEN_SIGNATURE = (
        "token.signature", 401, "Access token signature invalid",
        "The token was changed, or signed by somebody else under a known kid.",
        "Check that the JWKS file belongs to the issuer.",
        "A forged or damaged token was refused.",
    )
    TOKEN_ISSUER = (
        "token.issuer", 401, "Access token from another issuer",
        "The iss claim is not the issuer's that the route names.",
        "issuers.NAME.issuer must equal iss, character by character.",
        "A token of another issuer was refused.",
    )
    TOKEN_AUDIENCE = (
        "token.audience", 401, "Access token for another audience",
        "The token was issued for another API.",
        "token.audience on the route must be in aud.",
        "A token meant for another API was refused.",
    )
    TOKEN_EXPIRED = (
        "token.expired", 401, "Access token expired",
        "Fetch a new token, and check the clocks.",
        "issuers.NAME.skew is the only tolerance.",
        "A token past its expiry was refused.",
    )
    TOKEN_NOT_YET_VALID = (
        "token.not_yet_valid", 401, "Access token not yet valid",
        "nbf or iat lies in the future by more than the skew; check the issuer's clock.",
        "issuers.NAME.skew is the only tolerance.",
        "A token from the future was refused.",
    )
    TOKEN_LIFETIME = (
        "token.lifetime", 401, "Access token lives too long",
        "exp minus iat is more than the route allows; let the issuer issue shorter tokens.",
        "token.max_lifetime on the route bounds exp minus iat.",
        "A token valid for longer than the policy allows was refused.",
    )
    TOKEN_CLAIM = (
        "token.claim", 401, "Access token claim missing or invalid",
        "The record's detail names the claim.",
        "iss, aud, sub, exp and iat must be there, with the types RFC 7519 gives them.",
        "A token without the facts that authorisation needs was refused.",
    )
    TOKEN_SCOPE = (
        "token.scope", 403, "Access token lacks a scope",
        "Request the scope from the issuer.",
        "token.scopes on the route must all be in the token's scope claim.",
        "A caller with a valid token asked for more than it was granted.",
    )
    TOKEN_SUBJECT = (
        "token.subject", 403, "Access token belongs to another partner",
        "The token's subject is not one of the partner's.",
        "partners.NAME.subjects lists whose tokens the partner may use.",
        "A partner used another's token; look for a leaked one.",
    )
    TOKEN_TYPE = (
        "token.type", 401, "Access token of another type",
        "The token's typ is not at+jwt: an ID token, or an issuer that does not follow RFC 9068.",
        "issuers.NAME.profile: rfc9068 asks for it.",
        "A token that was not issued as an access token was refused.",
    )
    TOKEN_BINDING = (
        "token.binding", 401, "Access token bound to another sender",
        "The token names another client certificate than the connection's, or none where the route wants one.",
        "token.bound_to on the route asks for the binding; what a token states itself is checked on every route.",
        "A token came from somebody it was not issued to; look for a leaked one.",
    )
    TOKEN_PROOF = (
        "token.proof", 401, "Proof of possession missing or invalid",
        "The DPoP field is missing, malformed, signed by another key, too old, or for another request; see the detail.",
        "token.bound_to: dpop or either asks for it; token.dpop sets window and algorithms.",
        "A token came without proof that its sender has the key; look for a stolen one.",
    )
    TOKEN_PROOF_NONCE = (
        "token.proof_nonce", 401, "Proof of possession needs a fresh nonce",
        "Clients take the nonce from the field DPoP-Nonce and send another proof; the first request of each gets this.",
        "token.dpop.nonce on the route asks for it.",
        "A proof without a nonce of the gate's, or with an old one, was refused; it may have been made in advance.",
    )
    TOKEN_PROOF_REPLAYED = (
        "token.proof_replayed", 401, "Proof of possession already used",
        "The proof's jti came before: clients make a proof for each request, retries included.",
        "Proofs are remembered for token.dpop.max_age.",
        "A proof was sent twice; somebody may have copied it on the way.",
    )
    TOKEN_CLAIM_RULE = (
        "token.claim_rule", 403, "Access token claim not allowed here",
        "The record's detail names the claim and what the route wants of it.",
        "token.claims on the route says which claims must be there, with which values, and which must not.",
        "A caller with a valid token asked for something its claims do not give.",
    )
    TOKEN_RESOURCE = (
        "token.resource", 403, "Access token is for another resource",
        "A claim differs from the part of the path or the body that the route ties it to; the detail names both.",
        "token.claims on the route ties claims to the path or the body, by {path: …} and {body: …}.",
        "A caller used a token for one resource to reach another; look for a caller that tries identifiers.",
    )
    TOKEN_AUTHENTICATION = (
        "token.authentication", 401, "Stronger or more recent authentication required",
        "Send the user through the issuer again, with the acr_values and max_age of WWW-Authenticate (RFC 9470).",
        "token.authentication on the route asks for it, by acr and auth_time.",
        "A token was valid, and its user's authentication too weak or too old for this.",
    )
    TOKEN_INACTIVE = (
        "token.inactive", 401, "Access token not active",
        "The issuer says that the token is revoked, expired, or none of its own.",
        "issuers.NAME.introspection has the issuer asked; cache_negative says for how long a no counts.",
        "A token was used that its issuer does not vouch for.",
    )
    TOKEN_INTROSPECTION_UNAVAILABLE = (
        "token.introspection_unavailable", 503, "Access token could not be checked",
        "The issuer's introspection endpoint did not answer as it should; the detail says how.",
        "issuers.NAME.introspection: url, credentials, ca, timeout.",
        "Whether the token is good could not be told, so the request was refused; the log says since when.",
    )
    TOKEN_KEYS_UNAVAILABLE = (
        "token.keys_unavailable", 503, "Access token keys unavailable",
        "The issuer's keys could not be had for longer than keys.stale; a control-failure record says since when.",
        "Check the file, or the URL and its ca, that issuers.NAME.keys names.",
        "No token could be checked, so requests were refused.",
    )

    # Rate
    RATE_EXCEEDED = (
        "rate.exceeded", 429, "Rate limit exceeded",
        "Retry-After tells when the next request will be taken.",
        "The record's detail names the limit of the route that was reached.",
        "A caller beyond its rate was refused.",
    )
    RATE_COST = (
        "rate.cost", 400, "Invalid cost of the request",
        "The field that states the cost must be a whole number, and no more than the route takes.",
        "rate_limit.cost on the route names the field, and the most that a request may cost.",
        "What the request would have taken of its limit was not clear, so it was refused.",
    )

    # Signature and replay
    SIGNATURE_MISSING = (
        "signature.missing", 401, "Request signature required",
        "A field or parameter that carries key id, timestamp, nonce or signature is absent.",
        "The route's signature scheme names the fields.",
        "An unsigned request was refused.",
    )
    SIGNATURE_MALFORMED = (
        "signature.malformed", 401, "Malformed request signature",
        "A signature field does not have its form: not hex or base64, not a number, too long.",
        "The scheme's encoding and timestamp form must be the partner's.",
        "A signature that cannot be one was refused before any key was used.",
    )
    SIGNATURE_KEY_UNKNOWN = (
        "signature.key_unknown", 401, "Signing key unknown",
        "The key id is none of this partner's.",
        "Add the key to partners.NAME.signing_keys, or tell the partner its key id.",
        "A request named a key that is not its partner's.",
    )
    SIGNATURE_KEY_INACTIVE = (
        "signature.key_inactive", 401, "Signing key not in force",
        "The key's not_before lies ahead, or its not_after has passed.",
        "Overlap not_after of the old key with not_before of the new one for a rotation.",
        "A request was signed with a key before or after its time.",
    )
    SIGNATURE_STALE = (
        "signature.stale", 401, "Request signature too old",
        "The timestamp is older than the window; check the clocks and queues on the way.",
        "signature.max_age is the window into the past.",
        "An old signed request was refused; it may be a replay.",
    )
    SIGNATURE_FUTURE = (
        "signature.future", 401, "Request signature from the future",
        "The partner's clock is ahead.",
        "signature.max_ahead is the window into the future.",
        "A post-dated request was refused; it would stay valid for longer than the window.",
    )
    SIGNATURE_MISMATCH = (
        "signature.mismatch", 401, "Request signature does not match",
        "Body, path or a signed field differs from what was signed, or the secret does.",
        "Compare the scheme's parts with what the partner signs; most often the body was serialised again.",
        "A changed or forged request was refused.",
    )
    SIGNATURE_ALGORITHM = (
        "signature.algorithm", 401, "Request signature by another algorithm",
        "The signature states an algorithm that is not its key's; the record's detail names both.",
        "A key has one algorithm, in partners.NAME.signing_keys; `algorithms` of the scheme may narrow them.",
        "A signature named another algorithm than its key is for; it may be an attempt to have a weaker one used.",
    )
    SIGNATURE_COVERAGE = (
        "signature.coverage", 401, "Request signature covers too little",
        "The record's detail names what is not covered, or is covered and not in the request.",
        "The scheme's `covered` lists what must be; content-digest must be wherever there is a body.",
        "Parts of the request were not protected by its signature, so it was refused.",
    )
    SIGNATURE_CONTENT = (
        "signature.content", 401, "Signed content cannot be read",
        "Query or body lack a signed part, are not what Content-Type says, or have two readings: see the detail.",
        "Where single parts are signed, names that stand twice or values with the separator would give two readings.",
        "A request was refused since what its signature stands for was not beyond doubt.",
    )
    SIGNATURE_WEAK = (
        "signature.weak", 401, "Signature scheme no longer accepted",
        "The vendor's scheme rests on a weak algorithm, and the time for which it was allowed is over.",
        "The scheme's allow_weak.until has passed: move the vendor to a sound algorithm, or have its owner extend it.",
        "A request signed by a weak algorithm was refused, as the exception for it had ended.",
    )
    SIGNATURE_DIGEST = (
        "signature.digest_mismatch", 401, "Digest of the body does not match",
        "Content-Digest or Repr-Digest is not that of the bytes received; most often the body was serialised again.",
        "Digests are checked over the raw body, by sha-256 and sha-512, before the signature counts.",
        "The body was changed after its digest was made.",
    )
    REPLAY_SEEN = (
        "replay.seen", 409, "Request already received",
        "The same nonce came before; retries must be signed anew.",
        "replay remembers nonces for the signature's whole window.",
        "A replayed request was refused; the first one with this nonce stands earlier in the log.",
    )
    REPLAY_UNKNOWABLE = (
        "replay.unknowable", 401, "Request must be signed anew",
        "The request is dated before the gate's memory of nonces begins, as after a crash; sign it anew.",
        "Nonces are kept across an orderly restart; after a crash, older signatures are refused.",
        "Whether the request had been received before could not be told, so it was refused.",
    )
    REPLAY_MEMORY_FULL = (
        "replay.memory_full", 503, "Replay memory full",
        "Raise state.replay_entries, or shorten the window.",
        "state.replay_entries bounds the nonces kept for each partner; a rate limit below it keeps it from filling.",
        "The nonce could not be remembered, so the request was refused.",
    )

    CONCURRENCY_REACHED = (
        "concurrency.reached", 429, "Too many requests in flight",
        "As many requests of the partner are at work on the route as may be; one more is taken when one has ended.",
        "concurrency.per_partner on the route; lease bounds how long a place is held where a process was killed.",
        "A partner had more requests at work at the same time than it may, and this one was refused.",
    )

    # Body rules: what is read out of the body, idempotency, velocity
    BODY_NOT_JSON = (
        "body.not_json", 400, "Body is not valid JSON",
        "The body is not JSON in UTF-8 as RFC 8259 has it, or its fields say that it is a form or compressed.",
        "A control of the route reads the body: idempotency or velocity, by a JSON pointer.",
        "What the request asks for could not be read beyond doubt, so it was refused.",
    )
    BODY_MEMBER_REPEATED = (
        "body.member_repeated", 400, "Repeated member in the body",
        "An object of the body has a member twice, or two that differ in case alone.",
        "A control of the route reads the body; of two members with one name, programs take either.",
        "The gate could have read another amount than upstream, so the request was refused.",
    )
    BODY_VALUE_MISSING = (
        "body.value_missing", 400, "Body lacks a value",
        "The record's detail names the JSON pointer at which the body has nothing.",
        "The pointers of the route's idempotency and velocity must be in every request.",
        "A request without what the policy counts or looks up by was refused.",
    )
    BODY_VALUE_TYPE = (
        "body.value_type", 400, "Body has a value of another type",
        "The record's detail names the JSON pointer and the type it found.",
        "Amounts are numbers, or strings where velocity.amount says so; keys are strings or whole numbers.",
        "A value that programs read differently was refused.",
    )
    IDEMPOTENCY_KEY_MISSING = (
        "idempotency.key_missing", 400, "Idempotency key required",
        "Send the field that the route's idempotency names, one key for each operation.",
        "idempotency.key on the route names the field.",
        "A request that could not be told from its repetition was refused.",
    )
    IDEMPOTENCY_KEY_INVALID = (
        "idempotency.key_invalid", 400, "Invalid idempotency key",
        "A key is 1 to 256 visible ASCII characters, in quotes or without.",
        "Keys with several forms in Unicode could be one key here and two at upstream, or the reverse.",
        "A request with an ambiguous key was refused.",
    )
    IDEMPOTENCY_KEY_REUSED = (
        "idempotency.key_reused", 422, "Idempotency key used for another request",
        "The key came before with another body: use a new key for a new operation.",
        "idempotency.same on the route says what must be equal.",
        "A caller changed a request under a key that was in use: a fault of its own, or somebody tampers.",
    )
    IDEMPOTENCY_IN_FLIGHT = (
        "idempotency.in_flight", 409, "Request is still being processed",
        "The first request with this key has no outcome yet; ask again later.",
        "A key is in flight until its request has ended; in a shared store, a minute beyond the upstream's times.",
        "A repetition that came before its first request was done; it was not forwarded.",
    )
    IDEMPOTENCY_UNKNOWN = (
        "idempotency.unknown", 409, "Outcome of the first request is unknown",
        "The first request with this key reached upstream and nobody knows what became of it: reconcile it there.",
        "idempotency.unknown on the route may have such requests forwarded again, where upstream tells them apart.",
        "Not forwarded a second time, since upstream may have acted on the first; see the outcome with the same key.",
    )
    IDEMPOTENCY_NOT_KEPT = (
        "idempotency.not_kept", 409, "Request is done, its answer was not kept",
        "The first request with this key was answered; the answer was too long to keep, broke off, or made room.",
        "idempotency.answer.limit on the route and state.idempotency.answers bound what is kept.",
        "Not forwarded a second time; upstream had answered the first.",
    )
    IDEMPOTENCY_ANSWERED = (
        "idempotency.answered", 200, "Answered as before",
        "The same request came before; the caller was given the same answer, with `idempotent-replayed: true`.",
        "idempotency on the route keeps answers for its `remember`.",
        "A repetition that was not forwarded; the first one stands earlier in the log, with the same key.",
    )
    IDEMPOTENCY_FULL = (
        "idempotency.full", 429, "Too many idempotency keys",
        "The partner has used up its share of keys; they are forgotten after the route's `remember`.",
        "state.idempotency.keys bounds the keys of each partner; a rate limit below it keeps it from filling.",
        "The key could not be remembered, so the request was refused; other partners are not concerned.",
    )
    VELOCITY_AMOUNT = (
        "velocity.amount", 400, "Invalid amount",
        "The amount has an exponent, a fraction, too many decimals, or is too large; the detail says which.",
        "velocity.amount on the route says how amounts are written.",
        "An amount that could be read in two ways was refused.",
    )
    VELOCITY_AMOUNT_NEGATIVE = (
        "velocity.amount_negative", 400, "Negative amount",
        "Amounts are zero or more.",
        "A negative amount would make room for others; nothing in a policy lifts this.",
        "A request that would have lowered what its subject has spent was refused.",
    )
    VELOCITY_CURRENCY = (
        "velocity.currency", 403, "Currency not allowed here",
        "The currency is none for which the route states a limit.",
        "Name a sum for each currency in velocity.limits; what has none would go past the limit.",
        "A request in a currency without a limit was refused.",
    )
    VELOCITY_SUBJECT = (
        "velocity.subject", 400, "Invalid subject of a limit",
        "What a limit counts by is not 1 to 256 visible ASCII characters, or a whole number.",
        "Values with several forms in Unicode would be counted apart here and be one player upstream.",
        "A request that could have gone around its limit was refused.",
    )
    VELOCITY_EXCEEDED = (
        "velocity.exceeded", 403, "Limit of amounts reached",
        "The record's detail names the limit; the amount counts again once the window has passed.",
        "velocity.limits on the route: sum or count within the window.",
        "A request beyond what its player, card or partner may move was refused.",
    )
    VELOCITY_FULL = (
        "velocity.full", 429, "Too many subjects counted",
        "The partner has used up its share of counters; they are let go of once their windows have passed.",
        "state.velocity.counters bounds the counters of each partner.",
        "The amount could not be counted, so the request was refused; other partners are not concerned.",
    )

    # Taken out of use (gateway revoke)
    REVOKED_TOKEN = (
        "revoked.token", 401, "Access token revoked",
        "The detail has the number under which gateway revoke list shows it, with who revoked it and why.",
        "gateway revoke token, by id, by subject or by the token itself; nothing in a policy lifts it.",
        "A token that was revoked was used.",
    )
    REVOKED_KEY = (
        "revoked.key", 401, "Key revoked",
        "The signing key, or the issuer's key of the token, was revoked; the detail has its number.",
        "gateway revoke key; nothing in a policy lifts it.",
        "A key that was revoked was used; look for one that leaked.",
    )
    REVOKED_PARTNER = (
        "revoked.partner", 403, "Partner suspended",
        "The partner was suspended; the detail has the number under which gateway revoke list shows it.",
        "gateway revoke partner; to remove a partner for good, take it out of the policy.",
        "A suspended partner called.",
    )
    REVOKED_CERTIFICATE = (
        "revoked.certificate", 403, "Client certificate revoked",
        "The certificate was revoked at this gate; the detail has its number.",
        "gateway revoke certificate; the CA's own lists are in listener.tls.revocation.",
        "A certificate that was revoked was used; look for a key that leaked.",
    )
    LOCKED_OUT = (
        "lockout.locked", 403, "Access refused for some time",
        "Too many authentications failed one after the other; gateway lockout list shows who, why and until when.",
        "lockout in the policy sets after how many, and for how long.",
        "A caller that had failed too often came again; its credentials were not looked at (PCI DSS 8.3.4).",
    )
    REVOCATIONS_UNREADABLE = (
        "gate.revocations_unreadable", 503, "Temporarily unavailable",
        "The file of revocations is damaged, gone or cannot be read; a control-failure record says since when.",
        "Nothing passes while it is not known what was revoked.",
        "The gate failed closed, so that nothing that was revoked could pass.",
    )

    # The gate itself
    CONTROL_FAILED = (
        "gate.control_failed", 503, "Temporarily unavailable",
        "A control raised an error; the detail names it and the place. Please report it.",
        "A control that cannot decide denies.",
        "The gate failed closed.",
    )
    STATE_UNAVAILABLE = (
        "gate.state_unavailable", 503, "Temporarily unavailable",
        "The store for rates and nonces did not answer.",
        "A control whose store fails denies.",
        "The gate failed closed; a control-failure record tells since when.",
    )
    AUDIT_UNAVAILABLE = (
        "gate.audit_unavailable", 503, "Temporarily unavailable",
        "The audit log cannot be written: disk full, read-only or gone. Nothing is forwarded until it can.",
        "Nothing is forwarded unrecorded; no policy lifts this.",
        "Requests were refused because they could not be recorded; how many is in the record of the failure's end.",
    )
    DRAINING = (
        "gate.draining", 503, "Shutting down",
        "The gate is stopping; the caller should connect again.",
        "Nothing in a policy changes this.",
        "A request arrived on an open connection after the gate began to stop.",
    )

    # WebSockets
    WEBSOCKET_HANDSHAKE = (
        "websocket.handshake", 426, "WebSocket expected",
        "This path opens WebSockets over HTTP/1.1: send an opening handshake of version 13 (RFC 6455 4.1).",
        "The route has `websocket`, so all of its requests must be handshakes; another route may serve the others.",
        "A request of a WebSocket route was no opening handshake, or came over HTTP/2 or mitmproxy's layers.",
    )
    WEBSOCKET_ORIGIN = (
        "websocket.origin", 403, "Origin not allowed",
        "A page of this origin may not open a WebSocket here.",
        "websocket.origins lists the values of Origin that may; without that list Origin is not looked at.",
        "A handshake named no Origin, or one that the route does not list: a page of somebody else's may be behind it.",
    )
    WEBSOCKET_ENDED = (
        "websocket.ended", 503, "WebSocket ended",
        "The gate ended the WebSocket: it was idle or open for too long, or its access token has ended. Connect again.",
        "websocket.idle and websocket.lifetime state how long one may stay open.",
        "The detail says which time was over. What was sent until then was passed on.",
    )

    # Addons of users (gateway run --addon)
    ADDON_DENIED = (
        "addon.denied", 403, "Request refused",
        "An addon answered or killed the flow; the detail names it, and its comment where it left one.",
        "The policy allowed the request; an addon that gateway run --addon loaded did not.",
        "Third-party code refused a request that every control had passed; its digest stands in the start record.",
    )
    ADDON_CHANGED = (
        "addon.changed", 503, "Temporarily unavailable",
        "An addon changed more of the request than it may; the detail names the part. Mend the addon.",
        "Addons may add header fields; what the policy's controls verified stays as it was.",
        "What would have been forwarded was not what was verified, so the gate failed closed.",
    )
    ADDON_WITHHELD = (
        "addon.withheld", 502, "Answer withheld",
        "An addon failed on the upstream's answer, refused it, or changed more of it than it may; see the detail.",
        "Addons may edit header fields of answers, or withhold an answer as a whole.",
        "The request reached the upstream, which did the work, and the caller never learned of it: reconcile it.",
    )

    # Upstream
    UPSTREAM_UNREACHABLE = (
        "upstream.unreachable", 502, "Upstream unreachable",
        "No connection to the upstream could be made.",
        "Check upstreams.NAME.url.",
        "The request was allowed, and never reached the upstream.",
    )
    UPSTREAM_TIMEOUT = (
        "upstream.timeout", 504, "Upstream too slow",
        "The upstream did not answer in time; it may still have done the work.",
        "upstreams.NAME.timeout.response sets the time.",
        "The request reached the upstream and its result is not known: reconcile it.",
    )
    UPSTREAM_BROKEN = (
        "upstream.broken", 502, "Upstream answer invalid",
        "The upstream closed early or sent what is not HTTP; it may have done the work.",
        "Nothing in a policy changes this.",
        "The request reached the upstream and its result is not known: reconcile it.",
    )
    REQUEST_UNSIGNABLE = (
        "request.unsignable", 502, "Request could not be signed for the upstream",
        "See the record's detail: the gate's key is not in force, or the request lacks what the signature covers.",
        "upstreams.NAME.sign names the scheme and the gate's key; what must be covered stands in the scheme.",
        "The request was allowed, and never reached the upstream.",
    )
    RESPONSE_TOO_LARGE = (
        "response.too_large", 502, "Upstream answer too large to be signed",
        "The upstream's answer was longer than the gate holds to sign it; the upstream has done the work.",
        "sign_responses.limit bounds the answers of the route; a route without sign_responses has no such bound.",
        "The request reached the upstream, and its answer was withheld: reconcile it.",
    )
    RESPONSE_UNSIGNABLE = (
        "response.unsignable", 502, "Upstream answer could not be signed",
        "See the record's detail: the gate's key is not in force, or the answer lacks what the signature covers.",
        "sign_responses names the scheme and the gate's key; what must be covered stands in the scheme.",
        "The request reached the upstream, and its answer was withheld since no signature could be made: reconcile it.",
    )

    # fmt: on

    __hash__ = object.__hash__  # members are the same object or differ; Enum's own looks at the name each time

    def __init__(self, code: str, status: int | None, title: str, deployer: str, author: str, auditor: str) -> None:
        self.code = code
        self.status = status
        self.title = title
        self.deployer = deployer
        self.author = author
        self.auditor = auditor


class Denied(Exception):  # noqa: N818 - a verdict, not an error of ours
    """A peer's fault, or a failure that must deny: why, the detail for the log, and fields for the answer.

    The detail never holds a secret, a token, a signature or a body; `fields` go to the caller. Where upstream answered
    the same request before, `answer` is what the caller is given again.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        fields: tuple[tuple[str, str], ...] = (),
        answer: "StoredAnswer | None" = None,
    ) -> None:
        _check_denial(reason)
        super().__init__(f"{reason.code}: {detail}")
        self.reason = reason
        self.detail = detail
        self.fields = fields
        self.answer = answer


class Unavailable(Exception):  # noqa: N818 - as above
    """Something the decision asked for could not be had: the ask fails and the request is denied.

    `reason` is the denial it leads to unless the policy states another. `told` says that whoever raises it has the
    failure recorded for itself.
    """

    def __init__(self, reason: Reason, detail: str = "", *, told: bool = False) -> None:
        _check_denial(reason)
        super().__init__(f"{reason.code}: {detail}")
        self.reason = reason
        self.detail = detail
        self.told = told


def _check_denial(reason: Reason) -> None:
    if reason is Reason.ALLOWED:
        raise RuntimeError("a denial needs a reason other than ALLOWED")
