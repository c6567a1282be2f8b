import asyncio
import json
from base64 import b64decode
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pytest

from gateway.core.chain import Introspect, Introspected
from gateway.core.issuer import Introspection
from gateway.core.message import Instant
from gateway.core.reasons import Reason, Unavailable
from gateway.core.secret import Secret
from gateway.engine import introspection as module
from gateway.engine.clock import Clock
from gateway.engine.fetch import Fetched, FetchError
from gateway.engine.introspection import Introspector
from tests.unit.engine.closing import check_closing
from tests.world import NOW

GOOD = {"active": True, "sub": "acme", "exp": NOW + 100}


@dataclass
class Server:
    page: Any = field(default_factory=lambda: GOOD)
    status: int = 200
    sent: list[tuple[Mapping[str, str], Mapping[str, str]]] = field(default_factory=list)
    held: asyncio.Event | None = None
    closed: bool = False

    async def post(self, url: str, form: Mapping[str, str], fields: Mapping[str, str] | None = None) -> Fetched:
        assert url == "https://idp.example/introspect"
        self.sent.append((form, fields or {}))
        if self.held is not None:
            await self.held.wait()
        if isinstance(self.page, Exception):
            raise self.page
        return Fetched(self.status, {}, self.page if isinstance(self.page, bytes) else json.dumps(self.page).encode())

    async def close(self) -> None:
        self.closed = True


class Made:
    def __init__(self, **changes: Any) -> None:
        settings = Introspection("https://idp.example/introspect", "the gate", Secret(b"s:cret & more"), **changes)
        self.server = Server()
        self.now = 0.0
        clock = Clock(now=lambda: Instant(NOW + self.now), monotonic=lambda: self.now)
        self.introspector = Introspector("operator", settings, self.server, clock)

    def begin(self, token: str = "opaque", caller: str = "acme") -> Introspected | Awaitable[Introspected]:  # noqa: S107 - made up
        return self.introspector.answer(Introspect("operator", token, sha256(token.encode()).digest(), caller))

    async def ask(self, token: str = "opaque") -> Introspected:  # noqa: S107 - made up
        given = self.begin(token)
        return await given if isinstance(given, Awaitable) else given

    async def refused(self) -> str:
        with pytest.raises(Unavailable) as caught:
            await self.ask()
        assert caught.value.reason is Reason.TOKEN_INTROSPECTION_UNAVAILABLE
        return caught.value.detail


async def test_the_issuer_is_asked_as_the_standard_says() -> None:
    made = Made()
    answer = await made.ask()
    assert (answer.active, answer.claims["sub"], answer.at) == (True, "acme", NOW)
    ((form, fields),) = made.server.sent
    assert form == {"token": "opaque", "token_type_hint": "access_token"}
    assert b64decode(fields["authorization"].removeprefix("Basic ")) == b"the+gate:s%3Acret+%26+more"


async def test_an_answer_counts_for_its_time() -> None:
    made = Made()
    first = await made.ask()
    made.now = 29.9
    assert made.begin() is first
    made.now = 30
    assert await made.ask() is not first
    assert len(made.server.sent) == 2


async def test_an_answer_never_counts_beyond_the_tokens_end() -> None:
    made = Made(cache=300.0)
    await made.ask()
    made.now = 99.9
    await made.ask()
    assert len(made.server.sent) == 1
    made.now = 100
    await made.ask()
    assert len(made.server.sent) == 2


@pytest.mark.parametrize("exp", [None, "soon", True, NOW - 1, -1, 10**400])
async def test_an_answer_without_a_good_end_is_not_kept(exp: object) -> None:
    made = Made()
    made.server.page = {"active": True, "exp": exp}
    await made.ask()
    await made.ask()
    assert len(made.server.sent) == 2


async def test_a_no_counts_briefly() -> None:
    made = Made()
    made.server.page = {"active": False, "sub": "acme"}
    answer = await made.ask()
    assert (answer.active, answer.claims) == (False, {})
    made.now = 4.9
    assert made.begin() is answer
    made.now = 5
    made.server.page = GOOD
    assert (await made.ask()).active


async def test_several_requests_with_one_token_share_a_question() -> None:
    made = Made()
    made.server.held = asyncio.Event()
    waiting = [asyncio.ensure_future(made.ask()) for _ in range(5)]
    other = asyncio.ensure_future(made.ask("another"))
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    made.server.held.set()
    answers = await asyncio.gather(*waiting[1:], other)
    assert len({id(answer) for answer in answers}) == 2
    assert len(made.server.sent) == 2


async def test_made_up_tokens_drive_out_no_good_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    made = Made()
    good = await made.ask()
    made.server.page = {"active": False}
    for number in range(5):
        await made.ask(f"made-up-{number}")
    assert made.begin() is good
    assert not isinstance(made.begin("made-up-4"), Awaitable)
    assert len(made.introspector._bad._answers) == 2


async def test_questions_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ASKED", 1)
    made = Made()
    made.server.held = asyncio.Event()
    first = asyncio.ensure_future(made.ask("one"))
    await asyncio.sleep(0)
    assert "1 questions wait already" in await made.refused()
    made.server.held.set()
    assert (await first).active


async def test_one_caller_cannot_keep_everybody_elses_questions_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OF_ONE", 2)
    made = Made()
    made.server.held = asyncio.Event()
    flood = [made.begin(f"made-up-{number}", "203.0.113.9") for number in range(2)]
    with pytest.raises(Unavailable, match="2 questions of this caller wait already") as caught:
        made.begin("made-up-2", "203.0.113.9")
    assert caught.value.told  # no failure of the issuer's
    other = made.begin("opaque", "acme")
    again = made.begin("made-up-0", "203.0.113.9")  # shares a question that waits
    made.server.held.set()
    assert isinstance(other, Awaitable)
    assert isinstance(again, Awaitable)
    assert (await other).active
    assert (await again).active
    for waiting in flood:
        assert isinstance(waiting, Awaitable)
        await waiting
    assert made.introspector._callers == {}
    assert (await made.ask("made-up-3")).active


@pytest.mark.parametrize(
    ("status", "page", "said"),
    [
        (401, b"", "does not take the gate's own credentials"),
        (403, b"", "does not take the gate's own credentials"),
        (500, b"", "it answered 500"),
        (302, b"", "it answered 302"),
        (200, b"<html>", "its answer is not JSON"),
        (200, b"[]", "its answer is not a JSON object"),
        (200, b'{"active": false, "active": true}', "a member stands twice"),
        (200, {}, "no `active` that is true or false"),
        (200, {"active": "true"}, "no `active` that is true or false"),
        (200, {"active": 1}, "no `active` that is true or false"),
        (200, FetchError("no answer within 2 s"), "no answer within 2 s"),
        (200, ZeroDivisionError("opaque"), "ZeroDivisionError while it was asked"),
    ],
)
async def test_what_is_no_answer_is_not_taken_for_one(status: int, page: Any, said: str) -> None:
    made = Made()
    made.server.status, made.server.page = status, page
    for _ in range(2):
        detail = await made.refused()
        assert said in detail
        assert "opaque" not in detail
    assert len(made.server.sent) == 2


@pytest.mark.parametrize("cut", [True, False])
async def test_closing(cut: bool) -> None:
    made = Made()
    made.server.held = asyncio.Event()
    await check_closing(made.introspector, made.ask(), made.server.held, cut=cut)
    assert made.server.closed


def test_without_a_secret_the_certificate_authenticates_the_gate() -> None:
    made = Introspector("operator", Introspection("https://idp.example"), Server(), Clock())
    assert "authorization" not in made._fields
    assert repr(made) == "Introspector(operator)"
    assert repr(Introspect("operator", "secret", b"")) == "Introspect(operator)"
