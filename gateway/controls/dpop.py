"""DPoP (RFC 9449): a token is of use only to who has its key, for one request, now."""

import re
from collections.abc import Generator
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.core.chain import Answer, Ask, Claim, ClaimOnce, answered
from gateway.core.message import Instant, RequestHead
from gateway.core.reasons import Denied, Reason
from gateway.core.secret import Secret
from gateway.signing.dpop import Proof, read_proof
from gateway.signing.jose import decode_base64url, encode_base64url
from gateway.signing.window import Window

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange

ALGORITHMS = frozenset({"ES256", "PS256", "EdDSA", "Ed25519"})
"""What FAPI 2.0 takes."""

NONCE_SECONDS = 60
"""For which one nonce is given out."""

NONCE_TURNS = 5
"""Nonces that are taken: the one of now, and those before it. So one is good for four to five minutes."""

_NO_URI = re.compile(r"[^!-~]")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")


@dataclass(frozen=True, slots=True)
class Proofs:
    """What a route demands of proofs."""

    window: Window = Window(60.0, 10.0)  # noqa: RUF009 - frozen
    """How old iat may be, and how far ahead."""
    algorithms: frozenset[str] = ALGORITHMS
    nonce: Secret | None = field(default=None, compare=False, repr=False)
    """Makes the nonces that proofs must have, the same ones in every worker; None: they need none."""

    def check(self, exchange: "Exchange", digest: bytes, thumbprint: str) -> Proof:
        """Check the proof of a request (RFC 9449 4.3), whose token has this digest and is bound to this key.

        1. one DPoP field has one proof, well formed, signed by its own key, by an algorithm that the policy takes
        2. it has a nonce of the gate's, where the policy wants one: TOKEN_PROOF_NONCE
        3. it is for this method and this URI, without query and fragment
        4. it was made now
        5. it is for this token, and its key is the token's: TOKEN_BINDING

        Raises Denied with those reasons, else TOKEN_PROOF. That it comes once is up to `once`.
        """
        request = exchange.request
        text = request.headers.single("dpop")
        if text is None:
            raise Denied(Reason.TOKEN_PROOF, "no DPoP field")
        try:
            proof = read_proof(text)
        except ValueError as error:
            raise Denied(Reason.TOKEN_PROOF, str(error)) from None
        if proof.algorithm not in self.algorithms:
            raise Denied(Reason.TOKEN_PROOF, f"alg {proof.algorithm} is not allowed for proofs")
        self._check_nonce(exchange, proof)
        if proof.method != request.method or not _is_uri_of(request, proof.uri):
            raise Denied(Reason.TOKEN_PROOF, "htm or htu is not this request's")
        age = exchange.now - proof.issued_at
        if age > self.window.max_age or -age > self.window.max_ahead:
            raise Denied(Reason.TOKEN_PROOF, f"iat lies {abs(age):.0f} s {'ahead' if age < 0 else 'back'}")
        if not compare_digest(proof.token_hash.encode(), encode_base64url(digest).encode()):
            raise Denied(Reason.TOKEN_PROOF, "ath is not this token's")
        if not compare_digest(proof.thumbprint, thumbprint):
            raise Denied(Reason.TOKEN_BINDING, "the proof is by another key than the token's jkt")
        return proof

    def once(self, proof: Proof, partner: str) -> Generator[Ask, Answer, None]:
        """Claim the proof. Raises Denied(TOKEN_PROOF_REPLAYED or REPLAY_UNKNOWABLE)."""
        issued = Instant(proof.issued_at)
        key = f"{proof.thumbprint}/{proof.id}".encode()
        claim = ClaimOnce(f"dpop:{partner}", key, issued, Instant(issued + self.window.max_age))
        answer = answered((yield claim), Claim)
        if answer is Claim.SEEN:
            raise Denied(Reason.TOKEN_PROOF_REPLAYED, "its jti came before")
        if answer is not Claim.NEW:
            raise Denied(Reason.REPLAY_UNKNOWABLE, "whether the proof came before cannot be told: make another one")

    def fresh_nonce(self, now: Instant) -> tuple[tuple[str, str], ...]:
        """Give the field that hands out the nonce of now; none where the policy wants none."""
        return () if self.nonce is None else (("dpop-nonce", self._nonce(int(now // NONCE_SECONDS))),)

    def _check_nonce(self, exchange: "Exchange", proof: Proof) -> None:
        if self.nonce is None:
            return
        turn = int(exchange.now // NONCE_SECONDS)
        given = _turn_of(proof.nonce)
        if given is None or not turn - NONCE_TURNS < given <= turn + 1 or proof.nonce is None:
            raise Denied(Reason.TOKEN_PROOF_NONCE, "no nonce of the gate's, or an old one")
        if not compare_digest(self._nonce(given).encode(), proof.nonce.encode()):
            raise Denied(Reason.TOKEN_PROOF_NONCE, "the nonce is not one of the gate's")
        if given < turn:
            exchange.response_fields.extend(self.fresh_nonce(exchange.now))  # RFC 9449 8.2: before it is too late

    def _nonce(self, turn: int) -> str:
        assert self.nonce is not None
        stamp = turn.to_bytes(6)
        return encode_base64url(stamp + self.nonce.mac("sha256").digest(b"dpop-nonce\0" + stamp)[:18])


def _turn_of(nonce: str | None) -> int | None:
    if nonce is None or len(nonce) != 32:
        return None
    try:
        return int.from_bytes(decode_base64url(nonce)[:6])
    except ValueError:
        return None


def _is_uri_of(request: RequestHead, uri: str) -> bool:
    """Whether it is the URI of a request but for query and fragment (RFC 9449 4.3, point 9).

    Both are normalised as RFC 9449 4.3 recommends (RFC 3986 6.2.2 and 6.2.3). What no URI has in it is not skipped, as
    `urlsplit` would do.
    """
    if _NO_URI.search(uri):
        return False
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    if parts.scheme != "https" or _server(parts.netloc) != _server(request.authority):
        return False
    return _normal(parts.path or "/") == _normal(request.path)


def _server(authority: str) -> str:
    """Give host and port as they are compared: the host in lower case, without the port of https."""
    return authority.lower().removesuffix(":443").removesuffix(":")


def _normal(path: str) -> str:
    """Give a path in its normal form: unreserved characters as they are, other escapes in upper case, no dots."""
    if "%" in path:
        path = _ESCAPE.sub(_unescaped, path)
    if "/." not in path:
        return path
    *segments, last = path.split("/")[1:]
    kept: list[str] = []
    for segment in (*segments, last):
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join([*kept, *([""] if last in (".", "..") else [])])


def _unescaped(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if _UNRESERVED.match(character) else escape[0].upper()
