"""Asking an issuer whether a token is good (RFC 7662): once for all who bring it, and not again for a stated time."""

import asyncio
from base64 import b64encode
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Mapping
from typing import Protocol
from urllib.parse import quote_plus

from gateway.controls.claims import LATEST
from gateway.core.chain import Introspect, Introspected
from gateway.core.issuer import Introspection
from gateway.core.reasons import Reason, Unavailable
from gateway.engine.clock import Clock
from gateway.engine.fetch import Fetched, FetchError
from gateway.signing.jose import read_object

MOST_KEPT = 10_000
"""Answers of each kind that are kept; then the oldest goes."""

MOST_ASKED = 256
"""Questions at the same time; beyond that requests are refused rather than piled up."""

MOST_OF_ONE = 32
"""Questions at the same time that one caller brings about: made-up tokens must not keep everybody else's waiting."""


class Posts(Protocol):
    """What sends a question."""

    async def post(self, url: str, form: Mapping[str, str], fields: Mapping[str, str] | None = None) -> Fetched:
        """Send a form. Raises FetchError."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Introspector:
    """Asks one issuer."""

    def __init__(self, name: str, settings: Introspection, client: Posts, clock: Clock) -> None:
        self._name = name
        self._settings = settings
        self._client = client
        self._clock = clock
        self._good = _Kept()
        self._bad = _Kept()
        """Of their own, so that nobody can drive the good ones out with tokens that are made up."""
        self._asked: dict[bytes, asyncio.Task[Introspected]] = {}
        self._callers: Counter[str] = Counter()
        """How many of these questions each caller brought about."""
        self._fields = {"accept": "application/json", **_authorization(settings)}

    def __repr__(self) -> str:
        return f"Introspector({self._name})"

    def answer(self, ask: Introspect) -> Introspected | Awaitable[Introspected]:
        """Answer at once where the answer is known. Raises Unavailable."""
        now = self._clock.monotonic()
        known = self._good.find(ask.digest, now) or self._bad.find(ask.digest, now)
        if known is not None:
            return known
        task = self._asked.get(ask.digest)
        if task is None:
            if len(self._asked) >= MOST_ASKED:
                raise self._unavailable(f"{MOST_ASKED} questions wait already")
            if self._callers[ask.caller] >= MOST_OF_ONE:
                # Told already: the caller's doing, and no failure of the issuer's to be recorded as one.
                raise self._unavailable(f"{MOST_OF_ONE} questions of this caller wait already", told=True)
            task = self._asked[ask.digest] = asyncio.get_running_loop().create_task(self._ask(ask))
            self._callers[ask.caller] += 1
            task.add_done_callback(lambda _: self._answered(ask))
        return self._wait(task)

    def _answered(self, ask: Introspect) -> None:
        self._asked.pop(ask.digest, None)
        self._callers[ask.caller] -= 1
        if not self._callers[ask.caller]:
            del self._callers[ask.caller]

    async def close(self, *, cut: bool = True) -> None:
        """End what is under way, or wait for its end, and close the connections."""
        asked = list(self._asked.values())
        if cut:
            for task in asked:
                task.cancel()
        if asked:
            await asyncio.wait(asked)
        await self._client.close()

    async def _wait(self, task: "asyncio.Task[Introspected]") -> Introspected:
        # Not awaited itself: a request that is given up must not end the question that others wait for.
        await asyncio.wait((task,))
        if task.cancelled():
            raise self._unavailable("given up")
        return task.result()

    async def _ask(self, ask: Introspect) -> Introspected:
        form = {"token": ask.token, "token_type_hint": "access_token"}
        try:
            fetched = await self._client.post(self._settings.url, form, self._fields)
            answer = self._read(fetched)
        except FetchError as error:
            raise self._unavailable(str(error)) from None
        except Exception as error:  # noqa: BLE001 - its message may hold the token
            raise self._unavailable(f"{type(error).__name__} while it was asked") from None
        self._keep(ask.digest, answer)
        return answer

    def _read(self, fetched: Fetched) -> Introspected:
        """Read the answer (RFC 7662 2.2). Raises FetchError for anything that is none."""
        if fetched.status in (401, 403):
            raise FetchError(f"it answered {fetched.status}: it does not take the gate's own credentials")
        if fetched.status != 200:
            raise FetchError(f"it answered {fetched.status}")
        try:
            claims = read_object(fetched.body)
        except ValueError as error:
            raise FetchError(f"its answer is {error}") from None
        active = claims.get("active")
        if not isinstance(active, bool):
            raise FetchError("its answer has no `active` that is true or false")
        return Introspected(active, claims if active else {}, self._clock.now())

    def _keep(self, digest: bytes, answer: Introspected) -> None:
        now = self._clock.monotonic()
        if not answer.active:
            self._bad.keep(digest, answer, now + self._settings.cache_negative)
            return
        expires = answer.claims.get("exp")
        if isinstance(expires, int | float) and not isinstance(expires, bool) and 0 <= expires <= LATEST:
            left = expires - self._clock.now()
            self._good.keep(digest, answer, now + min(self._settings.cache, left))

    def _unavailable(self, detail: str, *, told: bool = False) -> Unavailable:
        detail = f"introspection at issuer {self._name}: {detail}"
        return Unavailable(Reason.TOKEN_INTROSPECTION_UNAVAILABLE, detail, told=told)


class _Kept:
    """Answers by the digest of their token, each until its time is over."""

    def __init__(self) -> None:
        self._answers: OrderedDict[bytes, tuple[Introspected, float]] = OrderedDict()

    def find(self, digest: bytes, now: float) -> Introspected | None:
        found = self._answers.get(digest)
        if found is None:
            return None
        answer, until = found
        if now < until:
            return answer
        del self._answers[digest]
        return None

    def keep(self, digest: bytes, answer: Introspected, until: float) -> None:
        while len(self._answers) >= MOST_KEPT:
            self._answers.popitem(last=False)
        self._answers[digest] = answer, until


def _authorization(settings: Introspection) -> dict[str, str]:
    """Give the gate's own credentials (RFC 6749 2.3.1: each part is encoded before it is put together)."""
    if settings.client_id is None or settings.client_secret is None:
        return {}
    secret = settings.client_secret.reveal().decode("utf-8", "surrogateescape")
    pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret, errors='surrogateescape')}"
    return {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}
