"""Signs responses (RFC 9421 section 2.4): what of a response, and of the request that it answers, is covered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.core.memo import Memo
from gateway.core.message import Instant
from gateway.signing.algorithms import Signer
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.digest import CONTENT_DIGEST
from gateway.signing.httpsig.fields import Kind
from gateway.signing.httpsig.message import Response
from gateway.signing.httpsig.negotiation import Wish
from gateway.signing.httpsig.sign import Terms, sign
from gateway.signing.httpsig.values import Reading, value_of

STATUS: Final = Component.parse("@status")
DIGEST: Final = Component.parse(CONTENT_DIGEST)

ALWAYS = (STATUS, DIGEST, Component.parse('"@method";req'), Component.parse('"@target-uri";req'))
"""What answers without further ado: which answer this is, and to which request (RFC 9421 2.4)."""

IF_PRESENT = tuple(
    map(
        Component.parse,
        ("content-type", "location", '"content-digest";req', '"signature-input";req', '"signature";req'),
    )
)
"""What is covered beside it where it is there. The request's signature ties the answer to that one request, and what it
covered along with it: a signature value alone could be another's (RFC 9421 2.4)."""

LABEL = "gateway"

_NO_KINDS: Mapping[str, Kind] = {}


@dataclass(frozen=True, slots=True)
class AnswerRules:
    """What the gate's signatures of responses cover and state.

    Raises ValueError for components that no response of the gate's has.
    """

    covered: tuple[Component, ...] = ALWAYS
    """`@status` and `content-digest` need not be named."""
    covered_if_present: tuple[Component, ...] = IF_PRESENT
    label: str = LABEL
    tag: str | None = None
    expires_after: float | None = None
    """Seconds from `created` to `expires`; None: it does not expire."""
    kinds: Mapping[str, Kind] = field(default_factory=lambda: _NO_KINDS, hash=False)

    _compiled: Memo[tuple[Component, ...], Covered] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for component in (*self.covered, *self.covered_if_present):
            if component.tr:
                raise ValueError(f"{component.identifier} is of trailers, which the gate does not pass on")
            if component.name.startswith("@") and not component.req and component != STATUS:
                raise ValueError(f'{component.identifier} is of requests: write it as `"{component.name}";req`')
        object.__setattr__(self, "covered", tuple(dict.fromkeys((STATUS, DIGEST, *self.covered))))
        kinds = self.kinds
        compiled: Memo[tuple[Component, ...], Covered]
        compiled = Memo(lambda components: Covered(components, kinds), capacity=64, longest=64)
        object.__setattr__(self, "_compiled", compiled)
        Covered((*self.covered, *(each for each in self.covered_if_present if each not in self.covered)), kinds)

    def sign(
        self, response: Response, signer: Signer, key_id: str, now: Instant, *, wishes: Sequence[Wish] = (),
        whatever_there_is: bool = False,
    ) -> list[tuple[str, str]]:  # fmt: skip
        """Give the fields Signature-Input and Signature, with the signatures that were wished for beside the gate's.

        `whatever_there_is` leaves out what the message does not have, as an answer to a request that could not be read
        must. A wish that cannot be fulfilled is passed over (RFC 9421 5.2). Raises ValueError for a response that
        cannot be signed, AbsentError among others.
        """
        optional = [each for each in self.covered_if_present if each not in self.covered]
        wanted = [*(_found(response, self.covered, self.kinds) if whatever_there_is else self.covered)]
        wanted += _found(response, optional, self.kinds)
        expires = None if self.expires_after is None else Instant(now + self.expires_after)
        terms = Terms(now, key_id, expires=expires, tag=self.tag)
        made = [sign(response, self._compiled[tuple(wanted)], terms, self.label, signer)]
        taken = {self.label}
        for wish in wishes:
            if wish.label in taken or not wish.fits(key_id, signer.algorithm):
                continue
            try:
                covered = Covered(wish.components, self.kinds)
                made.append(sign(response, covered, wish.terms(terms, signer.algorithm), wish.label, signer))
            except ValueError:
                continue
            taken.add(wish.label)
        return [
            (name, ", ".join(value for fields in made for other, value in fields if other == name))
            for name in ("signature-input", "signature")
        ]


def _found(response: Response, components: Iterable[Component], kinds: Mapping[str, Kind]) -> list[Component]:
    """Give the components that the message has, and that can be signed."""
    found = []
    reading = Reading(response)
    for component in components:
        try:
            text = value_of(component, kinds)(reading)
        except ValueError:
            continue
        if text.isascii() and "\n" not in text:
            found.append(component)
    return found
