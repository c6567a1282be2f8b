"""Keys that an issuer publishes: fetched in the background, so that no request waits that has its key already.

1. they are fetched at the start, and again when the answer's Cache-Control, or the policy, says so
2. a token of an unknown key has them fetched out of turn, once in a while; only that token's request waits
3. where they cannot be fetched, those that are there go on counting for the stated time, then there are none
4. an answer that is no key set changes nothing, and counts as a failure
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import NoReturn
from urllib.parse import urlsplit

from gateway.core.chain import FetchKeys
from gateway.core.issuer import Issuer, KeySource
from gateway.core.reasons import Reason, Unavailable
from gateway.engine.fetch import Fetched, FetchError, Fetches
from gateway.policy.values import is_loopback
from gateway.signing.jose import read_object
from gateway.signing.jwks import KeySet

OUT_OF_TURN = 10.0
"""Seconds between fetches that unknown keys bring about: who makes up key ids makes no attack of the gate."""

SHORTEST, LONGEST = 30.0, 86_400.0
"""Bounds in seconds of what Cache-Control may say."""

FIRST_RETRY, LAST_RETRY = 1.0, 60.0
"""Seconds until a fetch that failed is tried again: doubled each time, from the first to the last."""

_MAX_AGE = re.compile(r"(?:\A|[,\s])max-age=\"?([0-9]{1,9})", re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:\A|[,\s])no-(?:store|cache)(?:\Z|[,\s=])", re.IGNORECASE)

_CONFIGURATION = "/.well-known/openid-configuration"
_METADATA = "/.well-known/oauth-authorization-server"


@dataclass(slots=True)
class Known:
    """What is known of an issuer's keys. Times are those of the monotonic clock."""

    url: str | None
    """Of the keys, where it is named or was discovered."""
    due: float
    """When they are fetched next."""
    keys: KeySet | None = None
    text: bytes = field(default=b"", repr=False)
    tag: str | None = None
    ends: float = 0.0
    """When the keys no longer count."""
    out_of_turn: float = float("-inf")
    """When an unknown key last had them fetched."""
    retry: float = FIRST_RETRY
    detail: str = "not fetched yet"


class RemoteKeys:
    """The keys of one issuer."""

    def __init__(
        self, issuer: Issuer, source: KeySource, fetcher: Fetches, now: Callable[[], float],
        told: Callable[[str, str | None], None],
    ) -> None:  # fmt: skip
        """Begin without keys.

        `now` is the monotonic clock; `told` is called with a name and the failure of each fetch, or None where it
        succeeded.
        """
        self.issuer = issuer
        self.source = source
        self._fetcher = fetcher
        self._now = now
        self._told = told
        self.known = Known(source.url, now())
        """What an earlier policy may have left: see `follow`."""
        self._fetching: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"RemoteKeys({self.issuer.name})"

    def answer(self, ask: FetchKeys) -> KeySet | Awaitable[KeySet]:
        """Answer at once where there are keys, and the ask knows of none that is missing. Raises Unavailable."""
        now, keys = self._now(), self.known.keys
        if keys is not None and now >= self.known.ends:
            keys = self.known.keys = None
        if keys is None:
            if self._fetching is None and now < self.known.due:
                self._missing()
            return self._wait(self.fetch())
        if ask.unknown is None or ask.unknown in keys.keys:
            return keys
        if self._fetching is None and now < self.known.out_of_turn + OUT_OF_TURN:
            return keys
        if self._fetching is None:
            self.known.out_of_turn = now
        return self._wait(self.fetch())

    def tick(self) -> None:
        """Begin to fetch where it is time to."""
        if self._fetching is None and self._now() >= self.known.due:
            if self.source.url is None:
                self.known.url = None  # the metadata may name another
            self.fetch()

    def fetch(self) -> "asyncio.Task[None]":
        """Give the fetch under way, or begin one."""
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())
        return self._fetching

    def follow(self, old: "RemoteKeys") -> None:
        """Take over the keys of the same issuer and source under an earlier policy."""
        theirs, ours = ((each.issuer.issuer, each.source.url, each.source.ca) for each in (old, self))
        if theirs == ours:
            self.known = replace(old.known)

    async def close(self, *, cut: bool = True) -> None:
        """End a fetch under way, or wait for its end, and close the connections."""
        fetching = self._fetching
        if fetching is not None:
            if cut:
                fetching.cancel()
            await asyncio.wait((fetching,))
        await self._fetcher.close()

    async def _wait(self, fetching: "asyncio.Task[None]") -> KeySet:
        # Not awaited itself: a request that is given up must not end the fetch that others wait for.
        await asyncio.wait((fetching,))
        if self.known.keys is None or self._now() >= self.known.ends:
            self._missing()
        return self.known.keys

    def _missing(self) -> NoReturn:
        detail = f"keys of issuer {self.issuer.name}: {self.known.detail}"
        raise Unavailable(Reason.TOKEN_KEYS_UNAVAILABLE, detail)

    async def _fetch(self) -> None:
        name = f"token.fetch:{self.issuer.name}"
        try:
            async with asyncio.timeout(self.source.timeout):
                kept = await self._renew()
        except (FetchError, TimeoutError) as error:
            self._failed(str(error) or f"no answer within {self.source.timeout:g} s")
            self._told(name, self.known.detail)
        except Exception as error:  # noqa: BLE001 - whatever the answer makes of our code, the old keys stay
            self._failed(f"{type(error).__name__} while they were fetched")
            self._told(name, self.known.detail)
        else:
            self.known.due = self._now() + kept
            self.known.ends = self.known.due + self.source.stale
            self.known.retry = FIRST_RETRY
            self._told(name, None)
        finally:
            self._fetching = None

    def _failed(self, detail: str) -> None:
        self.known.detail = detail
        self.known.due = self._now() + self.known.retry
        self.known.retry = min(2 * self.known.retry, LAST_RETRY)
        if self.source.url is None:
            self.known.url = None

    async def _renew(self) -> float:
        """Fetch the keys; gives the seconds for which they are fresh. Raises FetchError."""
        if self.known.url is None:
            self.known.url = await self._discover()
            self.known.tag = None
        known = {} if self.known.tag is None or self.known.keys is None else {"if-none-match": self.known.tag}
        fetched = await self._fetcher.get(
            self.known.url, {"accept": "application/jwk-set+json, application/json", **known}
        )
        if fetched.status == 304 and known:
            return self._fresh(fetched)
        if fetched.status != 200:
            raise FetchError(f"the server of the keys answered {fetched.status}")
        if self.known.keys is None or fetched.body != self.known.text:
            try:
                self.known.keys = KeySet.load(fetched.body, lenient=True)
            except ValueError as error:
                raise FetchError(str(error)) from None
            self.known.text = fetched.body
        self.known.tag = fetched.fields.get("etag")
        return self._fresh(fetched)

    def _fresh(self, fetched: Fetched) -> float:
        control = fetched.fields.get("cache-control", "")
        if _NOT_KEPT.search(control):
            return SHORTEST
        stated = _MAX_AGE.search(control)
        if stated is None:
            return self.source.refresh
        age = fetched.fields.get("age", "")  # in a cache between (RFC 9111 5.1)
        spent = float(age) if age.isascii() and age.isdigit() and len(age) <= 9 else 0.0
        return min(max(float(stated[1]) - spent, SHORTEST), LONGEST)

    async def _discover(self) -> str:
        """Give the URL of the keys that the issuer's metadata names (RFC 8414 3). Raises FetchError."""
        issuer = self.issuer.issuer
        parts = urlsplit(issuer)
        path = parts.path.removesuffix("/")
        fetched = await self._fetcher.get(issuer.removesuffix("/") + _CONFIGURATION, {"accept": "application/json"})
        if fetched.status in (404, 405):
            where = f"{parts.scheme}://{parts.netloc}{_METADATA}{path}"
            fetched = await self._fetcher.get(where, {"accept": "application/json"})
        if fetched.status != 200:
            raise FetchError(f"the server of the metadata answered {fetched.status}")
        try:
            metadata = read_object(fetched.body)
        except ValueError as error:
            raise FetchError(f"metadata: {error}") from None
        if metadata.get("issuer") != issuer:
            raise FetchError("metadata: issuer is another one (RFC 8414 3.3)")
        found = metadata.get("jwks_uri")
        if not isinstance(found, str) or not self._may_be_fetched(found):
            raise FetchError("metadata: jwks_uri is missing, or not https")
        return found

    def _may_be_fetched(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        if parts.scheme == "https":
            return bool(parts.hostname) and parts.username is None
        return self.source.plaintext and parts.scheme == "http" and is_loopback(parts.hostname or "")
