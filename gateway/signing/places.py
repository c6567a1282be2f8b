"""Where signature, key id, timestamp and nonce stand in a message: fields, items of a field, query, form, JSON."""

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.core.message import Headers, RequestHead
from gateway.core.reasons import Reason
from gateway.signing.content import FORM, Content, Json, Number, find, put, read_json, read_pointer, write_json
from gateway.signing.derived import query_without
from gateway.signing.own import Signed
from gateway.signing.parts import Source
from gateway.signing.scheme import refusal

MAX_ITEMS = 16
"""Items of a list field, several signatures among them: vendors send two while a key is rotated."""


@dataclass(frozen=True, slots=True)
class InHeader:
    """The whole value of a field, after a prefix that must be there."""

    name: str
    """Lower case."""
    prefix: str = ""

    in_body = False

    def find(self, headers: Headers, what: str) -> str:
        """Give the text. Raises Denied: SIGNATURE_MISSING, FIELD_REPEATED, SIGNATURE_MALFORMED."""
        value = headers.single(self.name)
        if value is None:
            raise refusal(Reason.SIGNATURE_MISSING, f"no {self.name} field for the {what}")
        if not value.startswith(self.prefix):
            raise refusal(Reason.SIGNATURE_MALFORMED, f"{self.name} does not begin with {self.prefix!r}")
        return value[len(self.prefix) :]


@dataclass(frozen=True, slots=True)
class InItems:
    """Items of a list in one field, those that begin with a prefix: `t=1795352400,v1=…,v1=…`."""

    name: str
    separator: str
    prefix: str = ""

    in_body = False

    def __post_init__(self) -> None:
        if not self.separator:
            raise ValueError("items of a field need a separator")

    def find(self, headers: Headers, what: str) -> list[str]:
        """Give the items' texts, at least one. Raises Denied as `InHeader.find`."""
        value = headers.single(self.name)
        if value is None:
            raise refusal(Reason.SIGNATURE_MISSING, f"no {self.name} field for the {what}")
        items = value.split(self.separator, MAX_ITEMS)
        if len(items) > MAX_ITEMS:
            raise refusal(Reason.SIGNATURE_MALFORMED, f"{self.name} has more than {MAX_ITEMS} items")
        stripped = [item.strip(" ") for item in items]
        found = [item[len(self.prefix) :] for item in stripped if item.startswith(self.prefix)]
        if not found:
            detail = f"no item of {self.name} begins with {self.prefix!r}, as the {what} does"
            raise refusal(Reason.SIGNATURE_MISSING, detail)
        return found


@dataclass(frozen=True, slots=True)
class InContent:
    """A parameter of the query, a field of a form, or what a pointer into a JSON body points to."""

    source: Source
    name: str
    _pointer: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pointer = read_pointer(self.name) if self.source == "json" else (self.name,)
        if not pointer or not self.name:
            raise ValueError(f"{self.name!r} is no place of its own in the {self.source}")
        object.__setattr__(self, "_pointer", pointer)

    @property
    def in_body(self) -> bool:
        """Whether the body must be at hand to find it."""
        return self.source != "query"

    def find(self, content: Content, what: str) -> str:
        """Give the text. Raises Denied: SIGNATURE_MISSING, SIGNATURE_MALFORMED, SIGNATURE_CONTENT."""
        try:
            found = self._find(content)
        except KeyError:
            raise refusal(Reason.SIGNATURE_MISSING, f"no {self.name} in the {self.source} for the {what}") from None
        except ValueError as error:
            raise refusal(Reason.SIGNATURE_CONTENT, str(error)) from None
        if not isinstance(found, str):
            raise refusal(Reason.SIGNATURE_MALFORMED, f"{self.name} in the {self.source} is neither text nor a number")
        return found

    def _find(self, content: Content) -> Json:
        if self.source == "json":
            return find(content.json, self._pointer)
        return (content.form if self.source == "form" else content.query)[self.name]


type Place = InHeader | InItems | InContent


class Writing(NamedTuple):
    """Something to write at a place."""

    place: Place
    text: str
    number: bool = False
    """Whether JSON has it as a number."""


def write(head: RequestHead, body: bytes, writings: list[Writing]) -> Signed:
    """Write texts at their places. Raises ValueError for a body that has no place for them."""
    items: dict[str, list[str]] = {}
    fields: list[tuple[str, str]] = []
    target, changed = None, None
    for place, text, number in writings:
        if isinstance(place, InHeader):
            fields.append((place.name, place.prefix + text))
        elif isinstance(place, InItems):
            items.setdefault(place.name, []).append(place.prefix + text)
        elif place.source == "query":
            target = _with_parameter(head, place.name, text)
            head = head._replace(target=target, query=target.partition("?")[2])
        else:
            body = changed = _with_member(head, body, place, Number(text) if number else text)
    separators = {place.name: place.separator for place, _, _ in writings if isinstance(place, InItems)}
    fields += [(name, separators[name].join(texts)) for name, texts in items.items()]
    return Signed(fields, target, changed)


def _with_parameter(head: RequestHead, name: str, text: str) -> str:
    rest = query_without(head.query, name)
    return f"{head.path}?{rest}{'&' if rest else ''}{name}={_percent_encoded(text)}"


def _with_member(head: RequestHead, body: bytes, place: InContent, value: str) -> bytes:
    if place.source == "form":
        kept = query_without(body.decode("latin-1"), place.name)
        content_type = (head.headers.single("content-type") or "").partition(";")[0].strip().lower()
        if content_type != FORM:
            raise ValueError("the body is no form by its Content-Type")
        return f"{kept}{'&' if kept else ''}{place.name}={_percent_encoded(value)}".encode("latin-1")
    content = read_json(body)
    put(content, read_pointer(place.name), value)
    return write_json(content).encode()


def _percent_encoded(text: str) -> str:
    return text.replace("%", "%25").replace("+", "%2B").replace("/", "%2F").replace("=", "%3D").replace("&", "%26")
