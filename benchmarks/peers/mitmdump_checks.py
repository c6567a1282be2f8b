"""Stock mitmdump's checks: what somebody writes who puts a script beside mitmproxy and calls it a gateway."""  # noqa: INP001 - loaded by path

import hashlib
import hmac
import ipaddress
import json
import os
import time
from pathlib import Path

import jwt
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from mitmproxy import http

LAB = Path(os.environ["LAB"])
SECRET = os.environ["SECRET"].encode()
REMEMBERS_NONCES = os.environ["REPLAY"] != "no"
TOKEN_KEY = (LAB / "jwt.pub").read_text()
NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
RATE = RateLimitItemPerSecond(1_000_000)


class Checks:
    """All checks in one script, and a chained line for each request."""

    def __init__(self) -> None:
        self._nonces: set[str] = set()
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._log = (LAB / "mitmdump.log").open("w")
        self._last = b""

    def request(self, flow: http.HTTPFlow) -> None:
        """Let the request pass, or answer it."""
        refusal = self._refusal(flow)
        if refusal is not None:
            flow.response = http.Response.make(refusal)

    def _refusal(self, flow: http.HTTPFlow) -> int | None:
        request, fields = flow.request, flow.request.headers
        address = ipaddress.ip_address(flow.client_conn.peername[0])
        if not any(address in network for network in NETWORKS):
            return 403
        timestamp, nonce = fields.get("x-timestamp", "0"), fields.get("x-nonce", "")
        if abs(time.time() - int(timestamp)) > 300:  # noqa: TID251 - a script beside mitmproxy reads its own clock
            return 401
        signed = f"{request.method}\n{request.path}\n{timestamp}\n{nonce}\n".encode() + (request.raw_content or b"")
        signature = hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, fields.get("x-signature", "")):
            return 401
        if REMEMBERS_NONCES and nonce in self._nonces:
            return 409
        self._nonces.add(nonce)
        token = fields.get("authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, TOKEN_KEY, algorithms=["RS256"], audience="wallet", issuer="https://idp.lab")
        except jwt.PyJWTError:
            return 401
        return None if self._limiter.hit(RATE, claims["sub"]) else 429

    def response(self, flow: http.HTTPFlow) -> None:
        """Write the line."""
        assert flow.response is not None
        record = {
            "t": time.time(),  # noqa: TID251 - as above
            "ip": flow.client_conn.peername[0],
            "m": flow.request.method,
            "u": flow.request.path,
            "s": flow.response.status_code,
            "prev": self._last.hex(),
        }
        line = json.dumps(record)
        self._last = hashlib.sha256(line.encode()).digest()
        self._log.write(line + "\n")


addons = [Checks()]
