"""Text to typed values. Each function reads one kind of text and raises `Unfit` with what would be right."""

import difflib
import re
import socket
from collections.abc import Iterable
from datetime import UTC, date, datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from math import floor
from urllib.parse import urlsplit

from gateway.core.document import Pointer
from gateway.core.message import Address, Instant
from gateway.core.networks import Network
from gateway.policy.problem import quoted

DAY = 86_400.0

MAX_DURATION = 366 * DAY
"""Seconds; anything longer is a slip of the unit."""

MAX_SIZE = 1_073_741_824
"""Bytes; bodies are held in memory while they are checked."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_DURATION = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,3})?) ?(?P<unit>[A-Za-zµ]*)\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": DAY}
_SIZE = re.compile(r"(?P<number>[0-9]{1,12}) ?(?P<unit>[A-Za-z]*)\Z")
_BYTES = {"B": 1, "KiB": 1_024, "MiB": 1_048_576, "GiB": 1_073_741_824}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})\Z"
)
_PREFIX = re.compile(r"[0-9]{1,3}\Z")
_IPV4_NETWORK = re.compile(r"([0-9.]{7,15})/([0-9]{1,2})\Z")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")
_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]{1,128}\Z")
_FIELD_TEXT = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*\Z")
_KEY_ID = re.compile(r"[\x21-\x7e]{1,128}\Z")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}\Z")  # RFC 6749 section 3.3
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_HEX_PAIRS = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2})*\Z")
_EMAIL = re.compile(r"[\x21-\x3f\x41-\x7e]{1,64}\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+\Z")


DEFAULT_PORTS = {"http": 80, "https": 443}


class Unfit(ValueError):  # noqa: N818 - raised for a text, not for a fault of ours
    """A text that is no value of its kind: what is wrong with it, and what was expected."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def near(word: str, known: Iterable[str]) -> str | None:
    """Give the known word that was probably meant."""
    by_case = {each.lower(): each for each in known if any(char.isalpha() for char in each)}
    found = difflib.get_close_matches(word.lower(), by_case, n=1, cutoff=0.65)
    return by_case[found[0]] if found else None


def name(text: str) -> str:
    """Read the name of something in the policy. It stands in logs and header fields, so it is plain ASCII."""
    if not _NAME.match(text):
        raise Unfit(f"{quoted(text)} is no name", "expected up to 64 letters, digits, `-`, `_` and `.`")
    return text


def duration(text: str) -> float:
    """Read a duration above zero, in seconds."""
    seconds = duration_or_zero(text)
    if seconds <= 0:
        raise Unfit("must be longer than zero")
    return seconds


def duration_or_zero(text: str) -> float:
    """Read a duration, in seconds."""
    expected = "expected a duration such as 500ms, 60s, 10m, 24h or 30d"
    match = _DURATION.match(text)
    if match is None or match["unit"] not in _SECONDS:
        unitless = match is not None and not match["unit"]
        raise Unfit(f"{quoted(text)} has no unit" if unitless else f"{quoted(text)} is no duration", expected)
    seconds = float(match["number"]) * _SECONDS[match["unit"]]
    if seconds > MAX_DURATION:
        raise Unfit(f"{quoted(text)} is too long", "at most 366d")
    return seconds


def whole_seconds(text: str) -> int:
    """Read a duration of whole seconds, at least one."""
    seconds = duration(text)
    if seconds != floor(seconds):
        raise Unfit(f"{quoted(text)} is not a whole number of seconds")
    return int(seconds)


def size(text: str) -> int:
    """Read a number of bytes."""
    expected = "expected a size such as 512B, 64KiB or 1MiB"
    match = _SIZE.match(text)
    if match is None or match["unit"] not in _BYTES:
        unitless = match is not None and not match["unit"]
        raise Unfit(f"{quoted(text)} has no unit" if unitless else f"{quoted(text)} is no size", expected)
    number = int(match["number"]) * _BYTES[match["unit"]]
    if number > MAX_SIZE:
        raise Unfit(f"{quoted(text)} is too large", "at most 1GiB")
    return number


def day(text: str) -> date:
    """Read a day of the calendar."""
    try:
        if _DAY.match(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Unfit(f"{quoted(text)} is no date", "expected year, month and day such as 2027-05-01")


def instant(text: str) -> Instant:
    """Read a point in time: a day, which stands for its beginning in UTC, or a time with its zone (RFC 3339)."""
    try:
        if _DAY.match(text):
            return Instant(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
        if _MOMENT.match(text):
            return Instant(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        pass
    raise Unfit(f"{quoted(text)} is no point in time", "expected one such as 2027-02-01 or 2027-02-01T06:00:00Z")


def network(text: str) -> Network:
    """Read an IPv4 or IPv6 network, or a single address. Host bits must be zero."""
    usual = _IPV4_NETWORK.match(text)
    if usual is not None:  # allowlists are long, and `ipaddress` takes three times as long to read one
        try:
            return IPv4Network((socket.inet_pton(socket.AF_INET, usual[1]), int(usual[2])))
        except (OSError, ValueError):
            pass  # what is wrong with it is told below
    written, slash, prefix = text.partition("/")
    expected = "expected an address or a network such as 198.51.100.0/24 or 2001:db8::/32"
    has_prefix = _PREFIX.match(prefix) is not None
    try:
        address = ip_address(written)
        number, length = int(address), int(prefix) if has_prefix else address.max_prefixlen
        found: Network = (IPv4Network if address.version == 4 else IPv6Network)((number, length), strict=False)
    except ValueError:
        raise Unfit(f"{quoted(text)} is no network", expected) from None
    if (slash and not has_prefix) or "%" in written:
        raise Unfit(f"{quoted(text)} is no network", expected)
    if int(found.network_address) != number:
        raise Unfit(f"{quoted(text)} has host bits set", f"expected `{found}`, or `{address}` for the one address")
    mapped = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) else None
    if mapped is not None and length >= 96:
        hint = f"expected `{mapped}/{length - 96}`"
        raise Unfit(f"{quoted(text)} is an IPv4 network in IPv6 form, which matches nothing", hint)
    return found


def socket_address(text: str) -> tuple[Address, int]:
    """Read the address and port of a listener; port 0 lets the system choose."""
    expected = "expected an IP address and a port such as 127.0.0.1:8443 or [::1]:8443"
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise Unfit(f"{quoted(text)} is no address to listen on", expected) from None
    if not colon or bracketed != (address.version == 6) or not port.isascii() or not port.isdecimal():
        raise Unfit(f"{quoted(text)} is no address to listen on", expected)
    if int(port) > 65_535:
        raise Unfit(f"port {port[:16]} is too large", "at most 65535")
    return address, int(port)


def host(text: str) -> str:
    """Read a host name or IP address without port, in lower case; an IPv6 address keeps its brackets."""
    expected = "expected a host without scheme and port, such as api.example.com"
    lowered = text.lower().removesuffix(".")
    try:
        if lowered.startswith("[") and lowered.endswith("]"):
            return f"[{ip_address(lowered[1:-1])}]"
    except ValueError:
        raise Unfit(f"{quoted(text)} is no host", expected) from None
    if len(lowered) > 253 or not all(_LABEL.match(label) for label in lowered.split(".")):
        raise Unfit(f"{quoted(text)} is no host", expected)
    return lowered


def authority(text: str) -> str:
    """Read a host as a Host field has it: with its port, where that is not the scheme's."""
    expected = "expected a host such as api.example.com, or api.example.com:8443"
    named, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        return host(text)
    if not port.isdecimal() or not port.isascii() or not 0 < int(port[:6]) <= 65_535:
        raise Unfit(f"{quoted(text)} is no host with a port", expected)
    return f"{host(named)}:{int(port)}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, without asking anybody."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url(text: str) -> str:
    """Read the URL of a resource, which is fetched as written."""
    expected = "expected a URL such as https://idp.example/jwks"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Unfit("is no URL", expected) from None
    if parts.username is not None or parts.password is not None:
        raise Unfit("credentials do not belong into a URL", expected)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not _URI.match(text):
        raise Unfit(f"{quoted(text)} is no URL that can be fetched", expected)
    if "#" in text:
        raise Unfit(f"{quoted(text)} has a fragment", expected)
    host(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname)
    return text


def origin(text: str) -> tuple[str, str, int]:
    """Read the scheme, host and port of an upstream: a URL without anything after the port."""
    expected = "expected a URL such as https://psp.internal:9000, without path"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Unfit("is no URL", expected) from None
    if parts.username is not None or parts.password is not None:
        raise Unfit("credentials do not belong into a URL", expected)
    if parts.scheme not in ("http", "https") or not parts.hostname or not text.isascii():
        raise Unfit(f"{quoted(text)} is no URL of an upstream", expected)
    if parts.path not in ("", "/") or "?" in text or "#" in text:
        raise Unfit(
            f"{quoted(text)} has more than scheme, host and port", f"{expected}: paths are forwarded as received"
        )
    if port == 0:
        raise Unfit("port 0 is no port")
    named = host(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname)
    return parts.scheme, named.strip("[]"), port or DEFAULT_PORTS[parts.scheme]


def uri(text: str) -> str:
    """Read an absolute URI, kept character by character."""
    if not _URI.match(text):
        raise Unfit(f"{quoted(text)} is no URI", "expected one such as spiffe://acme.example/casino")
    return text


def email_address(text: str) -> str:
    """Read an email address; its domain is compared without regard to case."""
    local, at, domain = text.rpartition("@")
    if not at or not _EMAIL.match(local) or "[" in domain:
        raise Unfit(f"{quoted(text)} is no email address", "expected one such as payments@acme.example")
    return f"{local}@{host(domain)}"


def field_name(text: str) -> str:
    """Read the name of a header field, in lower case (RFC 9110 5.1)."""
    if "_" in text:
        raise Unfit(f"{quoted(text)} has an underscore", "requests with such fields are refused: use `-`")
    if not _FIELD_NAME.match(text):
        raise Unfit(f"{quoted(text)} is no field name", "expected one such as X-Signature")
    return text.lower()


def field_text(text: str) -> str:
    """Read text that can stand at the beginning of a field value, or nothing."""
    if text and not _FIELD_TEXT.match(text.removesuffix(" ")):
        raise Unfit(f"{quoted(text)} cannot stand in a header field", "expected visible ASCII")
    return text


def key_id(text: str) -> str:
    """Read the id of a signing key, as it stands in a header field."""
    if not _KEY_ID.match(text):
        raise Unfit(f"{quoted(text)} is no key id", "expected up to 128 visible ASCII characters without spaces")
    return text


def scope(text: str) -> str:
    """Read one scope of an access token (RFC 6749 section 3.3)."""
    if not _SCOPE.match(text):
        raise Unfit(f"{quoted(text)} is no scope", "expected one without spaces, such as deposit:write")
    return text


def sha256_hex(text: str) -> str:
    """Read a SHA-256 fingerprint as lower-case hex; colons between the bytes are let through."""
    lowered = text.lower()
    digits = lowered.replace(":", "") if _HEX_PAIRS.match(lowered) else lowered
    if not _SHA256.match(digits):
        raise Unfit(f"{quoted(text)} is no SHA-256 fingerprint", "expected 64 hex digits")
    return digits


def json_pointer(text: str) -> Pointer:
    """Read a JSON pointer (RFC 6901) into a body."""
    try:
        return Pointer(text)
    except ValueError:
        raise Unfit(f"{quoted(text)} is no JSON pointer", "expected one such as /transaction/id (RFC 6901)") from None


CLASSES = {f"{first}xx": frozenset(range(first * 100, first * 100 + 100)) for first in range(2, 6)}
"""Statuses of final answers, by class."""

_STATUS = re.compile(r"[2-5][0-9]{2}\Z")


def status_or_class(text: str) -> str:
    """Read `409`, or one of CLASSES."""
    if text not in CLASSES and not _STATUS.match(text):
        raise Unfit(f"{quoted(text)} is no status", "expected one such as 409, or a class such as 4xx")
    return text
