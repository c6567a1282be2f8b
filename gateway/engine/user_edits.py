"""What a user addon may change of a message: some header fields, and nothing else.

A message is looked at by its parts before an addon saw it and after. Names of parts and fields go to the log, values
never do.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping

from mitmproxy import http

from gateway.core.forwarding import HOP_BY_HOP

MAX_ADDED = 8_192
"""Bytes of field lines that the addons may add to one message: upstreams and clients take few more in a head."""

_NEVER_ADDED = HOP_BY_HOP | {"host", "expect", "authorization", "cookie"}
"""Besides what says how the body is to be read: what the gate sets, or would have verified, had the caller sent it."""
_BODY = "content-"
_NEVER_CHANGED = HOP_BY_HOP | {"content-length", "content-encoding", "content-range"}

_NAME = re.compile(rb"[!#$%&'*+\-.^`|~0-9A-Za-z]{1,128}\Z")
"""A token (RFC 9110 5.1) without the underscore, which servers that hand fields on as CGI variables read as `-`."""
_VALUE = re.compile(rb"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?\Z|\Z")

type Line = tuple[bytes, bytes]
type Parts = Mapping[str, object]


class ForbiddenEdit(Exception):  # noqa: N818 - an addon's fault, told like a verdict
    """An addon changed what is not its to change; the message names the part."""


def request_parts(request: http.Request) -> Parts:
    """Give all parts of a request but its header fields."""
    data = request.data
    return {
        "method": data.method,
        "scheme": data.scheme,
        "authority": data.authority,
        "host": data.host,
        "port": data.port,
        "path": data.path,
        **_message_parts(request),
    }


def response_parts(response: http.Response) -> Parts:
    """Give all parts of a response but its header fields."""
    return {"status": (response.data.status_code, response.data.reason), **_message_parts(response)}


def _message_parts(message: http.Message) -> Parts:
    data = message.data
    return {
        "body": data.content,
        "trailers": None if data.trailers is None else data.trailers.fields,
        # A function would change the body on its way; whether to stream it is the gate's affair.
        "stream": callable(message.stream),
        "version": data.http_version,
    }


def check_parts(before: Parts, after: Parts) -> None:
    """Raise ForbiddenEdit where the parts differ."""
    for name, value in before.items():
        if after[name] != value:
            raise ForbiddenEdit(f"it changed the {name}")


def added_to_request(
    before: tuple[Line, ...], after: tuple[Line, ...], covered: Callable[[str], bool]
) -> list[tuple[str, str]]:
    """Give the fields that were added to a request, names in lower case.

    `covered` tells which names stand for what the gate verified. Raises ForbiddenEdit where a field that stood there
    was changed, removed or moved, or where one was added that must not be.
    """
    known = {name.lower() for name, _ in before}
    if tuple(line for line in after if line[0].lower() in known) != tuple(before):
        raise ForbiddenEdit(f"it changed the field {_first_difference(before, after)}")
    added = [_read(line) for line in after if line[0].lower() not in known]
    for name, _ in added:
        if name in _NEVER_ADDED or name.startswith(_BODY) or covered(name):
            raise ForbiddenEdit(f"it added the field {name}")
    _check_size(added)
    return added


def changed_in_response(
    before: tuple[Line, ...], after: tuple[Line, ...], own: Callable[[str], bool]
) -> list[tuple[str, str]]:
    """Give the fields of a response as the addons leave them; names of new ones in lower case.

    `own` tells which names are the gate's. Raises ForbiddenEdit where one of these, or the framing, was changed.
    """

    def kept(lines: tuple[Line, ...]) -> tuple[Line, ...]:
        names = ((line, line[0].lower().decode("latin-1")) for line in lines)
        return tuple(line for line, name in names if name in _NEVER_CHANGED or own(name))

    if kept(before) != kept(after):
        raise ForbiddenEdit(f"it changed the field {_first_difference(kept(before), kept(after))}")
    there = set(before)
    _check_size([_read(line) for line in after if line not in there])
    return [(line[0].decode("ascii"), line[1].decode("latin-1")) if line in there else _read(line) for line in after]


def names_of_changes(before: tuple[Line, ...], after: tuple[Line, ...]) -> list[str]:
    """Name the fields in which two header sections differ, sorted."""
    old, new = Counter(before), Counter(after)
    return sorted({name.lower().decode("latin-1") for name, _ in [*(old - new), *(new - old)]})


def _read(line: Line) -> tuple[str, str]:
    """Read a field as the gate reads a caller's: what could break out of its line must not be in it."""
    name, value = line
    if not _NAME.match(name):
        raise ForbiddenEdit("it added a field whose name is not valid")
    text = name.decode("ascii").lower()
    if not _VALUE.match(value):
        raise ForbiddenEdit(f"it gave the field {text} a value that is not valid")
    return text, value.decode("latin-1")


def _check_size(added: list[tuple[str, str]]) -> None:
    if sum(len(name) + len(value) + 4 for name, value in added) > MAX_ADDED:
        raise ForbiddenEdit(f"it added more than {MAX_ADDED} bytes of fields")


def _first_difference(before: tuple[Line, ...], after: tuple[Line, ...]) -> str:
    """Name a field that stood there and differs: the names of such fields are harmless."""
    names = names_of_changes(before, after)
    there = {name.lower().decode("latin-1") for name, _ in before}
    return next((name for name in names if name in there), names[0] if names else "order")
