"""A request's body as JSON, read so that nobody downstream can read another text out of it.

Refused is whatever programs read differently: a body that its fields declare to be something else, such as a form or
compressed, as a text can be both; members that stand twice in an object, also where they differ in case alone (some
readers take either for the other); names with a NUL or the like; NaN and Infinity, bytes that are not UTF-8, a byte
order mark, nesting beyond what a stack holds. Numbers are kept as they are written: nothing here ever becomes a binary
fraction.
"""

import json
import re
from dataclasses import dataclass
from typing import NoReturn

from gateway.core.message import Headers
from gateway.core.reasons import Denied, Reason

MAX_TEXT = 256
"""Characters of a key or of what is counted by: transaction and player ids are far shorter, and each is kept."""

_VISIBLE = re.compile(r"[\x21-\x7e]{1,256}\Z")
"""Visible ASCII: whatever has several forms in Unicode, upstream may take for the same, or for another."""

_CUT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""In a member's name: where some readers end it, or leave it out, so that it becomes another member's."""

_WHOLE = re.compile(r"(?:0|-?[1-9][0-9]{0,63})\Z")
_INDEX = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")
_ESCAPE = re.compile(r"~(?![01])")


_MEDIA = re.compile(
    r"(?:application/(?:json|[a-z0-9!#$&^_.-]+\+json)|text/(?:json|plain))"
    r"""(?:[ \t]*+;[ \t]*+(?:charset=(?:"(?:utf-8|us-ascii)"|utf-8|us-ascii))?)*+\Z""",
    re.IGNORECASE,
)
"""Media types that nobody reads but as JSON, in UTF-8. Vendors send JSON as plain text, too, and without any type."""


class Number(str):
    """A number, as it is written."""

    __slots__ = ()


type Value = dict[str, "Value"] | list["Value"] | str | Number | bool | None


@dataclass(frozen=True, slots=True)
class Pointer:
    """A JSON pointer (RFC 6901). Raises ValueError for a text that is none."""

    text: str
    tokens: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.text.startswith("/") or _ESCAPE.search(self.text):
            raise ValueError("a JSON pointer begins with a slash, and `~` stands before 0 or 1 only")
        tokens = tuple(part.replace("~1", "/").replace("~0", "~") for part in self.text[1:].split("/"))
        object.__setattr__(self, "tokens", tokens)

    def find(self, document: Value) -> Value:
        """Give the value; raises Denied(BODY_VALUE_MISSING) where there is none."""
        value = document
        for token in self.tokens:
            if isinstance(value, dict) and token in value:
                value = value[token]
            elif isinstance(value, list) and _INDEX.match(token) and int(token) < len(value):
                value = value[int(token)]
            else:
                raise Denied(Reason.BODY_VALUE_MISSING, f"the body has nothing at {self.text}")
        return value

    def text_in(self, document: Value, otherwise: Reason) -> str:
        """Give the value as text that is counted or looked up by: a string of visible ASCII, or a whole number.

        `123` and `"123"` are the same. Raises Denied: BODY_VALUE_MISSING, BODY_VALUE_TYPE, or `otherwise` for text that
        is empty, longer than MAX_TEXT, or has other characters.
        """
        value = self.find(document)
        if isinstance(value, Number):
            if not _WHOLE.match(value):
                raise Denied(otherwise, f"{self.text} is a number that is not whole, or too long")
        elif not isinstance(value, str):
            raise Denied(Reason.BODY_VALUE_TYPE, f"{self.text} is {kind_of(value)}, expected text")
        elif not _VISIBLE.match(value):
            raise Denied(otherwise, f"{self.text} is no text of 1 to {MAX_TEXT} visible ASCII characters")
        return str(value)


def is_plain(text: str) -> bool:
    """Whether a text can be a key or what is counted by."""
    return _VISIBLE.match(text) is not None


def check_declared(headers: Headers) -> None:
    """Raise Denied(BODY_NOT_JSON) where the fields declare another kind of body; or FIELD_REPEATED."""
    media = headers.single("content-type")
    if media is not None and not _MEDIA.match(media):
        raise Denied(Reason.BODY_NOT_JSON, "Content-Type does not say JSON in UTF-8")
    coding = headers.single("content-encoding")
    if coding is not None and coding.lower() != "identity":
        raise Denied(Reason.BODY_NOT_JSON, "Content-Encoding says that the body is encoded")


def read_document(body: bytes) -> Value:
    """Read a body. Raises Denied: BODY_NOT_JSON or BODY_MEMBER_REPEATED."""
    try:
        value: Value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise Denied(Reason.BODY_NOT_JSON, "the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Denied(Reason.BODY_NOT_JSON, f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise Denied(Reason.BODY_NOT_JSON, "the body is nested too deeply") from None
    return value


def kind_of(value: Value) -> str:
    """Name the type of a value."""
    match value:
        case dict():
            return "an object"
        case list():
            return "an array"
        case Number():
            return "a number"
        case str():
            return "a string"
        case bool():
            return "true or false"
        case _:
            return "null"


def canonical(value: Value) -> str:
    """Write a value so that two are written alike only if they are the same: members sorted, numbers as received."""
    match value:
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{canonical(value[name])}" for name in sorted(value)) + "}"
        case list():
            return "[" + ",".join(map(canonical, value)) + "]"
        case Number():
            return str(value)
        case _:
            return json.dumps(value)


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    made = dict(pairs)
    if len({name.casefold() for name in made}) < len(pairs):
        raise Denied(Reason.BODY_MEMBER_REPEATED, "an object of the body has a member twice, in whichever case")
    if _CUT.search("".join(made)):
        raise Denied(Reason.BODY_NOT_JSON, "a member's name has a control character or half a surrogate pair")
    return made


def _constant(text: str) -> NoReturn:
    raise Denied(Reason.BODY_NOT_JSON, f"{text} is no number in JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=_constant)
