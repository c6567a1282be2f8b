"""The compact serialisation of JWS (RFC 7515 section 7.1), strictly read: the only form a token may have."""

from dataclasses import dataclass

from gateway.signing.jose import decode_base64url, read_object

AT_JWT = "at+jwt"
"""The type of an access token by RFC 9068."""

_TYPES = frozenset({"jwt", AT_JWT})

_REFUSED = frozenset({"crit", "b64", "jwk", "jku", "x5c", "x5u", "enc", "zip", "cty"})
"""Header parameters that change how a token is read, bring their own key, or announce another token inside.

`x5t` and `x5t#S256` only name a certificate, are common, and are not used.
"""


@dataclass(frozen=True, slots=True)
class CompactJws:
    """A token taken apart. Nothing of it is verified."""

    algorithm: str
    key_id: str | None
    payload: bytes
    signing_input: bytes
    """The octets the signature is over, exactly as received."""
    signature: bytes
    kind: str = "jwt"
    """The type (typ) in lower case, without `application/`; `jwt` where it states none."""

    def __repr__(self) -> str:
        """Without the token."""
        return f"CompactJws(algorithm={self.algorithm!r}, key_id={self.key_id!r})"

    @staticmethod
    def read(token: str) -> "CompactJws":
        """Take a token apart; raises ValueError, with a message that shows nothing of it, for any but a plain JWS.

        Size is the caller's to bound beforehand.
        """
        parts = token.split(".")
        if len(parts) != 3:
            raise ValueError(f"{len(parts)} parts; a signed token has three (RFC 7515 7.1)")
        header, payload, signature = map(decode_base64url, parts)
        parameters = read_object(header)
        refused = sorted(_REFUSED & parameters.keys())
        if refused:
            raise ValueError(f"header has {', '.join(refused)}")
        kind = parameters.get("typ", "JWT")
        kind = kind.lower().removeprefix("application/") if isinstance(kind, str) else ""
        if kind not in _TYPES:
            raise ValueError("typ is neither JWT nor at+jwt (RFC 9068 4)")
        algorithm, key_id = parameters.get("alg"), parameters.get("kid")
        if not isinstance(algorithm, str):
            raise ValueError("alg is missing or not a string (RFC 7515 4.1.1)")  # noqa: TRY004 - a fault of the text
        if key_id is not None and not isinstance(key_id, str):
            raise ValueError("kid is not a string (RFC 7515 4.1.4)")
        return CompactJws(algorithm, key_id, payload, token[: token.rindex(".")].encode("ascii"), signature, kind)
