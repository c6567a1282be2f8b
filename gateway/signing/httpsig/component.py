"""Component identifiers (RFC 9421 section 2): what of a message a signature can cover."""

import re
from dataclasses import dataclass, field

from gateway.signing.httpsig.fields import Item, read_item, write

DERIVED = (
    "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", "@query-param", "@status",
)  # fmt: skip
"""Derived components (RFC 9421 2.2); `@signature-params` stands in every base and cannot be covered by name."""

MAX_NAME = 128
"""Characters of a name, of a dictionary's key and of a query parameter's name."""

_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+\Z")
_FLAGS = frozenset({"sf", "bs", "tr", "req"})
_TEXTS = frozenset({"key", "name"})


@dataclass(frozen=True, slots=True)
class Component:
    """One covered component. Two are equal where name and parameters are, in whatever order (RFC 9421 2)."""

    name: str
    sf: bool = False
    """Strict serialisation of a structured field (2.1.1)."""
    key: str | None = None
    """One member of a dictionary field (2.1.2)."""
    bs: bool = False
    """Each field line as a byte sequence (2.1.3)."""
    tr: bool = False
    """Of the trailers (2.1.4)."""
    req: bool = False
    """Of the request that a response answers (2.4)."""
    parameter: str | None = None
    """Name of a query parameter, percent-encoded as RFC 9421 2.2.8 has it."""
    identifier: str = field(default="", compare=False)
    """The identifier as it stands in the signature base: quotes, and parameters in the signer's order."""

    @classmethod
    def of(cls, item: Item) -> "Component":
        """Make one of an inner list's item. Raises ValueError for a name or parameter that RFC 9421 does not have."""
        name, parameters = item
        if not isinstance(name, str):
            raise ValueError("a component identifier is no string (RFC 9421 2)")  # noqa: TRY004 - a fault of the text
        shown = repr(name[:MAX_NAME])
        for parameter, value in parameters.items():
            if parameter not in _FLAGS | _TEXTS:
                raise ValueError(f"component {shown} has the unknown parameter {parameter[:MAX_NAME]!r}")
            if (parameter in _FLAGS and value is not True) or (parameter in _TEXTS and not _is_text(value)):
                raise ValueError(f"parameter {parameter!r} of component {shown} has a value of the wrong kind")
        given = parameters.keys()
        if name.startswith("@"):
            _check_derived(name, frozenset(given), shown)
        elif len(name) > MAX_NAME or not _FIELD_NAME.match(name):
            raise ValueError(f"component {shown} is no field name in lower case (RFC 9421 2.1)")
        elif "name" in given or ("bs" in given and {"sf", "key"} & given):
            raise ValueError(f"component {shown} has parameters that do not go together (RFC 9421 2.1)")
        key, text = parameters.get("key"), parameters.get("name")
        return cls(
            name=name,
            sf="sf" in given,
            key=key if isinstance(key, str) else None,
            bs="bs" in given,
            tr="tr" in given,
            req="req" in given,
            parameter=text if isinstance(text, str) else None,
            identifier=write(item),
        )

    @classmethod
    def parse(cls, text: str) -> "Component":
        """Read one as a policy writes it: `@method`, `content-type`, or `"@query-param";name="Pet"` as in the RFC.

        The quotes around the name may be left out, and a field's name may have upper case. Raises ValueError.
        """
        name, semicolon, parameters = text.partition(";")
        name = name.strip('"')
        return cls.of(read_item(f'"{name if name.startswith("@") else name.lower()}"{semicolon}{parameters}'))

    @property
    def whole_field(self) -> bool:
        """Whether it is all of a header field, in whatever form."""
        return not self.name.startswith("@") and self.key is None and not self.tr and not self.req


def _check_derived(name: str, given: frozenset[str], shown: str) -> None:
    if name not in DERIVED:
        raise ValueError(f"there is no derived component {shown} (RFC 9421 2.2)")
    allowed = {"req", "name"} if name == "@query-param" else set() if name == "@status" else {"req"}
    if not given <= allowed or (name == "@query-param" and "name" not in given):
        wanted = "needs the parameter `name`" if name == "@query-param" else "takes no such parameter"
        raise ValueError(f"component {shown} {wanted} (RFC 9421 2.2)")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME
