from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from gateway.core import lockout as module
from gateway.core.barred import Bar, Barred, Caller, Thing, caller_of, network_of
from gateway.core.exchange import decide
from gateway.core.lockout import COUNTED, Failures, Lockout
from gateway.core.message import Instant
from gateway.core.networks import NetworkSet
from gateway.core.reasons import Reason
from tests import world
from tests.world import NOW, World

RULES = Lockout(after=3, within=60.0, seconds=1_800.0)
FORGED = world.token(key=world.private_key("P-256", "attacker"))
PARTNER = Caller(Thing.LOCKED_PARTNER, world.PARTNER)
ADDRESS = Caller(Thing.LOCKED_ADDRESS, str(world.ADDRESS))


def without_certificate(**changes: Any) -> World:
    """Give a request of somebody whom no certificate identifies."""
    route = world.route(chain=world.chain(mutual_tls=None, ip_allowlist=None))
    return World(policy=world.policy(route), peer=world.peer(certificate=None), **changes)


def fail(
    failures: Failures, sent: World, times: int, *, now: float = NOW, rules: Lockout = RULES
) -> list[Caller | None]:
    return [failures.decided(sent.decide(), rules, Instant(now)) for _ in range(times)]


def test_a_partner_counts_where_its_certificate_says_who_it_is() -> None:
    assert fail(Failures(), World(token=FORGED), 3) == [None, None, PARTNER]


def test_all_others_count_by_their_address_whoever_they_claim_to_be() -> None:
    assert fail(Failures(), without_certificate(token=FORGED), 3) == [None, None, ADDRESS]
    wrong = without_certificate(fields={"x-signature": "0" * 64})
    assert fail(Failures(), wrong, 3) == [None, None, ADDRESS]


def test_a_success_begins_the_count_anew() -> None:
    failures = Failures()
    fail(failures, World(token=FORGED), 2)
    assert failures.decided(World().decide(), RULES, NOW) is None
    assert fail(failures, World(token=FORGED), 3) == [None, None, PARTNER]


def test_failures_count_within_their_time() -> None:
    failures = Failures()
    fail(failures, World(token=FORGED), 2)
    assert fail(failures, World(token=FORGED), 1, now=NOW + 61) == [None]
    assert fail(failures, World(token=FORGED), 2, now=NOW + 62) == [None, PARTNER]


def test_a_lock_out_begins_the_count_anew() -> None:
    failures = Failures()
    fail(failures, World(token=FORGED), 3)
    assert fail(failures, World(token=FORGED), 3) == [None, None, PARTNER]


@pytest.mark.parametrize(
    "sent",
    [
        World(fields={"authorization": None}),
        World(token=world.token(world.claims(exp=int(NOW) - 100, iat=int(NOW) - 200))),
        World(token=world.token(header={"kid": "rotated"})),
        World(now=Instant(NOW + 200)),
        World(method=b"GET"),
    ],
)
def test_what_an_honest_client_does_too_does_not_count(sent: World) -> None:
    failures = Failures()
    fail(failures, sent, 5)
    assert len(failures) == 0


def test_what_counts_is_authentication() -> None:
    assert all(reason.code.startswith(("token.", "signature.")) for reason in COUNTED)
    assert COUNTED.isdisjoint({Reason.TOKEN_MISSING, Reason.TOKEN_EXPIRED, Reason.SIGNATURE_STALE})


def test_addresses_that_many_share_can_be_left_out() -> None:
    rules = Lockout(3, 60.0, 1_800.0, NetworkSet([ip_network("198.51.100.0/24")]))
    failures = Failures()
    assert fail(failures, without_certificate(token=FORGED), 5, rules=rules) == [None] * 5
    assert len(failures) == 0
    assert fail(failures, World(token=FORGED), 3, rules=rules)[-1] == PARTNER


def test_a_policy_that_changes_the_number_keeps_what_was_counted() -> None:
    failures = Failures()
    fail(failures, World(token=FORGED), 2)
    assert fail(failures, World(token=FORGED), 1, rules=Lockout(2, 60.0))[-1] == PARTNER


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_COUNTED", 2)
    failures = Failures()
    for number in range(1, 5):
        sent = without_certificate(token=FORGED)
        sent.peer = world.peer(ip_address(f"203.0.113.{number}"), certificate=None)
        fail(failures, sent, 1)
    assert len(failures) == 2


@pytest.mark.parametrize(
    ("address", "counted"),
    [("203.0.113.9", "203.0.113.9"), ("2001:db8::1", "2001:db8::/64"), ("2001:db8:0:1:ffff::9", "2001:db8:0:1::/64")],
)
def test_an_ipv6_network_is_one_caller(address: str, counted: str) -> None:
    assert network_of(ip_address(address)) == counted


class TestLockedOut:
    def decided(self, caller: Caller, sent: World, until: float = NOW + 10) -> Reason:
        barred = Barred({caller: Bar(3, Instant(until))})
        decision = world.drive(decide(sent.policy, sent.peer, sent.head(), sent.now, barred), sent.answers)
        assert decision is not None
        return decision.reason

    def test_a_partner_is_not_listened_to_until_its_time_is_over(self) -> None:
        assert self.decided(PARTNER, World()) is Reason.LOCKED_OUT
        assert self.decided(PARTNER, World(token=FORGED)) is Reason.LOCKED_OUT
        assert self.decided(PARTNER, World(), until=NOW) is Reason.ALLOWED

    def test_nor_is_an_address(self) -> None:
        assert self.decided(ADDRESS, without_certificate()) is Reason.LOCKED_OUT

    def test_an_address_does_not_lock_out_whom_a_certificate_identifies(self) -> None:
        assert self.decided(ADDRESS, World()) is Reason.ALLOWED

    def test_a_partner_that_is_locked_out_by_certificate_is_not_by_its_token(self) -> None:
        """Anybody may hold a certificate's place: only the certificate's own failures count against it."""
        assert self.decided(PARTNER, without_certificate()) is Reason.ALLOWED

    def test_a_route_with_a_signature_alone_does_not_look_at_it(self) -> None:
        chain = world.chain(mutual_tls=None, ip_allowlist=None, token=None, rate_limit=None)
        sent = World(policy=world.policy(world.route(chain=chain)), peer=world.peer(certificate=None))
        assert self.decided(ADDRESS, sent) is Reason.LOCKED_OUT


def test_the_caller_is_known_also_of_a_request_that_is_over() -> None:
    assert caller_of(World().decide().exchange) == PARTNER
