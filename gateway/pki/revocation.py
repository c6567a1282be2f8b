"""Whether a chain's certificates were taken back (RFC 5280 section 6.3): asked of revocation lists, without any I/O.

For each certificate but the trusted authority itself:

1. the lists that count are its issuer's by name, signed by the key that issued it, and about its kind
2. of those, the newest is asked
3. revoked is revoked, however old the list is; not listed counts only while the list is fresh, or for as long beyond
   that as the policy lets a stale list stand
4. an answer of its issuer's OCSP responder counts likewise: where it says revoked, and where no list says anything
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import inf

from cryptography import x509

from gateway.core.message import Instant
from gateway.pki.chain import Chain, Link
from gateway.pki.crl import MAX_AHEAD, RevocationList
from gateway.pki.ocsp import Answer

FOREVER = Instant(inf)


class Status(Enum):
    """What is known of a chain."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about a chain, and how long it holds unless something new is learnt."""

    status: Status
    detail: str = ""
    until: Instant = FOREVER

    def worse(self, other: "Verdict") -> "Verdict":
        """Give the one that counts of two: revoked before unknown before good."""
        mine, theirs = _ORDER.index(self.status), _ORDER.index(other.status)
        if mine == theirs == 0:
            return self if self.until <= other.until else other
        return self if mine >= theirs else other


_ORDER = (Status.GOOD, Status.UNKNOWN, Status.REVOKED)

GOOD = Verdict(Status.GOOD)


@dataclass(slots=True)
class Learnt:
    """What was asked over the network so far."""

    lists: dict[str, RevocationList] = field(default_factory=dict)
    """By the URL of the distribution point."""
    answers: dict[bytes, Answer] = field(default_factory=dict)
    """By the certificate's fingerprint."""

    def lists_of(self, link: Link) -> list[RevocationList]:
        """Give the lists at a certificate's distribution points, as far as they are known."""
        return [self.lists[point] for point in link.points if point in self.lists]


class Lists:
    """Revocation lists by their issuer."""

    def __init__(self, lists: Iterable[RevocationList] = ()) -> None:
        self._by_issuer: dict[x509.Name, list[RevocationList]] = {}
        for each in lists:
            self._by_issuer.setdefault(each.issuer, []).append(each)

    def newest(
        self, link: Link, authority: Link, now: Instant, more: Sequence[RevocationList] = ()
    ) -> RevocationList | None:
        """Give the newest list that tells about a certificate, whose issuer `authority` is; None where none does."""
        known = [
            each
            for each in (*self._by_issuer.get(link.issuer, ()), *more)
            if each.issuer == link.issuer
            and each.this_update <= now + MAX_AHEAD
            and each.is_about(authority=link.authority, points=link.points)
            and each.signed_by(authority.certificate, authority.fingerprint)
        ]
        return max(known, key=lambda each: each.this_update, default=None)

    def ends(self) -> dict[str, Instant]:
        """Name the issuers, and when the first of each one's newest lists goes out of date."""
        newest: dict[tuple[x509.Name, object], RevocationList] = {}
        for issuer, lists in self._by_issuer.items():
            for each in lists:
                key = issuer, each.scope
                if key not in newest or newest[key].this_update < each.this_update:
                    newest[key] = each
        found: dict[str, Instant] = {}
        for (issuer, _), each in newest.items():
            name = issuer.rfc4514_string()
            found[name] = min(each.next_update, found.get(name, FOREVER))
        return found


def to_be_checked(chain: Chain, *, leaf_only: bool) -> Sequence[tuple[Link, Link]]:
    """Give the certificates whose revocation counts, each with its issuer."""
    pairs = list(zip(chain.links, chain.links[1:], strict=False))
    return pairs[:1] if leaf_only else pairs


def judge_link(link: Link, authority: Link, lists: Lists, now: Instant, *, stale_for: float, learnt: Learnt) -> Verdict:
    """Say what is known of one certificate."""
    by_list = _by_list(link, authority, lists, now, stale_for=stale_for, learnt=learnt)
    answer = learnt.answers.get(link.fingerprint)
    if answer is None:
        return by_list
    if answer.revoked:
        return Verdict(
            Status.REVOKED, f"{link.name} (number {link.serial.hex()}) is revoked, says its issuer's responder"
        )
    ends = Instant(answer.next_update + stale_for)
    if by_list.status is not Status.UNKNOWN or ends < now:
        return by_list
    return Verdict(Status.GOOD, until=ends)


def _by_list(link: Link, authority: Link, lists: Lists, now: Instant, *, stale_for: float, learnt: Learnt) -> Verdict:
    found = lists.newest(link, authority, now, learnt.lists_of(link))
    if found is None:
        return Verdict(Status.UNKNOWN, f"no revocation list of {authority.name} for {link.name}")
    if link.serial in found:
        return Verdict(Status.REVOKED, f"{link.name} (number {link.serial.hex()}) is on the list of {authority.name}")
    ends = Instant(found.next_update + stale_for)
    if ends < now:
        return Verdict(Status.UNKNOWN, f"the revocation list of {authority.name} is out of date")
    return Verdict(Status.GOOD, until=ends)


def judge(
    chain: Chain, lists: Lists, now: Instant, *, stale_for: float, leaf_only: bool, learnt: Learnt | None = None
) -> Verdict:
    """Say what is known of a whole chain."""
    known, verdict = learnt or Learnt(), GOOD
    for link, authority in to_be_checked(chain, leaf_only=leaf_only):
        verdict = verdict.worse(judge_link(link, authority, lists, now, stale_for=stale_for, learnt=known))
    return verdict
