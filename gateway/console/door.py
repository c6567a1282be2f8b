"""Who may come in: whoever has the link that was printed, or a client certificate.

1. the Host must be one of ours: a name that an attacker points at this machine (DNS rebinding) is none
2. a browser that says so must not come from another site's page
3. with client certificates, the handshake has decided already
4. else the cookie decides; the link's token gives it, once
"""

import hmac
import secrets
from collections.abc import Mapping
from enum import Enum
from http.cookies import CookieError, SimpleCookie

_BYTES = 32
"""Random bytes of a token: nobody guesses 256 bits."""


class Verdict(Enum):
    """What a request gets: the page, a cookie, or a refusal with this status."""

    WELCOME = 200
    ENTERS = 303
    STRANGER = 401
    ELSEWHERE = 403
    NOT_OURS = 421


class Door:
    """Keeps one token and one session, in memory only."""

    def __init__(self, port: int, *, certificates: bool) -> None:
        """Guard the console on this port; with `certificates`, TLS lets in only who has one."""
        self._port = port
        self._certificates = certificates
        self._token: str | None = None if certificates else secrets.token_urlsafe(_BYTES)
        self._session = secrets.token_urlsafe(_BYTES)

    @property
    def url(self) -> str:
        """The link to print; without a token where certificates let in, or where it was used."""
        scheme = "https" if self._certificates else "http"
        return f"{scheme}://127.0.0.1:{self._port}/" + (f"enter?token={self._token}" if self._token else "")

    @property
    def cookie(self) -> str:
        """The cookie's header. Not Secure: it is for the loopback, where there is no TLS."""
        return f"{self._name}={self._session}; Path=/; HttpOnly; SameSite=Strict"

    @property
    def _name(self) -> str:
        return f"gateway-console-{self._port}"  # cookies are not kept apart by ports

    def verdict(self, headers: Mapping[str, str], path: str, token: str | None = None) -> Verdict:
        """Decide about a request. A token that was taken is good no more."""
        if headers.get("Host", "") not in {f"{name}:{self._port}" for name in ("127.0.0.1", "localhost", "[::1]")}:
            return Verdict.NOT_OURS
        entering = path == "/enter"
        if not entering and headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            return Verdict.ELSEWHERE
        if self._certificates:
            return Verdict.WELCOME
        if entering:
            return self._takes(token or "")
        return Verdict.WELCOME if _same(self._sent(headers), self._session) else Verdict.STRANGER

    def _takes(self, token: str) -> Verdict:
        if self._token is None or not _same(token, self._token):
            return Verdict.STRANGER
        self._token = None
        return Verdict.ENTERS

    def _sent(self, headers: Mapping[str, str]) -> str:
        try:
            morsel = SimpleCookie(headers.get("Cookie", "")).get(self._name)
        except CookieError:
            return ""
        return "" if morsel is None else morsel.value


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode())
