from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from gateway.core import barred as module
from gateway.core.barred import LOCKED, Bar, Barred, Caller, Thing, Unreadable
from gateway.core.decision import Decision
from gateway.core.exchange import decide
from gateway.core.message import Instant
from gateway.core.reasons import Denied, Reason
from tests import world
from tests.world import NOW, World

DIGEST = "token-digest"


def decided(bars: Mapping[tuple[Thing, str], Bar] | Barred, sent: World | None = None) -> Decision:
    sent = sent or World()
    barred = bars if isinstance(bars, Barred) else Barred(bars)
    decision = world.drive(decide(sent.policy, sent.peer, sent.head(), sent.now, barred), sent.answers)
    assert decision is not None
    return decision


def bar(thing: Thing, value: str, until: float | None = None) -> dict[tuple[Thing, str], Bar]:
    return {(thing, value): Bar(7, None if until is None else Instant(until))}


ROWS: dict[str, tuple[Thing, str, Reason, str]] = {
    "partner": (Thing.PARTNER, world.PARTNER, Reason.REVOKED_PARTNER, "mutual_tls"),
    "certificate": (Thing.CERTIFICATE, "ab" * 32, Reason.REVOKED_CERTIFICATE, "mutual_tls"),
    "token": (Thing.TOKEN, "operator/token-1", Reason.REVOKED_TOKEN, "token"),
    "subject": (Thing.SUBJECT, f"operator/{world.SUBJECT}", Reason.REVOKED_TOKEN, "token"),
    "issuer's key": (Thing.ISSUER_KEY, f"operator/{world.KEY_ID}", Reason.REVOKED_KEY, "token"),
    "signing key": (Thing.KEY, world.SIGNING_KEY_ID, Reason.REVOKED_KEY, "signature"),
}


@pytest.mark.parametrize(("thing", "value", "reason", "control"), ROWS.values(), ids=ROWS)
def test_what_is_barred_is_refused_as_soon_as_it_is_known(
    thing: Thing, value: str, reason: Reason, control: str
) -> None:
    decision = decided(bar(thing, value))
    assert (decision.reason, decision.control, decision.detail) == (reason, control, "number 7")


@pytest.mark.parametrize(("thing", "value"), [row[:2] for row in ROWS.values()], ids=ROWS)
def test_others_of_its_kind_and_the_same_text_of_another_kind_pass(thing: Thing, value: str) -> None:
    others = {(other, value): Bar(1, None) for other in set(Thing) - LOCKED if other is not thing}
    assert decided({**others, (thing, f"{value}x"): Bar(2, None)}).allowed


def test_a_token_is_known_by_its_text() -> None:
    from hashlib import sha256  # noqa: PLC0415

    sent = World()
    decision = decided(bar(Thing.TOKEN_DIGEST, sha256(sent.token.encode()).hexdigest()), sent)
    assert decision.reason is Reason.REVOKED_TOKEN
    assert ("www-authenticate", 'Bearer realm="gateway", error="invalid_token"') in decision.response_fields


def test_a_bar_ends_by_itself() -> None:
    assert not decided(bar(Thing.PARTNER, world.PARTNER, NOW + 0.1)).allowed
    assert decided(bar(Thing.PARTNER, world.PARTNER, NOW)).allowed


def test_a_certificate_is_refused_also_where_no_control_looks_at_it() -> None:
    route = world.route(chain=world.chain(mutual_tls=None, ip_allowlist=None))
    decision = decided(bar(Thing.CERTIFICATE, "ab" * 32), World(policy=world.policy(route)))
    assert decision.reason is Reason.REVOKED_CERTIFICATE


def test_a_route_without_any_control_is_asked_at_its_end() -> None:
    route = world.route(chain=(), partners=None)
    decision = decided(bar(Thing.CERTIFICATE, "ab" * 32), World(policy=world.policy(route)))
    assert (decision.reason, decision.control) == (Reason.REVOKED_CERTIFICATE, None)


@pytest.mark.parametrize("changes", [{}, {"chain": (), "partners": None}])
def test_nothing_passes_while_it_is_not_known_what_is_barred(changes: dict[str, Any]) -> None:
    decision = decided(Unreadable("a line is damaged"), World(policy=world.policy(world.route(**changes))))
    assert (decision.reason, decision.detail) == (Reason.REVOCATIONS_UNREADABLE, "a line is damaged")


def test_a_token_without_an_id_or_a_caller_without_tls_is_no_error() -> None:
    sent = World(token=world.token(world.claims(jti=None)))
    assert decided(bar(Thing.TOKEN, "operator/x"), sent).allowed
    sent = World(peer=replace(world.peer(), tls=None), policy=world.policy(world.route(chain=(), partners=None)))
    assert decided(bar(Thing.CERTIFICATE, "ab" * 32), sent).allowed


def test_values_are_not_shown() -> None:
    assert repr(Barred(bar(Thing.PARTNER, "acme"))) == "Barred(1)"


@pytest.mark.parametrize(
    ("bars", "partners", "reason"),
    [
        (bar(Thing.CERTIFICATE, "ab" * 32), (), Reason.REVOKED_CERTIFICATE),
        (bar(Thing.PARTNER, "one"), ("one",), Reason.REVOKED_PARTNER),
        (bar(Thing.PARTNER, "one") | bar(Thing.PARTNER, "two"), ("one", "two"), Reason.REVOKED_PARTNER),
        (bar(Thing.PARTNER, "one"), ("one", "two"), None),
        (bar(Thing.PARTNER, "one", NOW), ("one",), None),
        (bar(Thing.PARTNER, "one"), (), None),
    ],
)
def test_a_connection_that_stands_is_looked_at_by_its_certificate(
    bars: Mapping[tuple[Thing, str], Bar], partners: tuple[str, ...], reason: Reason | None
) -> None:
    tls = world.peer().tls
    assert tls is not None
    assert tls.certificate is not None
    expected = nullcontext() if reason is None else pytest.raises(Denied, match="number 7")
    with expected as caught:
        Barred(bars).check_connection(tls.certificate, partners, NOW)
    assert caught is None or caught.value.reason is reason


def address(number: int) -> Caller:
    return Caller(Thing.LOCKED_ADDRESS, f"203.0.113.{number}")


def test_locking_out_leaves_the_rest_as_it_was() -> None:
    first = Barred(bar(Thing.PARTNER, "acme"))
    second = first.locking(address(1), Bar(0, NOW))
    assert (first.locked, second.locked) == ({}, {address(1): Bar(0, NOW)})
    assert first.bars == second.bars == bar(Thing.PARTNER, "acme")
    assert repr(second) == "Barred(2)"


def test_of_too_many_lock_outs_the_oldest_address_is_forgotten_and_no_partner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LOCKED", 3)
    partner = Caller(Thing.LOCKED_PARTNER, "acme")
    barred = Barred({partner: Bar(1, NOW)})
    for number in range(5):
        barred = barred.locking(address(number), Bar(0, NOW))
    assert list(barred.locked) == [partner, address(3), address(4)]
    assert list(Barred({**barred.locked, address(9): Bar(2, NOW)}).locked) == [partner, address(4), address(9)]


def test_while_failures_cannot_be_counted_no_credentials_are_looked_at() -> None:
    uncounted = Barred({}).counting("the store is away")
    decision = decided(uncounted, World(token="forged"))
    assert (decision.reason, decision.control) == (Reason.STATE_UNAVAILABLE, "token")
    assert decision.detail == "the store is away"
    assert decided(uncounted.counting("")).allowed


def test_who_is_locked_out_is_told_so_even_then() -> None:
    partner = Caller(Thing.LOCKED_PARTNER, world.PARTNER)
    uncounted = Barred({partner: Bar(4, Instant(NOW + 9))}).counting("the store is away")
    assert decided(uncounted).reason is Reason.LOCKED_OUT
