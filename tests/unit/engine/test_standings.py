from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from gateway.audit.events import ConnectionCut
from gateway.core.barred import Bar, Barred, Thing
from gateway.core.message import Instant, Peer, Standing
from gateway.core.policy import Revocation
from gateway.core.reasons import Reason
from gateway.engine.revocation import RevocationCheck
from gateway.engine.standings import CUT_SECONDS, Standings
from gateway.pki.authority import Authority, Credential, Names, Purpose, Validity
from gateway.pki.chain import Chain
from gateway.pki.crl import RevocationList
from tests import world
from tests.crls import DAY, chain, crl, der
from tests.unit.engine.gates import Made
from tests.world import NOW

VALID = Validity.around(NOW, days=30)
ROOT, OTHER = Authority.root("Partners CA", VALID), Authority.root("Other CA", VALID)
PARTNER = ROOT.issue(Names("casino", uris=("spiffe://acme.example/casino",)), Purpose.CLIENT, VALID)
NOBODY = ROOT.issue(Names("nobody"), Purpose.CLIENT, VALID)


class Open:
    """An established connection."""

    def __init__(self, made: Chain | None) -> None:
        until = Standing().until if made is None else made.facts.not_after
        self.peer: Peer = replace(world.peer(), standing=Standing(made, until))
        self.told: list[str] = []
        self.tunnelled: Any = None

    def drain(self) -> None:
        self.told.append("drain")

    def abort(self) -> None:
        self.told.append("abort")


class Up:
    """A gate with some connections."""

    def __init__(self, *leaves: Credential) -> None:
        self.made = Made()
        self.open = [Open(chain(leaf, ROOT)) for leaf in leaves]
        self.standings = Standings(self.made.gate, self.open)
        self.trusts(ROOT)

    def trusts(self, *authorities: Authority) -> None:
        ders = frozenset(chain(each.credential).links[0].der for each in authorities)
        self.contexts: Any = {"public": SimpleNamespace(trusted=ders)}

    def reload(self, *, revoked: Any = None, stale: bool = False, **policy: Any) -> None:
        gate = self.made.gate
        before = gate.in_force
        checks = {}
        if revoked is not None:
            made = crl(ROOT, *revoked, ends=NOW - 60 if stale else NOW + DAY)
            checks["public"] = RevocationCheck(Revocation(), [RevocationList(der(made))])
        gate.in_force = replace(before, policy=world.policy(**policy), revocation=checks)
        self.standings.reloaded(before, self.contexts)

    @property
    def cut(self) -> list[Reason]:
        return [event.reason for event in self.made.log.of(ConnectionCut)]


def test_a_reload_that_changes_nothing_cuts_nobody() -> None:
    up = Up(PARTNER, NOBODY)
    up.reload()
    up.reload(revoked=[])
    up.standings.look()
    assert (up.cut, [one.told for one in up.open]) == ([], [[], []])


def test_a_certificate_that_is_revoked_ends_its_connections_and_no_others() -> None:
    up = Up(PARTNER, PARTNER, NOBODY)
    up.reload(revoked=[PARTNER])
    assert up.cut == [Reason.CERTIFICATE_REVOKED] * 2
    assert [one.told for one in up.open] == [["drain"], ["drain"], []]
    assert up.open[0].peer.standing.withdrawn is not None
    assert up.open[2].peer.standing.withdrawn is None
    (event, _) = up.made.log.of(ConnectionCut)
    assert (event.connection_id, event.listener, event.tls) == ("connection-1", "public", up.open[0].peer.tls)
    assert "is on the list of CN=Partners CA" in event.detail


def test_a_connection_is_cut_once() -> None:
    up = Up(PARTNER)
    for _ in range(3):
        up.reload(revoked=[PARTNER])
        up.standings.look()
    assert (len(up.cut), up.open[0].told) == (1, ["drain"])


def test_a_list_that_is_out_of_date_cuts_whom_it_would_not_let_in() -> None:
    up = Up(PARTNER)
    up.reload(revoked=[], stale=True)
    assert up.cut == [Reason.CERTIFICATE_STATUS_UNKNOWN]


def test_a_list_that_goes_out_of_date_is_noticed_without_a_reload() -> None:
    up = Up(PARTNER)
    up.reload(revoked=[])
    up.made.time.move(DAY)
    up.standings.look()
    assert up.cut == []
    up.made.time.move(1)
    up.standings.look()
    assert up.cut == [Reason.CERTIFICATE_STATUS_UNKNOWN]


def test_a_certificate_that_ends_takes_its_connection_along() -> None:
    up = Up(PARTNER)
    up.made.time.now = VALID.not_after
    up.standings.look()
    assert up.cut == []
    up.made.time.move(1)
    up.standings.look()
    assert up.cut == [Reason.CERTIFICATE_EXPIRED]


def test_an_authority_that_is_taken_out_takes_its_connections_along() -> None:
    up = Up(PARTNER)
    up.trusts(ROOT, OTHER)
    up.reload()
    assert up.cut == []
    up.trusts(OTHER)
    up.reload()
    assert up.cut == [Reason.CERTIFICATE_UNTRUSTED]


def test_a_partner_that_is_removed_takes_its_connections_along() -> None:
    up = Up(PARTNER, NOBODY)
    up.reload(partners={world.OTHER_PARTNER: world.other_partner()})
    assert up.cut == [Reason.PARTNER_UNKNOWN]
    assert up.open[1].told == []  # was nobody's before


def test_who_came_without_a_certificate_stays() -> None:
    up = Up()
    up.open.append(Open(None))
    up.trusts()
    up.reload(revoked=[], partners={})
    up.made.time.move(365 * DAY)
    up.standings.look()
    assert (up.cut, up.open[0].told) == ([], [])


def test_what_does_not_end_by_itself_is_broken_off() -> None:
    up = Up(PARTNER, PARTNER)
    up.reload(revoked=[PARTNER])
    gone = up.open.pop()
    up.made.time.monotonic += CUT_SECONDS - 1
    up.standings.look()
    assert up.open[0].told == ["drain"]
    up.made.time.monotonic += 1
    up.standings.look()
    up.standings.look()
    assert (up.open[0].told, gone.told) == (["drain", "abort"], ["drain"])


# What the operator takes out of use


def barred(up: Up, *things: tuple[Thing, str], until: Instant | None = None) -> None:
    up.made.gate.barred = Barred({thing: Bar(7, until) for thing in things})
    up.standings.barred()


def test_a_certificate_that_the_operator_revokes_ends_its_connections_and_no_others() -> None:
    up = Up(PARTNER, NOBODY)
    fingerprint = chain(PARTNER, ROOT).facts.fingerprint
    for _ in range(2):
        barred(up, (Thing.CERTIFICATE, fingerprint))
    assert up.cut == [Reason.REVOKED_CERTIFICATE]
    assert [one.told for one in up.open] == [["drain"], []]
    assert up.open[0].peer.standing.withdrawn == (Reason.REVOKED_CERTIFICATE, "number 7")


def test_a_partner_that_the_operator_revokes_takes_its_connections_along() -> None:
    up = Up(PARTNER, NOBODY)
    up.open.append(Open(None))
    barred(up, (Thing.PARTNER, world.PARTNER), (Thing.KEY, "any"))
    assert up.cut == [Reason.REVOKED_PARTNER]
    assert up.open[0].told == ["drain"]


def test_a_bar_that_is_over_or_about_others_cuts_nobody() -> None:
    up = Up(PARTNER, NOBODY)
    up.standings.barred()
    barred(up, (Thing.PARTNER, world.PARTNER), until=NOW)
    barred(up, (Thing.PARTNER, world.OTHER_PARTNER), (Thing.LOCKED_PARTNER, world.PARTNER))
    assert up.cut == []


def test_a_websocket_ends_with_whatever_opened_it() -> None:
    up = Up()
    up.open += [Open(None), Open(None)]
    made = world.World()
    assert made.decide().allowed
    up.open[0].tunnelled = made.decide().exchange
    barred(up, (Thing.TOKEN, "operator/token-1"))
    assert up.cut == [Reason.REVOKED_TOKEN]
    assert [one.told for one in up.open] == [["drain"], []]


def test_a_request_of_a_connection_that_was_cut_is_denied() -> None:
    peer = world.peer()
    assert world.World(peer=peer).decide().allowed
    peer.standing.withdrawn = Reason.CERTIFICATE_REVOKED, "on the list"
    decision = world.World(peer=peer).decide()
    assert (decision.reason, decision.detail) == (Reason.CERTIFICATE_REVOKED, "on the list")
