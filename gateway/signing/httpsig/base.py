"""The signature base (RFC 9421 section 2.5), from covered components compiled once for all messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.fields import Item, Kind
from gateway.signing.httpsig.message import Message
from gateway.signing.httpsig.values import Reading, Value, value_of

MAX_COMPONENTS = 48
"""Components a signature may cover: profiles ask for three to ten."""

_NOTHING: Mapping[str, Kind] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Covered:
    """The covered components of a signature, in the signer's order."""

    components: tuple[Component, ...]
    kinds: Mapping[str, Kind] = field(default_factory=lambda: _NOTHING, repr=False)
    """Structure of fields that are not known by themselves, for `sf`."""
    text: str = field(init=False)
    """The components as they stand in `@signature-params`, without its parameters."""
    trailers: bool = field(init=False)
    """Whether trailers are among them."""
    _values: tuple[tuple[str, Value], ...] = field(init=False, repr=False)
    """What stands before each value, and the value."""

    def __post_init__(self) -> None:
        components = self.components
        if len(components) > MAX_COMPONENTS:
            raise ValueError(f"{len(components)} covered components; at most {MAX_COMPONENTS}")
        if len(set(components)) < len(components):
            raise ValueError("a component is covered twice (RFC 9421 2)")
        values = tuple((f"{each.identifier}: ", value_of(each, self.kinds)) for each in components)
        object.__setattr__(self, "text", f"({' '.join(each.identifier for each in components)})")
        object.__setattr__(self, "trailers", any(each.tr and not each.req for each in components))
        object.__setattr__(self, "_values", values)

    @classmethod
    def of(cls, items: Sequence[Item], kinds: Mapping[str, Kind]) -> "Covered":
        """Compile the items of an inner list.

        Raises ValueError for what is no component, stands twice (RFC 9421 2.5), or is one of too many.
        """
        if len(items) > MAX_COMPONENTS:
            raise ValueError(f"{len(items)} covered components; at most {MAX_COMPONENTS}")
        return cls(tuple(Component.of(item) for item in items), kinds)

    def base(self, message: Message, parameters: str) -> bytes:
        """Build the base of a message; `parameters` is the text of the signature's parameters.

        Raises AbsentError for a component that the message does not have, and ValueError for a value that cannot be
        signed: one that is not ASCII, say, which needs `bs`.
        """
        reading = Reading(message)
        lines = [f"{identifier}{value(reading)}" for identifier, value in self._values]
        lines.append(f'"@signature-params": {self.text}{parameters}')
        text = "\n".join(lines)
        if text.count("\n") != len(lines) - 1:
            raise ValueError("a covered value has a line feed (RFC 9421 2.5)")
        if not text.isascii():
            raise ValueError("a covered value is not ASCII: sign it with `bs` (RFC 9421 2.5)")
        return text.encode("ascii")
