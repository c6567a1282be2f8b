"""Strict reading of a request head by RFC 9110, 9112 and 9113, whatever reader served its parts.

What two programs could read in two ways is refused here, once, before any control sees it:

1. version and method are known ones
2. every field name is a token, every value free of control characters
3. the target is in origin form, or in an absolute form that agrees with Host
4. the path has one reading only: no dot segments, empty segments, or needless percent-encoding
5. exactly one host is named
6. the framing of the body is unambiguous
7. Connection names no field that a control may have verified, and HTTP/2 has nothing of HTTP/1.1's connections
"""

import re
from collections.abc import Collection, Mapping
from urllib.parse import unquote_to_bytes

from gateway.core.memo import Memo
from gateway.core.message import Headers, RequestHead
from gateway.core.policy import Limits
from gateway.core.reasons import Denied, Reason

KNOWN_METHODS: Mapping[bytes, str] = {
    method.encode(): method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
"""CONNECT and TRACE are known too, and never wanted in front of an API."""

MAX_TARGET_BYTES = 8_000
"""RFC 9110 section 4.1 asks for at least 8,000 octets; nobody signs longer ones."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_VALUE = re.compile(rb"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?\Z|\Z")
_PATH = re.compile(rb"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*)+\Z")
_QUERY = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]]|%[0-9A-Fa-f]{2})*\Z")
_AUTHORITY = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_](?:[A-Za-z0-9_.\-]{0,253}[A-Za-z0-9_])?\.?)(?P<port>:[0-9]{1,5})?\Z"
)
_ABSOLUTE = re.compile(rb"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)\Z", re.DOTALL)
_AMBIGUOUS_SEGMENT = re.compile(
    rb"//|/\.{1,2}(?:/|\Z)"  # empty and dot segments: servers disagree on removing them
    rb"|;"  # path parameters: some servers cut them off before they route
    rb"|%(?:2[Ff]|5[Cc]|25|[01].|7[Ff]|2[EeDd]|5[Ff]|7[Ee]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa])"
    # encoded slash, backslash, percent, control and unreserved characters: decoding changes the path
)
_HTTP1_ONLY = ("connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings")
_CONNECTION_OPTIONS = frozenset({"", "close", "keep-alive", "te", "upgrade", "http2-settings"})
_CONTENT_LENGTH = re.compile(r"[0-9]{1,18}\Z")

type RawFields = Collection[tuple[bytes, bytes]]


def read_head(
    *,
    method: bytes,
    target: bytes,
    version: str,
    fields: RawFields,
    authority: bytes | None = None,
    ends_with_head: bool = False,
    by_llhttp: bool = False,
) -> RequestHead:
    """Make a RequestHead of raw parts, or raise Denied with the reason of the first fault.

    `version` is `HTTP/1.1` or `HTTP/2` (`HTTP/2.0`); `authority` is HTTP/2's :authority pseudo-header,
    `ends_with_head` its END_STREAM flag: there a body may come without a declared length. `by_llhttp` where llhttp
    read the fields: it takes no octets in their values but those of RFC 9110 5.5, so they are not looked at again.
    """
    number = _read_version(version)
    known_method = KNOWN_METHODS.get(method)
    if known_method is None:
        raise Denied(Reason.METHOD_UNKNOWN, f"method {printable(method)}")
    headers = (by_llhttp and _unique_fields(fields)) or read_fields(number, fields)
    path, query, target_authority = _read_target(number, target)
    named, host = _read_host(number, headers, authority, target_authority)
    content_length, has_body = _read_framing(number, headers, ends_with_head=ends_with_head)
    _read_connection(number, headers)
    expect = headers.single("expect")
    if expect is not None and expect.lower() != "100-continue":
        raise Denied(Reason.EXPECTATION_UNKNOWN, "Expect other than 100-continue")
    origin_form = path if query is None else f"{path}?{query}"
    return RequestHead(known_method, origin_form, path, query, number, named, host, headers, content_length, has_body)


def printable(raw: bytes, limit: int = 64) -> str:
    """Text of untrusted bytes for a log: escaped, quoted and cut to `limit` bytes."""
    return repr(raw[:limit])[1:] + ("…" if len(raw) > limit else "")


def _read_version(version: str) -> str:
    if version == "HTTP/1.1":
        return "1.1"
    if version in ("HTTP/2.0", "HTTP/2"):
        return "2"
    raise Denied(Reason.VERSION_UNSUPPORTED, f"version {printable(version.encode('utf-8', 'replace'))}")


def _unique_fields(fields: RawFields) -> Headers | None:
    """Read fields that llhttp has read; None where there is something to say against them, or a name stands twice."""
    try:
        values = {_NAMES[name]: value.strip(b" \t").decode("latin-1") for name, value in fields}
    except Denied:
        return None
    return Headers(values=values) if len(values) == len(fields) else None


def read_fields(version: str, fields: RawFields) -> Headers:
    """Read the fields of a head or of trailers. Raises Denied(FIELD_INVALID)."""
    return Headers([_read_field(version, name, value) for name, value in fields])


def _read_field(version: str, name: bytes, value: bytes) -> tuple[str, str]:
    known = _NAMES[name]
    if version == "2" and name != name.lower():
        raise Denied(Reason.FIELD_INVALID, f"field name {printable(name)} has upper case (RFC 9113 8.2.1)")
    value = value.strip(b" \t")
    if not _VALUE.match(value):
        raise Denied(Reason.FIELD_INVALID, f"value of {printable(name)} has control characters (RFC 9110 5.5)")
    return known, value.decode("latin-1")


def _read_name(name: bytes) -> str:
    if not _TOKEN.match(name):
        raise Denied(Reason.FIELD_INVALID, f"field name {printable(name)} is not a token (RFC 9110 5.1)")
    if b"_" in name:
        # Servers that hand fields on as CGI variables read `-` and `_` alike.
        raise Denied(Reason.FIELD_INVALID, f"field name {printable(name)} has an underscore")
    return name.decode("ascii").lower()


def _read_connection(version: str, headers: Headers) -> None:
    if version == "2":
        for name in _HTTP1_ONLY:
            if name in headers:
                raise Denied(Reason.FIELD_INVALID, f"{name} in HTTP/2 (RFC 9113 8.2.2)")
        if any(value.lower() != "trailers" for value in headers.all("te")):
            raise Denied(Reason.FIELD_INVALID, "te other than trailers in HTTP/2 (RFC 9113 8.2.2)")
    for value in headers.all("connection"):
        for option in value.lower().split(","):
            if option.strip(" \t") not in _CONNECTION_OPTIONS:
                # It would have an end-to-end field removed that a control may have verified.
                raise Denied(Reason.FIELD_INVALID, f"Connection names {printable(option.encode('latin-1'))}")


def _read_target(version: str, target: bytes) -> tuple[str, str | None, bytes | None]:
    if len(target) > MAX_TARGET_BYTES:
        raise Denied(Reason.TARGET_INVALID, f"target of {len(target)} bytes; at most {MAX_TARGET_BYTES}")
    authority = None
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE.match(target) if version == "1.1" else None  # :path has no such form (RFC 9113 8.3.1)
        if absolute is None or absolute["scheme"].lower() not in (b"https", b"http"):
            raise Denied(Reason.TARGET_INVALID, f"target {printable(target)} is not in origin form (RFC 9112 3.2.1)")
        authority, target = absolute["authority"], absolute["rest"]
        if not target.startswith(b"/"):
            target = b"/" + target
    path, mark, query = target.partition(b"?")
    if not mark:
        return _PATHS[path], None, authority
    if not _QUERY.match(query):
        raise _invalid_target()
    return _PATHS[path], query.decode("ascii"), authority


def _read_path(path: bytes) -> str:
    if not _PATH.match(path):
        raise _invalid_target()
    if _AMBIGUOUS_SEGMENT.search(path) or not _is_utf8(path):
        raise Denied(Reason.TARGET_AMBIGUOUS, f"path {printable(path)} can be read in two ways")
    return path.decode("ascii")


def _invalid_target() -> Denied:
    return Denied(Reason.TARGET_INVALID, "target has characters that RFC 3986 does not allow there")


def _is_utf8(path: bytes) -> bool:
    """Whether the percent-encoded octets are UTF-8: overlong forms decode to a slash in some servers."""
    try:
        unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _read_host(version: str, headers: Headers, pseudo: bytes | None, target_authority: bytes | None) -> tuple[str, str]:
    hosts = headers.all("host")
    if len(hosts) > 1:
        raise Denied(Reason.HOST_INVALID, f"Host stands {len(hosts)} times (RFC 9112 3.2)")
    named = [*hosts]
    if pseudo:
        named.append(pseudo.decode("latin-1"))
    if not named:
        raise Denied(Reason.HOST_INVALID, "no Host field (RFC 9112 3.2)" if version == "1.1" else "no :authority")
    if target_authority is not None:
        named.append(target_authority.decode("latin-1"))
    if len(named) > 1 and len({name.encode("latin-1").lower() for name in named}) > 1:
        raise Denied(Reason.HOST_INVALID, "Host and the target's authority disagree")
    return named[0], _HOSTS[named[0]]


def _read_authority(authority: str) -> str:
    """Give the host alone."""
    match = _AUTHORITY.match(authority)
    if match is None or (match["port"] and int(match["port"][1:]) > 65535):
        raise Denied(Reason.HOST_INVALID, f"host {printable(authority.encode('latin-1'))} is not host[:port]")
    return match["host"].lower().rstrip(".")


_NAMES = Memo(_read_name, longest=64)
_PATHS = Memo(_read_path)
_HOSTS = Memo(_read_authority)
"""What was read of the names, paths and hosts that come with nearly every request."""


def _read_framing(version: str, headers: Headers, *, ends_with_head: bool) -> tuple[int | None, bool]:
    lengths, codings = headers.all("content-length"), headers.all("transfer-encoding")
    if not lengths and not codings and version == "1.1":
        return None, False
    if codings and version == "2":
        raise Denied(Reason.FRAMING_AMBIGUOUS, "Transfer-Encoding in HTTP/2 (RFC 9113 8.2.2)")
    if codings and lengths:
        raise Denied(Reason.FRAMING_AMBIGUOUS, "Content-Length beside Transfer-Encoding (RFC 9112 6.1)")
    if codings and (len(codings) > 1 or codings[0].lower() != "chunked"):
        raise Denied(Reason.FRAMING_AMBIGUOUS, "Transfer-Encoding other than one `chunked`")
    if len(lengths) > 1 or (lengths and not _CONTENT_LENGTH.match(lengths[0])):
        raise Denied(Reason.FRAMING_AMBIGUOUS, "Content-Length is not one decimal number (RFC 9110 8.6)")
    length = int(lengths[0]) if lengths else None
    if version == "2":
        if ends_with_head and length:
            raise Denied(Reason.FRAMING_AMBIGUOUS, "Content-Length of a body that does not follow (RFC 9113 8.1.1)")
        return length, not ends_with_head
    return length, bool(codings) or bool(length)


def check_size(size: int, fields: int, limits: Limits) -> None:
    """Raise Denied(HEAD_TOO_LARGE) where a head of `size` bytes and `fields` field lines is beyond the limits."""
    if size > limits.head:
        raise Denied(Reason.HEAD_TOO_LARGE, f"head of {size} bytes, the listener takes {limits.head}")
    if fields > limits.fields:
        raise Denied(Reason.HEAD_TOO_LARGE, f"{fields} field lines, the listener takes {limits.fields}")
