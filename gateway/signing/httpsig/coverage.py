"""What a signature must cover, and whether it does: more is welcome, less is not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.core.message import RequestHead
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.digest import CONTENT_DIGEST

_WITHIN: Mapping[str, frozenset[str]] = {
    "@authority": frozenset({"@target-uri"}),
    "@scheme": frozenset({"@target-uri"}),
    "@request-target": frozenset({"@target-uri"}),
    "@path": frozenset({"@target-uri", "@request-target"}),
    "@query": frozenset({"@target-uri", "@request-target"}),
    "@query-param": frozenset({"@target-uri", "@request-target", "@query"}),
}
"""Derived components that others hold whole (RFC 9421 2.2): a signature over the other covers the one."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What signatures must cover: components always, fields where the request has them, the body where there is one."""

    always: tuple[Component, ...]
    if_present: tuple[str, ...] = ()
    """Names of fields, in lower case."""

    def judge(self, covered: Covered) -> "Verdict":
        """Judge what does not depend on the request."""
        return Verdict(
            covered=covered,
            missing=tuple(each.identifier for each in self.always if not _covers(covered, each)),
            open_fields=tuple(name for name in self.if_present if not _covers(covered, Component(name))),
            body=_covers(covered, Component(CONTENT_DIGEST))
            or Component(CONTENT_DIGEST, tr=True) in covered.components,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """Covered components, and what they leave open."""

    covered: Covered
    missing: tuple[str, ...]
    """Identifiers of what must be covered and is not."""
    open_fields: tuple[str, ...]
    """Fields that are not covered, and must be where they are there."""
    body: bool
    """Whether Content-Digest is covered; as a trailer it must be there too, and is checked before the signature is."""

    def uncovered(self, head: RequestHead) -> list[str]:
        """Name what of a request must be covered and is not."""
        return list(self._uncovered(head))

    def _uncovered(self, head: RequestHead) -> Iterator[str]:
        yield from self.missing
        yield from (f'"{name}"' for name in self.open_fields if name in head.headers)
        if head.has_body and not self.body:
            yield f'"{CONTENT_DIGEST}"'


def _covers(covered: Covered, wanted: Component) -> bool:
    """Whether the component is covered, by itself or by one that holds it."""
    holders = _WITHIN.get(wanted.name, frozenset())
    return any(
        each == wanted
        or (not each.req and each.parameter is None and each.name in holders)
        or (wanted == Component(wanted.name) and each.name == wanted.name and each.whole_field)
        for each in covered.components
    )
