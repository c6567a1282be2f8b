"""Revocation asked over the network: lists at distribution points, and answers of OCSP responders.

1. a handshake waits for what its chain needs and nobody has asked for yet, within the policy's time-out
2. what is known is asked for anew in the background, after the policy's time or once it has ended; answers only for
   certificates whose connection stands
3. what came is kept on disk, and counts after a restart for as long as it would have without one
4. where asking fails, what is known counts for as long as its own end and the policy let it; the failure is recorded,
   and so is its end
5. only hosts that the policy lists are asked, and redirects are not followed: a certificate says where, and whoever
   may issue one must not choose whom the gate talks to
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from gateway.core.message import Instant
from gateway.core.policy import Revocation
from gateway.engine.clock import Clock
from gateway.engine.fetch import Fetched, Fetcher, FetchError, Fetches
from gateway.engine.revocation_store import KeptLists
from gateway.pki.chain import Chain, Link
from gateway.pki.crl import MAX_BYTES, RevocationList, read_lists
from gateway.pki.ocsp import MAX_BYTES as MAX_ANSWER
from gateway.pki.ocsp import Question
from gateway.pki.revocation import Learnt, Lists, Status, judge_link, to_be_checked

MAX_POINTS = 256
"""Known at the same time: beyond that the oldest is forgotten, and asked for again where it is needed."""
MAX_AUTHORITIES = 16
"""Of one list: a CA that changes its key has two."""
MAX_ANSWERS = 20_000
"""Likewise."""

FIRST_RETRY, LAST_RETRY = 5.0, 300.0
"""Seconds until what failed is tried again: doubled each time, from the first to the last."""

LEAST_REFRESH = 30.0
"""Seconds: an issuer whose list ends at once is not asked all the time."""

_PORTS = {"http": 80, "https": 443}


class Asks(Fetches, Protocol):
    """What fetches lists and asks responders."""

    async def send(self, url: str, content: bytes, fields: Mapping[str, str]) -> Fetched:
        """Send bytes. Raises FetchError."""
        ...


@dataclass(slots=True)
class _Asked:
    """Something that was asked for."""

    again: Callable[["_Asked"], Awaitable[float]]
    """Asks; gives the seconds until it is asked again. Raises FetchError or ValueError."""
    name: str
    """Under which a failure is recorded."""
    timeout: float
    authorities: dict[bytes, Link] = field(default_factory=dict)
    """Of a list: who may have signed it, by fingerprint. It is not fetched before a chain has told."""
    due: float = float("-inf")
    """By the monotonic clock."""
    retry: float = FIRST_RETRY
    task: "asyncio.Task[None] | None" = None

    def add(self, authority: Link) -> None:
        """Take lists that this authority signed, too."""
        self.authorities[authority.fingerprint] = authority
        if len(self.authorities) > MAX_AUTHORITIES:
            del self.authorities[next(iter(self.authorities))]


def _fetcher() -> Asks:
    return Fetcher(timeout=60.0, most=MAX_BYTES)


class Remote:
    """What the gate has learnt of revocation over the network. It outlives reloads."""

    def __init__(
        self, clock: Clock, told: Callable[[str, str | None], None], kept: KeptLists,
        make_fetcher: Callable[[], Asks] = _fetcher,
    ) -> None:  # fmt: skip
        """Begin with the lists that an earlier run kept; its answers are looked up as they are needed.

        `told` is called with a name and the failure of each question, or None where it was answered.
        """
        self.learnt = Learnt(lists=kept.load())
        kept.answers.prune(clock.now())
        self._kept = kept
        self.news = False
        """Whether something was learnt that connections must be looked at for; whoever looks resets it."""
        self._clock = clock
        self._told = told
        self._make_fetcher = make_fetcher
        self._fetcher: Asks | None = None
        self._points: dict[str, _Asked] = {}
        self._answers: dict[bytes, _Asked] = {}

    async def learn(self, settings: Revocation, chain: Chain, lists: Lists) -> None:
        """Ask for what is missing to judge a chain."""
        pairs = to_be_checked(chain, leaf_only=settings.leaf_only)
        with contextlib.suppress(TimeoutError):  # of all that is asked; what is under way goes on for others
            async with asyncio.timeout(settings.timeout):
                await asyncio.gather(*(self._learn(settings, link, authority, lists) for link, authority in pairs))

    def tick(self, chains: Iterable[Chain]) -> None:
        """Begin to ask anew where it is time to; `chains` are those of the connections that stand."""
        now = self._clock.monotonic()
        for asked in self._points.values():
            if asked.due <= now and asked.authorities:
                self._begin(asked)
        if self._answers:
            for link in {id(link): link for chain in chains for link in chain.links}.values():
                found = self._answers.get(link.fingerprint)
                if found is not None and found.due <= now:
                    self._begin(found)

    def adopt(self, settings: Iterable[Revocation]) -> None:
        """Forget what the policy in force would not ask for, and go on renewing the rest."""
        listed = list(settings)
        for url in {*self._points, *self.learnt.lists}:
            found = next((each for each in listed if allowed(url, each.point_hosts)), None)
            if found is not None:
                self._point(url, found)
                continue
            self._points.pop(url, None)
            self.learnt.lists.pop(url, None)
            self._kept.drop(url)
        if not any(each.ocsp_hosts or each.responder for each in listed):
            self._answers.clear()
            self.learnt.answers.clear()
            self._kept.answers.prune(None)

    async def close(self) -> None:
        """End what is under way, and close the connections."""
        tasks = [asked.task for asked in (*self._points.values(), *self._answers.values()) if asked.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._fetcher is not None:
            await self._fetcher.close()

    async def _learn(self, settings: Revocation, link: Link, authority: Link, lists: Lists) -> None:
        def unknown() -> bool:
            verdict = judge_link(
                link, authority, lists, self._clock.now(), stale_for=settings.stale_for, learnt=self.learnt
            )
            return verdict.status is Status.UNKNOWN

        await self._learn_lists(settings, link, authority, unknown)
        await self._learn_answer(settings, link, authority, unknown)

    async def _learn_lists(
        self, settings: Revocation, link: Link, authority: Link, unknown: Callable[[], bool]
    ) -> None:
        for url in link.points:
            if not allowed(url, settings.point_hosts) or not (unknown() or url in self._points):
                continue
            asked = self._point(url, settings)
            if authority.fingerprint not in asked.authorities:
                asked.add(authority)
                if unknown():
                    asked.due = float("-inf")  # whatever was refused may be this one's
            if unknown():
                await self._ask(asked)

    async def _learn_answer(
        self, settings: Revocation, link: Link, authority: Link, unknown: Callable[[], bool]
    ) -> None:
        responders = (settings.responder,) if settings.responder is not None else link.responders
        for url in responders:
            if url != settings.responder and not allowed(url, settings.ocsp_hosts):
                continue
            if link.fingerprint not in self._answers and unknown():
                await self._recall(link, authority)
            if unknown() or self._was_revoked(link):
                # What was revoked is asked for again too: no connection has it renewed, and a hold may be over.
                await self._ask(self._answer(url, link, authority, settings))
            elif link.fingerprint in self.learnt.answers:
                self._answer(url, link, authority, settings)  # from now on renewed in the background
            break

    def _was_revoked(self, link: Link) -> bool:
        answer = self.learnt.answers.get(link.fingerprint)
        return answer is not None and answer.revoked

    async def _recall(self, link: Link, authority: Link) -> None:
        """Take over the answer that an earlier run kept; it is renewed in the background."""
        kept = await asyncio.to_thread(self._kept.answers.get, link.fingerprint)
        if kept is not None and link.fingerprint not in self.learnt.answers:
            nonce, data = kept
            with contextlib.suppress(ValueError):
                self.learnt.answers[link.fingerprint] = Question(link, authority, nonce).read(data, self._clock.now())

    def _point(self, url: str, settings: Revocation) -> _Asked:
        if url not in self._points:
            if len(self._points) >= MAX_POINTS:
                oldest = next(iter(self._points))
                del self._points[oldest]
                self.learnt.lists.pop(oldest, None)

            async def fetch(asked: _Asked) -> float:
                return await self._fetch_list(url, asked.authorities.values(), settings.refresh)

            self._points[url] = _Asked(fetch, f"revocation.fetch:{url}", settings.timeout)
        return self._points[url]

    def _answer(self, url: str, link: Link, authority: Link, settings: Revocation) -> _Asked:
        if link.fingerprint not in self._answers:
            if len(self._answers) >= MAX_ANSWERS:
                oldest = next(iter(self._answers))
                del self._answers[oldest]
                self.learnt.answers.pop(oldest, None)
                self._kept.answers.drop(oldest)

            async def ask(_: _Asked) -> float:
                return await self._ask_responder(url, link, authority, settings.refresh)

            self._answers[link.fingerprint] = _Asked(ask, f"revocation.ocsp:{url}", settings.timeout)
        return self._answers[link.fingerprint]

    async def _ask(self, asked: _Asked) -> None:
        """Wait for the answer to a question under way, or ask it, unless that failed just now."""
        if asked.task is None and self._clock.monotonic() < asked.due:
            return
        # Not awaited itself: a client that leaves must not end what others wait for.
        await asyncio.wait((self._begin(asked),))

    def _begin(self, asked: _Asked) -> "asyncio.Task[None]":
        if asked.task is None:
            asked.task = asyncio.get_running_loop().create_task(self._run(asked))
        return asked.task

    async def _run(self, asked: _Asked) -> None:
        try:
            async with asyncio.timeout(asked.timeout):
                fresh = await asked.again(asked)
        except TimeoutError:
            self._failed(asked, f"no whole answer within {asked.timeout:g} s")
        except (FetchError, ValueError) as error:
            self._failed(asked, str(error))
        except Exception as error:  # noqa: BLE001 - whatever the answer makes of our code, what is known stays
            self._failed(asked, f"{type(error).__name__} while it was read")
        else:
            asked.due = self._clock.monotonic() + max(fresh, LEAST_REFRESH)
            asked.retry = FIRST_RETRY
            self._told(asked.name, None)
        finally:
            asked.task = None

    def _failed(self, asked: _Asked, detail: str) -> None:
        asked.due = self._clock.monotonic() + asked.retry
        asked.retry = min(2 * asked.retry, LAST_RETRY)
        self._told(asked.name, detail)

    @property
    def _fetches(self) -> Asks:
        if self._fetcher is None:
            self._fetcher = self._make_fetcher()
        return self._fetcher

    async def _fetch_list(self, url: str, authorities: Collection[Link], refresh: float) -> float:
        fetched = await self._fetches.get(url)
        if fetched.status != 200:
            raise FetchError(f"the server of the list answered {fetched.status}")
        found = await asyncio.to_thread(read_lists, fetched.body)
        if len(found) != 1:
            raise FetchError("more than one list")
        # Over plain HTTP anybody on the way can answer: what nobody signed must not stand in the way of what is.
        if not _signed(found[0], authorities):
            raise FetchError("the list is not signed by the issuer of the certificates that name it")
        known = self.learnt.lists.get(url)
        if known is not None and not _signed(known, authorities):
            known = None
        if known is not None and found[0].this_update < known.this_update:
            raise FetchError("the list there is older than the one that was there before")
        self.news = self.news or known is None or known.this_update != found[0].this_update
        self.learnt.lists[url] = found[0]
        await self._keep(self._kept.put, url, fetched.body)
        return self._until(found[0].next_update, refresh)

    async def _keep[*Ts](self, put: Callable[[*Ts], None], *what: *Ts) -> None:
        """Keep something for the next run; where that fails, this one goes on all the same."""
        try:
            await asyncio.to_thread(put, *what)
        except OSError as error:
            self._told("revocation.folder", error.strerror or type(error).__name__)
        else:
            self._told("revocation.folder", None)

    async def _ask_responder(self, url: str, link: Link, authority: Link, refresh: float) -> float:
        question = Question.about(link, authority)
        fields = {"content-type": "application/ocsp-request", "accept": "application/ocsp-response"}
        fetched = await self._fetches.send(url, question.der, fields)
        if fetched.status != 200:
            raise FetchError(f"the responder answered {fetched.status}")
        if len(fetched.body) > MAX_ANSWER:
            raise FetchError(f"the answer has more than {MAX_ANSWER} bytes")
        answer = question.read(fetched.body, self._clock.now())
        known = self.learnt.answers.get(link.fingerprint)
        if known is not None and answer.this_update < known.this_update:
            raise FetchError("the answer is older than the one before")
        self.news = self.news or known is None or known != answer
        self.learnt.answers[link.fingerprint] = answer
        await self._keep(self._kept.answers.put, link.fingerprint, question.nonce, fetched.body)
        return self._until(answer.next_update, refresh)

    def _until(self, ends: Instant, refresh: float) -> float:
        return min(refresh, ends - self._clock.now())


def _signed(found: RevocationList, authorities: Collection[Link]) -> bool:
    return any(
        found.issuer == each.certificate.subject and found.signed_by(each.certificate, each.fingerprint)
        for each in authorities
    )


def allowed(url: str, hosts: frozenset[str]) -> bool:
    """Whether a URL leads to one of the hosts; the port is part of the host where it is not the scheme's."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in _PORTS or parts.hostname is None or parts.username is not None:
        return False
    usual = port is None or port == _PORTS[parts.scheme]
    return (parts.hostname if usual else f"{parts.hostname}:{port}") in hosts
