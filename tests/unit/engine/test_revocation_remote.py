import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from gateway.core.policy import Revocation
from gateway.engine import revocation_remote
from gateway.engine.fetch import Fetched, FetchError
from gateway.engine.revocation_remote import FIRST_RETRY, LEAST_REFRESH, Remote, allowed
from gateway.engine.revocation_store import KeptLists
from gateway.pki.authority import Credential, Names, Validity
from gateway.pki.chain import Chain
from gateway.pki.revocation import Lists, Status, judge
from tests.crls import DAY, chain, crl, der, pem
from tests.engine.harness import until
from tests.unit.engine.gates import Time
from tests.unit.pki import test_ocsp as answers
from tests.world import NOW

VALID = Validity.around(NOW, days=30)
ROOT = answers.ROOT
POINT, RESPONDER = "http://crl.acme.example/root.crl", "http://ocsp.acme.example/"
HOSTS = {"point_hosts": frozenset({"crl.acme.example"}), "ocsp_hosts": frozenset({"ocsp.acme.example"})}


def issue(name: str = "casino", *, point: str = POINT, responder: str | None = None) -> Credential:
    """Issue a certificate that names where its revocation is told."""
    key = ROOT.credential.key
    builder = ROOT._builder_below(Names(name).subject(), key.public_key(), VALID)
    points = [x509.DistributionPoint([x509.UniformResourceIdentifier(point)], None, None, None)]
    builder = builder.add_extension(x509.CRLDistributionPoints(points), critical=False)
    if responder is not None:
        at = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(responder))
        builder = builder.add_extension(x509.AuthorityInformationAccess([at]), critical=False)
    return Credential(builder.sign(key, hashes.SHA256()), key)


class Server:
    """Answers what is fetched and asked: `answer` is a body, a status, or an error."""

    def __init__(self) -> None:
        self.answer: Any = b""
        self.asked: list[str] = []
        self.closed = False
        self.held: asyncio.Event | None = None

    async def get(self, url: str, fields: Mapping[str, str] | None = None) -> Fetched:
        del fields
        self.asked.append(url)
        if self.held is not None:
            await self.held.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return Fetched(200, {}, self.answer) if isinstance(self.answer, bytes) else Fetched(self.answer, {}, b"")

    async def send(self, url: str, content: bytes, fields: Mapping[str, str]) -> Fetched:
        assert content
        assert fields["content-type"] == "application/ocsp-request"
        return await self.get(url)

    async def close(self) -> None:
        self.closed = True


class Up:
    """What is learnt from one server."""

    def __init__(self, folder: Path = Path("/dev/null/nowhere"), **settings: Any) -> None:
        self.server, self.time = Server(), Time()
        self.told: list[tuple[str, str | None]] = []
        self.settings = Revocation(**HOSTS | settings)
        self.remote = Remote(self.time.clock(), self._hear, KeptLists(folder), lambda: self.server)

    def _hear(self, name: str, failure: str | None) -> None:
        if name != "revocation.folder":
            self.told.append((name, failure))

    async def judged(self, made: Chain) -> Status:
        await self.remote.learn(self.settings, made, Lists())
        settings = self.settings
        return judge(
            made, Lists(), self.time.clock().now(), stale_for=settings.stale_for, leaf_only=settings.leaf_only,
            learnt=self.remote.learnt,
        ).status  # fmt: skip

    async def tick(self, *chains: Chain) -> None:
        self.remote.tick(chains)
        await self.settled()

    async def settled(self) -> None:
        """Wait for what is under way."""
        tasks = [each.task for each in (*self.remote._points.values(), *self.remote._answers.values()) if each.task]
        if tasks:
            await asyncio.wait(tasks)


@pytest.fixture
def up() -> Up:
    return Up()


LEAF = issue()
CHAIN = chain(LEAF, ROOT)


# Lists


async def test_a_list_is_fetched_when_it_is_first_needed(up: Up) -> None:
    up.server.answer = der(crl(ROOT))
    assert await up.judged(CHAIN) is Status.GOOD
    assert await up.judged(CHAIN) is Status.GOOD
    assert up.server.asked == [POINT]
    assert up.told == [(f"revocation.fetch:{POINT}", None)]


async def test_handshakes_at_the_same_time_share_a_fetch(up: Up) -> None:
    up.server.answer = pem(crl(ROOT, LEAF))
    assert await asyncio.gather(up.judged(CHAIN), up.judged(CHAIN)) == [Status.REVOKED] * 2
    assert up.server.asked == [POINT]


async def test_a_list_is_fetched_anew_in_the_background(up: Up) -> None:
    up.server.answer = der(crl(ROOT))
    await up.judged(CHAIN)
    up.remote.news = False

    up.time.move(3_599)
    await up.tick()
    assert len(up.server.asked) == 1

    up.time.move(1)
    await up.tick()
    assert (len(up.server.asked), up.remote.news) == (2, False)

    up.server.answer = der(crl(ROOT, LEAF, at=NOW))
    up.time.move(3_600)
    await up.tick()
    assert up.remote.news
    assert await up.judged(CHAIN) is Status.REVOKED


async def test_a_list_that_ends_sooner_is_fetched_sooner(up: Up) -> None:
    up.server.answer = der(crl(ROOT, ends=NOW + 60))
    await up.judged(CHAIN)
    up.time.move(60)
    await up.tick()
    assert len(up.server.asked) == 2
    up.time.move(LEAST_REFRESH - 1)
    await up.tick()
    assert len(up.server.asked) == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (FetchError("no connection could be made"), "no connection could be made"),
        (404, "the server of the list answered 404"),
        (b"<html>", "holds no revocation list, PEM (BEGIN X509 CRL) or DER"),
        (pem(crl(ROOT), crl(ROOT)), "more than one list"),
        (ZeroDivisionError("secret-7f3a"), "ZeroDivisionError while it was read"),
    ],
)
async def test_a_fetch_that_fails_is_told_and_tried_again_later(up: Up, answer: Any, words: str) -> None:
    up.server.answer = answer
    assert await up.judged(CHAIN) is Status.UNKNOWN
    assert await up.judged(CHAIN) is Status.UNKNOWN
    assert up.told == [(f"revocation.fetch:{POINT}", words)]

    up.server.answer = der(crl(ROOT))
    up.time.move(FIRST_RETRY)
    await up.tick()
    assert await up.judged(CHAIN) is Status.GOOD
    assert up.told[-1] == (f"revocation.fetch:{POINT}", None)


async def test_what_is_known_counts_until_its_end_while_the_server_is_down() -> None:
    up = Up(stale_for=3_600.0)
    up.server.answer = der(crl(ROOT))
    await up.judged(CHAIN)
    up.server.answer = FetchError("down")
    for move, status in ((DAY, Status.GOOD), (3_600, Status.GOOD), (1, Status.UNKNOWN)):
        up.time.move(move)
        await up.tick()
        assert await up.judged(CHAIN) is status


async def test_an_older_list_does_not_replace_a_newer_one(up: Up) -> None:
    up.server.answer = der(crl(ROOT, LEAF, at=NOW - 60))
    await up.judged(CHAIN)
    up.server.answer = der(crl(ROOT, at=NOW - 3_600))
    up.time.move(3_600)
    await up.tick()
    assert await up.judged(CHAIN) is Status.REVOKED
    assert up.told[-1][1] == "the list there is older than the one that was there before"


async def test_a_list_that_does_not_come_in_time_is_given_up() -> None:
    up = Up(timeout=0.001)
    up.server.held = asyncio.Event()
    assert await up.judged(CHAIN) is Status.UNKNOWN
    await up.settled()
    assert up.told == [(f"revocation.fetch:{POINT}", "no whole answer within 0.001 s")]


async def test_the_oldest_list_is_forgotten_where_there_are_too_many(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation_remote, "MAX_POINTS", 1)
    up.server.answer = der(crl(ROOT))
    await up.judged(CHAIN)
    await up.judged(chain(issue(point="http://crl.acme.example/2"), ROOT))
    assert list(up.remote.learnt.lists) == ["http://crl.acme.example/2"]


# Responders

ASKED = answers.LEAF
BY_POLICY = {"point_hosts": frozenset(), "ocsp_hosts": frozenset(), "responder": RESPONDER}


async def test_a_responder_of_the_policy_is_asked_about_every_certificate() -> None:
    up = Up(**BY_POLICY)
    up.server.answer = answers.answer()
    assert await up.judged(chain(ASKED, ROOT)) is Status.GOOD
    assert await up.judged(chain(ASKED, ROOT)) is Status.GOOD
    assert up.server.asked == [RESPONDER]


async def test_a_responder_that_the_certificate_names_is_asked_where_no_list_tells(up: Up) -> None:
    leaf = issue(responder=RESPONDER)
    up.server.answer = answers.answer(ocsp.OCSPCertStatus.REVOKED, about=leaf)  # no list, so that fetch fails
    assert await up.judged(chain(leaf, ROOT)) is Status.REVOKED
    assert up.server.asked == [POINT, RESPONDER]


async def test_answers_are_asked_for_anew_for_connections_that_stand() -> None:
    up, made = Up(**BY_POLICY), chain(ASKED, ROOT)
    up.server.answer = answers.answer()
    await up.judged(made)
    up.remote.news = False
    up.server.answer = answers.answer(ocsp.OCSPCertStatus.REVOKED, at=NOW)
    up.time.move(3_600)
    await up.tick()
    assert len(up.server.asked) == 1
    await up.tick(made, made)
    assert (len(up.server.asked), up.remote.news) == (2, True)
    assert await up.judged(made) is Status.REVOKED


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (500, "the responder answered 500"),
        (b"x" * 70_000, "the answer has more than 65536 bytes"),
        (b"<html>", "the answer is no OCSP response"),
    ],
)
async def test_an_answer_that_does_not_count_is_told(answer: Any, words: str) -> None:
    up = Up(**BY_POLICY)
    up.server.answer = answer
    assert await up.judged(chain(ASKED, ROOT)) is Status.UNKNOWN
    assert up.told == [(f"revocation.ocsp:{RESPONDER}", words)]


async def test_an_older_answer_does_not_replace_a_newer_one() -> None:
    up, made = Up(**BY_POLICY), chain(ASKED, ROOT)
    up.server.answer = answers.answer(ocsp.OCSPCertStatus.REVOKED)
    await up.judged(made)
    up.server.answer = answers.answer(at=NOW - 120)
    up.time.move(3_600)
    await up.tick(made)
    assert await up.judged(made) is Status.REVOKED


async def test_the_oldest_answer_is_forgotten_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation_remote, "MAX_ANSWERS", 1)
    up = Up(**BY_POLICY)
    for leaf in (ASKED, answers.OTHER):
        up.server.answer = answers.answer(about=leaf)
        await up.judged(chain(leaf, ROOT))
    assert len(up.remote.learnt.answers) == 1


# Where it may be asked


async def test_a_host_that_the_policy_does_not_list_is_not_asked() -> None:
    up = Up(point_hosts=frozenset(), ocsp_hosts=frozenset())
    assert await up.judged(chain(issue(responder=RESPONDER), ROOT)) is Status.UNKNOWN
    assert up.server.asked == []
    await up.remote.close()
    assert not up.server.closed  # there is no client yet


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("http://crl.acme.example/x", True), ("https://CRL.acme.example/x?y", True),
        ("http://crl.acme.example:80/", True),
        ("http://crl.acme.example:8080/", False), ("http://other.example:8080/", True),
        ("http://crl.acme.example.evil/", False), ("http://evil@crl.acme.example/", False),
        ("ldap://crl.acme.example/", False), ("file:///etc/passwd", False), ("http://[::1/", False),
        ("http://169.254.169.254/", False), ("http://crl.acme.example:x/", False), ("", False),
    ],
)  # fmt: skip
def test_only_hosts_of_the_policy_are_asked(url: str, may: bool) -> None:
    assert allowed(url, frozenset({"crl.acme.example", "other.example:8080"})) is may


async def test_what_a_reload_no_longer_asks_for_is_forgotten(up: Up) -> None:
    up.server.answer = der(crl(ROOT))
    await up.judged(CHAIN)
    up.server.answer = answers.answer()
    await up.remote.learn(Revocation(**BY_POLICY), chain(ASKED, ROOT), Lists())

    up.remote.adopt([up.settings])
    assert (len(up.remote.learnt.lists), len(up.remote.learnt.answers)) == (1, 1)
    up.remote.adopt([Revocation()])
    assert (up.remote.learnt.lists, up.remote.learnt.answers) == ({}, {})


async def test_what_is_under_way_ends_with_the_gate(up: Up) -> None:
    up.server.held = asyncio.Event()
    waiting = asyncio.ensure_future(up.judged(CHAIN))
    await until(lambda: up.server.asked)
    await up.remote.close()
    assert await waiting is Status.UNKNOWN
    assert up.server.closed


def test_the_gates_own_client_is_made_when_it_is_needed() -> None:
    assert revocation_remote._fetcher() is not None


async def test_a_folder_that_cannot_be_written_is_told_and_keeps_nobody_out() -> None:
    up, told = Up(), []
    up.remote._told = lambda name, failure: told.append((name, failure))
    up.server.answer = der(crl(ROOT))
    assert await up.judged(CHAIN) is Status.GOOD
    assert told == [("revocation.folder", "Not a directory"), (f"revocation.fetch:{POINT}", None)]


async def test_a_handshake_waits_no_longer_than_the_policy_says() -> None:
    points = [f"http://crl.acme.example/{number}" for number in range(9)]
    key = ROOT.credential.key
    builder = ROOT._builder_below(Names("many").subject(), key.public_key(), VALID)
    listed = [x509.DistributionPoint([x509.UniformResourceIdentifier(each)], None, None, None) for each in points]
    made = builder.add_extension(x509.CRLDistributionPoints(listed), critical=False).sign(key, hashes.SHA256())
    up = Up(timeout=0.001)
    up.server.held = asyncio.Event()
    assert await up.judged(chain(Credential(made, key), ROOT)) is Status.UNKNOWN
    assert len(up.server.asked) < len(points)
    await up.remote.close()
