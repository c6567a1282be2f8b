import asyncio
import json
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gateway.core.chain import FetchKeys
from gateway.core.issuer import KeySource
from gateway.core.reasons import Reason, Unavailable
from gateway.engine.fetch import Fetched, FetchError
from gateway.engine.remote_keys import FIRST_RETRY, LAST_RETRY, LONGEST, OUT_OF_TURN, SHORTEST, RemoteKeys
from gateway.signing.jwks import KeySet
from tests import world
from tests.unit.engine.closing import check_closing

ASK = FetchKeys("operator")
URL = "https://idp.example/jwks"
KEYS = world.jwks()
OTHER_KEYS = world.jwks(world.jwk(kid="operator-2"))
CONFIGURATION = f"{world.ISSUER}/.well-known/openid-configuration"


@dataclass
class Server:
    """Answers at once, and remembers what it was asked."""

    pages: dict[str, Any] = field(default_factory=lambda: {URL: KEYS})
    fields: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tags: list[str | None] = field(default_factory=list)
    gate: asyncio.Event | None = None
    closed: bool = False

    async def get(self, url: str, fields: Mapping[str, str] | None = None) -> Fetched:
        self.asked.append(url)
        self.tags.append((fields or {}).get("if-none-match"))
        if self.gate is not None:
            await self.gate.wait()
        page = self.pages.get(url, 404)
        if isinstance(page, Exception):
            raise page
        if isinstance(page, int):
            return Fetched(page, self.fields, b"")
        return Fetched(200, self.fields, page)

    async def close(self) -> None:
        self.closed = True


@dataclass
class Made:
    server: Server = field(default_factory=Server)
    source: KeySource = field(default_factory=lambda: KeySource(URL))
    issuer: str = world.ISSUER
    now: float = 100.0
    told: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        issuer = world.issuer(issuer=self.issuer, keys=self.source)
        self.keys = RemoteKeys(
            issuer, self.source, self.server, lambda: self.now, lambda _, said: self.told.append(said)
        )

    async def ask(self, unknown: str | None = None) -> KeySet:
        given = self.keys.answer(replace(ASK, unknown=unknown))
        return await given if isinstance(given, Awaitable) else given

    async def refused(self) -> Unavailable:
        with pytest.raises(Unavailable) as caught:
            await self.ask()
        assert caught.value.reason is Reason.TOKEN_KEYS_UNAVAILABLE
        return caught.value

    async def tick(self) -> None:
        self.keys.tick()
        if self.keys._fetching is not None:
            await asyncio.wait((self.keys._fetching,))


async def test_keys_that_are_there_are_given_at_once() -> None:
    made = Made()
    first = await made.ask()
    assert made.keys.answer(ASK) is first
    assert made.keys.answer(replace(ASK, unknown=world.KEY_ID)) is first
    assert made.server.asked == [URL]
    assert made.told == [None]


async def test_several_requests_wait_for_one_fetch() -> None:
    made = Made()
    made.server.gate = asyncio.Event()
    waiting = [asyncio.ensure_future(made.ask()) for _ in range(5)]
    await asyncio.sleep(0)
    made.server.gate.set()
    assert len({id(keys) for keys in await asyncio.gather(*waiting)}) == 1
    assert made.server.asked == [URL]


async def test_a_request_that_is_given_up_does_not_end_the_fetch() -> None:
    made = Made()
    made.server.gate = asyncio.Event()
    one, other = (asyncio.ensure_future(made.ask()) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.sleep(0)
    made.server.gate.set()
    assert world.KEY_ID in (await other).keys


@pytest.mark.parametrize(
    ("control", "seconds"),
    [
        (None, 600.0),
        ("max-age=120", 120.0),
        ("public, max-age=7200, must-revalidate", 7_200.0),
        ('max-age="90"', 90.0),
        ("max-age=1", SHORTEST),
        ("max-age=99999999", LONGEST),
        ("no-store", SHORTEST),
        ("no-cache, max-age=3600", SHORTEST),
        ("s-maxage=60", 600.0),
        ("max-age=soon", 600.0),
    ],
)
async def test_the_answer_says_when_it_is_fetched_anew(control: str | None, seconds: float) -> None:
    made = Made()
    made.server.fields = {} if control is None else {"cache-control": control}
    await made.ask()
    made.now += seconds - 0.5
    await made.tick()
    assert len(made.server.asked) == 1
    made.now += 0.5
    await made.tick()
    assert len(made.server.asked) == 2


@pytest.mark.parametrize(
    ("age", "seconds"), [("100", 500.0), ("599", SHORTEST), ("9999", SHORTEST), ("soon", 600.0), ("-5", 600.0)]
)
async def test_time_spent_in_a_cache_between_counts(age: str, seconds: float) -> None:
    made = Made()
    made.server.fields = {"cache-control": "max-age=600", "age": age}
    await made.ask()
    assert made.keys.known.due == made.now + seconds


async def test_the_same_text_is_the_same_key_set_so_that_verified_tokens_stay() -> None:
    made = Made()
    first = await made.ask()
    made.now += 600
    await made.tick()
    assert made.keys.answer(ASK) is first


async def test_a_tag_saves_the_transfer() -> None:
    made = Made()
    made.server.fields = {"etag": "v1"}
    first = await made.ask()
    made.server.pages[URL] = 304
    made.now += 600
    await made.tick()
    assert made.server.tags == [None, "v1"]
    assert made.keys.answer(ASK) is first
    assert made.told == [None, None]


async def test_a_304_that_was_not_asked_for_is_a_failure() -> None:
    made = Made()
    made.server.pages[URL] = 304
    assert "answered 304" in (await made.refused()).detail


async def test_an_unknown_key_has_them_fetched_once_in_a_while() -> None:
    made = Made()
    await made.ask()
    made.server.pages[URL] = OTHER_KEYS
    assert "operator-2" in (await made.ask("operator-2")).keys
    assert isinstance(made.keys.answer(replace(ASK, unknown="operator-3")), KeySet)
    made.now += OUT_OF_TURN
    await made.ask("operator-3")
    assert len(made.server.asked) == 3


async def test_failures_are_tried_again_later_and_later() -> None:
    made = Made()
    made.server.pages[URL] = FetchError("no connection could be made")
    await made.refused()
    at = made.now
    while len(made.server.asked) < 9:
        made.now += 0.5
        await made.tick()
        assert await made.refused()
    waits = [min(FIRST_RETRY * 2**turn, LAST_RETRY) for turn in range(8)]
    assert made.now - at == sum(waits)
    assert set(made.told) == {"no connection could be made"}


async def test_keys_count_for_the_stated_time_after_they_could_not_be_fetched() -> None:
    made = Made(source=KeySource(URL, refresh=60.0, stale=100.0))
    first = await made.ask()
    made.server.pages[URL] = 503
    made.now += 60
    await made.tick()
    made.now += 99
    assert made.keys.answer(ASK) is first
    made.now += 1
    await made.tick()
    assert "answered 503" in (await made.refused()).detail
    made.server.pages[URL] = KEYS
    made.now += LAST_RETRY
    assert await made.ask() is not first


async def test_an_error_of_our_own_is_a_failure_and_shows_nothing() -> None:
    made = Made()
    made.server.pages[URL] = ZeroDivisionError("secret")
    assert (await made.refused()).detail == "keys of issuer operator: ZeroDivisionError while they were fetched"


async def test_a_fetch_takes_no_longer_than_it_may() -> None:
    made = Made(source=KeySource(URL, timeout=0.01))
    made.server.gate = asyncio.Event()
    assert "no answer within 0.01 s" in (await made.refused()).detail


class TestDiscovery:
    def made(self, **changes: Any) -> Made:
        made = Made(source=KeySource(None))
        metadata = {"issuer": world.ISSUER, "jwks_uri": URL, **changes}
        made.server.pages[CONFIGURATION] = json.dumps(metadata).encode()
        return made

    async def test_the_metadata_names_the_keys(self) -> None:
        made = self.made()
        await made.ask()
        assert made.server.asked == [CONFIGURATION, URL]

    async def test_metadata_by_rfc_8414_stands_before_the_path(self) -> None:
        made = Made(source=KeySource(None), issuer="https://idp.example/realms/a")
        metadata = json.dumps({"issuer": "https://idp.example/realms/a", "jwks_uri": URL}).encode()
        made.server.pages["https://idp.example/.well-known/oauth-authorization-server/realms/a"] = metadata
        await made.ask()
        assert made.server.asked[0] == "https://idp.example/realms/a/.well-known/openid-configuration"
        assert made.server.asked[-1] == URL

    async def test_it_is_asked_again_with_each_fetch_in_turn(self) -> None:
        made = self.made()
        await made.ask()
        await made.ask("unknown")
        made.now += 600
        await made.tick()
        assert made.server.asked == [CONFIGURATION, URL, URL, CONFIGURATION, URL]

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"issuer": "https://evil.example"}, "issuer is another one"),
            ({"issuer": world.ISSUER + "/"}, "issuer is another one"),
            ({"jwks_uri": None}, "jwks_uri is missing"),
            ({"jwks_uri": "http://idp.example/jwks"}, "jwks_uri is missing, or not https"),
            ({"jwks_uri": "http://127.0.0.1/jwks"}, "jwks_uri is missing, or not https"),
            ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri is missing, or not https"),
            ({"jwks_uri": "https://user@idp.example/"}, "jwks_uri is missing, or not https"),
            ({"jwks_uri": "https://[x/"}, "jwks_uri is missing, or not https"),
        ],
    )
    async def test_metadata_that_does_not_count(self, changes: dict[str, Any], said: str) -> None:
        made = self.made(**changes)
        assert said in (await made.refused()).detail
        assert made.server.asked == [CONFIGURATION]

    async def test_metadata_that_is_not_there(self) -> None:
        made = Made(source=KeySource(None))
        assert "metadata answered 404" in (await made.refused()).detail

    async def test_metadata_that_is_no_json(self) -> None:
        made = self.made()
        made.server.pages[CONFIGURATION] = b"<html>"
        assert "metadata: not JSON" in (await made.refused()).detail

    async def test_plaintext_leads_no_further_than_this_machine(self) -> None:
        source = KeySource(None, plaintext=True)
        for uri, taken in (("http://127.0.0.1/jwks", True), ("http://10.0.0.1/jwks", False)):
            made = Made(source=source)
            metadata = json.dumps({"issuer": world.ISSUER, "jwks_uri": uri}).encode()
            made.server.pages |= {CONFIGURATION: metadata, uri: KEYS}
            if taken:
                await made.ask()
            else:
                await made.refused()


async def test_a_new_policy_goes_on_with_the_keys_of_the_same_source() -> None:
    old, same, other = Made(), Made(), Made(source=KeySource("https://idp.example/other"))
    keys = await old.ask()
    for made in (same, other):
        made.keys.follow(old.keys)
    assert same.keys.answer(ASK) is keys
    assert other.keys.known.keys is None


@pytest.mark.parametrize("cut", [True, False])
async def test_closing_ends_the_fetch_or_waits_for_it(cut: bool) -> None:
    made = Made()
    made.server.gate = asyncio.Event()
    await check_closing(made.keys, made.ask(), made.server.gate, cut=cut)
    assert made.server.closed
    assert repr(made.keys) == "RemoteKeys(operator)"
