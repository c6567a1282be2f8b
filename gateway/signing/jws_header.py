"""The JOSE header of a JWS that signs a message (RFC 7515 section 4, RFC 7797), strictly read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.signing.jose import decode_base64url, read_object

MAX_HEADER = 4_096
"""Characters of a header in base64url: UK Open Banking's have 400."""

MAX_CRITICAL = 16

_BRING_KEYS = frozenset({"jwk", "x5c"})
"""Parameters by which whoever signs would bring the key along; `x5t` and `x5t#S256` only name one and are not used."""

_NEVER = frozenset({"enc", "zip"})

_REGISTERED = frozenset(
    {"alg", "jku", "jwk", "kid", "x5u", "x5c", "x5t", "x5t#S256", "typ", "cty", "crit", "enc", "zip"}
)
"""Names that a `crit` must not list (RFC 7515 4.1.11)."""

_URLS = ("jku", "x5u")


class Expected(NamedTuple):
    """What a scheme asks of a header."""

    critical: frozenset[str] = frozenset()
    """Parameters that the scheme understands, so that `crit` may list them."""
    required: Mapping[str, str | None] = {}
    """Parameters that must be there, and their text where that is fixed."""
    unencoded: bool | None = False
    """Whether `b64` must be false, must not be, or may be either (None)."""
    types: frozenset[str] = frozenset({"JOSE", "JWT"})
    key_url_hosts: frozenset[str] = frozenset()
    """Hosts that `jku` and `x5u` may name. Nothing is fetched from them: keys are the policy's."""


@dataclass(frozen=True, slots=True)
class JoseHeader:
    """A header. Nothing of it is verified."""

    algorithm: str
    key_id: str | None
    unencoded: bool
    """Whether the payload is signed as it is (`b64` is false)."""
    parameters: Mapping[str, object]
    text: str
    """As received, in base64url."""

    def __repr__(self) -> str:
        """Without the parameters."""
        return f"JoseHeader(algorithm={self.algorithm!r}, key_id={self.key_id!r})"

    @staticmethod
    def read(text: str, expected: Expected) -> "JoseHeader":
        """Read a header. Raises ValueError, with a message that shows no value."""
        if len(text) > MAX_HEADER:
            raise ValueError(f"the header has {len(text)} characters, at most {MAX_HEADER} are read")
        parameters = read_object(decode_base64url(text))
        _check_keys(parameters, expected)
        algorithm, key_id = parameters.get("alg"), parameters.get("kid")
        if not isinstance(algorithm, str):
            raise ValueError("alg is missing or not a string (RFC 7515 4.1.1)")  # noqa: TRY004 - a fault of the text
        if key_id is not None and not (isinstance(key_id, str) and 0 < len(key_id) <= 128 and key_id.isascii()):
            raise ValueError("kid is not a string of up to 128 ASCII characters (RFC 7515 4.1.4)")
        if parameters.get("typ", "JOSE") not in expected.types:
            raise ValueError(f"typ is none of {', '.join(sorted(expected.types))}")
        _check_critical(parameters, expected)
        _check_required(parameters, expected)
        return JoseHeader(algorithm, key_id, parameters.get("b64") is False, parameters, text)


def _check_keys(parameters: Mapping[str, object], expected: Expected) -> None:
    refused = sorted((_BRING_KEYS | _NEVER) & parameters.keys())
    if refused:
        raise ValueError(f"header has {', '.join(refused)}")
    for name in _URLS:
        if name in parameters and _host(parameters[name]) not in expected.key_url_hosts:
            raise ValueError(f"{name} is no https URL at a host that the policy lists")


def _host(url: object) -> str | None:
    try:
        parts = urlsplit(url) if isinstance(url, str) and url.isprintable() and "\\" not in url else None
        if parts is None or parts.scheme != "https" or parts.username is not None or parts.port not in (None, 443):
            return None
    except ValueError:
        return None
    return parts.hostname


def _check_critical(parameters: Mapping[str, object], expected: Expected) -> None:
    critical = parameters.get("crit")
    names: list[object] = critical if isinstance(critical, list) else []
    if "crit" in parameters and not (0 < len(names) <= MAX_CRITICAL and len(set(map(str, names))) == len(names)):
        raise ValueError("crit is no list of names, each once (RFC 7515 4.1.11)")
    understood = expected.critical | {"b64"}
    for name in names:
        if not isinstance(name, str) or name in _REGISTERED or name not in parameters:
            raise ValueError("crit lists what is no parameter here, or none that it may list (RFC 7515 4.1.11)")
        if name not in understood:
            raise ValueError("crit lists a parameter that the scheme does not understand (RFC 7515 4.1.11)")
    unencoded = parameters.get("b64", True)
    if not isinstance(unencoded, bool) or ("b64" in parameters and "b64" not in names):
        raise ValueError("b64 is not true or false, or not listed in crit (RFC 7797 3 and 6)")
    if expected.unencoded is not None and unencoded is expected.unencoded:
        raise ValueError(f"b64 is {str(unencoded).lower()}, which the scheme does not take (RFC 7797 3)")
    absent = sorted(expected.critical - set(map(str, names)))
    if absent:
        raise ValueError(f"crit does not list {', '.join(absent)}")


def _check_required(parameters: Mapping[str, object], expected: Expected) -> None:
    for name, text in expected.required.items():
        if name not in parameters:
            raise ValueError(f"header has no {name}")
        if text is not None and parameters[name] != text:
            raise ValueError(f"{name} is not {text!r}")
