"""The query and the body of a message taken apart, for schemes that sign or carry single parts of them.

Each is read once, and only when a scheme asks for it. Reading is strict, so that upstream cannot read another message
out of the same bytes: a name that stands twice, text that is not UTF-8, half a surrogate pair, or a media type that
says something else raises ValueError. What is read is bounded by the head's limits and the route's body limit.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from math import isfinite
from urllib.parse import unquote_to_bytes

from gateway.core.message import RequestHead
from gateway.signing.jose import refuse_constant, unique_members

MAX_PARAMETERS = 256
"""Parameters of a query or form; a wallet's call has a dozen."""

FORM = "application/x-www-form-urlencoded"

_JSON = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json\Z")
_TOKEN = re.compile(r"(?:[^~]|~[01])*\Z")


class Number(str):
    """A number as it stands in the JSON text: `1.10` and `1.1` are the same number and sign differently."""

    __slots__ = ()


type Json = bool | Number | str | list[Json] | dict[str, Json] | None


class Content:
    """A message's query and body."""

    def __init__(self, head: RequestHead, body: bytes) -> None:
        self.head = head
        self.body = body

    def __repr__(self) -> str:
        """Without what it holds."""
        return "Content(…)"

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The query's parameters, decoded. Raises ValueError."""
        return read_parameters(self.head.query or "", "query")

    @cached_property
    def form(self) -> Mapping[str, str]:
        """The body's fields as a form, decoded; none where there is no body. Raises ValueError."""
        if not self.body and not self._media_type:
            return {}
        if self._media_type != FORM:
            raise ValueError("the body is no form by its Content-Type")
        return read_parameters(self.body.decode("latin-1"), "form")

    @cached_property
    def json(self) -> Json:
        """The body as JSON. Raises ValueError."""
        if not _JSON.match(self._media_type):
            raise ValueError("the body is no JSON by its Content-Type")
        return read_json(self.body)

    @property
    def _media_type(self) -> str:
        return (self.head.headers.single("content-type") or "").partition(";")[0].strip().lower()


def read_parameters(text: str, what: str) -> dict[str, str]:
    """Read `name=value&…`, percent-decoded, plus signs as spaces. Raises ValueError."""
    found: dict[str, str] = {}
    pairs = text.split("&", MAX_PARAMETERS) if text else []
    if len(pairs) > MAX_PARAMETERS:
        raise ValueError(f"the {what} has more than {MAX_PARAMETERS} parameters")
    for pair in pairs:
        written, _, value = pair.partition("=")
        name = _decoded(written, what)
        if name in found:
            raise ValueError(f"a parameter of the {what} stands twice")
        found[name] = _decoded(value, what)
    return found


def _decoded(text: str, what: str) -> str:
    try:
        return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"the {what} is not UTF-8") from None


def read_json(raw: bytes) -> Json:
    """Read I-JSON (RFC 7493), numbers as they are written. Raises ValueError with a message that shows no value."""
    try:
        text = raw.decode("utf-8")
        value: Json = json.loads(
            text,
            object_pairs_hook=unique_members,
            parse_constant=refuse_constant,
            parse_float=_number,
            parse_int=_number,
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    except UnicodeDecodeError:
        raise ValueError("the body is not UTF-8") from None
    except UnicodeEncodeError:
        raise ValueError("the body has half a surrogate pair (RFC 7493 2.1)") from None
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    return value


def _number(text: str) -> Number:
    if not isfinite(float(text)):
        raise ValueError("a number is beyond the range of a double (RFC 7493 2.2)")
    return Number(text)


def read_pointer(text: str) -> tuple[str, ...]:
    """Read a JSON pointer (RFC 6901) to its tokens. Raises ValueError."""
    if text and not text.startswith("/"):
        raise ValueError(f"{text!r} does not begin with a slash")
    tokens = text.split("/")[1:]
    if not all(_TOKEN.match(token) for token in tokens):
        raise ValueError(f"{text!r} has a `~` that stands for nothing: write ~0, or ~1 for a slash")
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in tokens)


def find(value: Json, pointer: Sequence[str]) -> Json:
    """Give what a pointer points to. Raises KeyError where it is absent.

    Raises ValueError for a list of several items: only the one that is pointed to would be signed.
    """
    for step in pointer:
        if isinstance(value, dict):
            value = value[step]
        elif isinstance(value, list):
            if step != "0" or not value:
                raise KeyError(step)
            if len(value) > 1:
                raise ValueError(f"{len(value)} items in a list of which one is signed")
            value = value[0]
        else:
            raise KeyError(step)
    return value


def put(value: Json, pointer: Sequence[str], new: Json) -> None:
    """Set what a pointer points to; objects on the way are made. Raises ValueError where that cannot be."""
    *way, last = pointer or [""]
    for step in way:
        if isinstance(value, dict):
            value = value.setdefault(step, {})
        elif isinstance(value, list) and step == "0" and len(value) == 1:
            value = value[0]
        else:
            raise ValueError(f"there is no place for {last!r} in the body")
    if not isinstance(value, dict):
        raise ValueError(f"there is no place for {last!r} in the body")  # noqa: TRY004 - a fault of the body
    value[last] = new


def scalar(value: Json) -> str:
    """Give the text of a value that is not composed. Raises ValueError for lists and objects."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    if value is None:
        return ""
    raise ValueError(f"found {'a list' if isinstance(value, list) else 'an object'} where text or a number is signed")


def write_json(value: Json, *, php: bool = False) -> str:
    """Write JSON without white space, members in their order, numbers as they were read.

    `php` escapes slashes and all that is not ASCII, as PHP's json_encode does by default.
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"{_string(name, php)}:{write_json(each, php=php)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(write_json(each, php=php) for each in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return str(value) if isinstance(value, Number) else _string(value, php)


def _string(text: str, php: bool) -> str:
    written = json.dumps(text, ensure_ascii=php)
    return written.replace("/", "\\/") if php else written
