"""AWS Signature Version 4 in the Authorization field: a scheme that is no composition, as its key is derived.

Signed are method, path, query, the fields that the signature names, and a hash of the body. Demanded is what AWS
demands: `host`, `content-type` where there is one, and every `x-amz-…` field of the request. The body is always
covered: UNSIGNED-PAYLOAD and streamed chunks are refused. Signatures in the query (presigned URLs) are not read.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import ClassVar, NamedTuple
from urllib.parse import quote

from gateway.core.facts import VerifiedSignature
from gateway.core.message import Headers, Instant, RequestHead
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.core.secret import Secret
from gateway.signing.own import OwnKey, Signed, with_fields
from gateway.signing.scheme import Known, inactive, refusal
from gateway.signing.window import Window

ALGORITHM = "AWS4-HMAC-SHA256"
KEY_ALGORITHM = "hmac-sha256"

MAX_AUTHORIZATION = 4_096
MAX_FIELDS = 32
"""Fields that a signature may name."""

_TERMINATOR = "aws4_request"
_DATE, _CONTENT = "x-amz-date", "x-amz-content-sha256"
_AMZ_TIME = re.compile(r"[0-9]{8}T[0-9]{6}Z\Z", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_NAMES = re.compile(r"[a-z0-9-]+(?:;[a-z0-9-]+)*\Z")
_KEY_ID = re.compile(r"[!-.0-~]{1,128}\Z")
_ENCODED = re.compile(r"(?:[A-Za-z0-9\-_.~]|%[0-9A-F]{2})*\Z")
_SPACES = re.compile(r" +")


class PresentedSigV4(NamedTuple):
    """The signature of a request: well-formed, unverified."""

    key_id: str
    created: Instant
    time: str
    """As in X-Amz-Date."""
    names: str
    """Of the signed fields, as received."""
    payload_hash: str | None
    signature: str

    @property
    def trailers(self) -> bool:
        """No trailers are signed."""
        return False

    def __repr__(self) -> str:
        """Without the signature."""
        return f"PresentedSigV4(key_id={self.key_id!r}, time={self.time!r}, names={self.names!r})"


@dataclass(frozen=True, slots=True)
class SigV4Scheme:
    """AWS Signature Version 4 for one region and service."""

    name: str
    region: str
    service: str
    origin: str = ""
    """The preset that it is made of, for people."""

    needs_body: ClassVar[bool] = True
    carried_in_body: ClassVar[bool] = False
    names_key: ClassVar[bool] = True
    dated: ClassVar[bool] = True
    algorithms: ClassVar[frozenset[str]] = frozenset({KEY_ALGORITHM})
    carriers: ClassVar[frozenset[str]] = frozenset({"authorization"})
    sets: ClassVar[frozenset[str]] = frozenset({"authorization", _DATE, _CONTENT})

    def weaknesses(self) -> tuple[str, ...]:
        """Give what the scheme leaves unprotected; for the linter."""
        return ("there is no nonce, so a repeated request cannot be told from a replayed one: add one",)

    def read(self, head: RequestHead, _known: Known | None = None, /) -> PresentedSigV4:
        """Read what the request presents.

        Raises Denied: SIGNATURE_MISSING, FIELD_REPEATED, SIGNATURE_MALFORMED, SIGNATURE_COVERAGE.
        """
        text = head.headers.single("authorization")
        if text is None or not text.startswith(f"{ALGORITHM} "):
            raise refusal(Reason.SIGNATURE_MISSING, f"no authorization field that begins with {ALGORITHM}")
        parameters = _parameters(text)
        scope = parameters["Credential"].rsplit("/", 4)
        if len(scope) != 5 or scope[4] != _TERMINATOR or not _KEY_ID.match(scope[0]):
            raise _malformed("Credential is not KEY/DATE/REGION/SERVICE/aws4_request")
        if scope[2:4] != [self.region, self.service]:
            raise _malformed(f"Credential is not for {self.region}/{self.service}")
        time, created = _time(head.headers)
        if scope[1] != time[:8]:
            raise _malformed("the days of Credential and X-Amz-Date differ")
        if not _HASH.match(parameters["Signature"]):
            raise _malformed("Signature is not 64 lower-case hex digits")
        payload_hash = head.headers.single(_CONTENT)
        if payload_hash is not None and not _HASH.match(payload_hash):
            raise _malformed(f"{_CONTENT} is no SHA-256 in hex: the body must be signed as a whole")
        names = parameters["SignedHeaders"]
        _check_names(names, head)
        _canonical_query(head.query)
        return PresentedSigV4(scope[0], created, time, names, payload_hash, parameters["Signature"])

    def read_body(
        self, presented: PresentedSigV4, _head: RequestHead, _body: bytes, _known: Known, /
    ) -> PresentedSigV4:
        """Give back what was read: everything stands in fields."""
        return presented

    def admit(
        self, presented: PresentedSigV4, keys: Mapping[str, SigningKey], window: Window, now: Instant
    ) -> tuple[SigningKey, ...]:
        """Give the key that is named.

        Raises Denied: SIGNATURE_KEY_UNKNOWN, SIGNATURE_KEY_INACTIVE, SIGNATURE_STALE or SIGNATURE_FUTURE.
        """
        key = keys.get(presented.key_id)
        if key is None or key.algorithm != KEY_ALGORITHM:
            detail = f"key {presented.key_id!r} is none of the partner's for {KEY_ALGORITHM}"
            raise refusal(Reason.SIGNATURE_KEY_UNKNOWN, detail)
        if not key.in_force(now):
            raise refusal(Reason.SIGNATURE_KEY_INACTIVE, inactive(key, now))
        window.check(presented.created, now)
        return (key,)

    def match(
        self,
        head: RequestHead,
        body: bytes,
        presented: PresentedSigV4,
        keys: tuple[SigningKey, ...],
        window: Window,
    ) -> VerifiedSignature:
        """Verify the signature. Raises Denied: SIGNATURE_DIGEST, SIGNATURE_MISMATCH."""
        digest = sha256(body).hexdigest()
        if presented.payload_hash not in (None, digest):
            raise refusal(Reason.SIGNATURE_DIGEST, f"{_CONTENT} is not that of the body")
        signed = self.string_to_sign(head, body, presented)
        (key,) = keys
        if not hmac.compare_digest(self._sign(key.secret, presented.time[:8], signed), presented.signature):
            detail = f"is not that of key {key.id!r} over the {len(signed)} bytes of the string to sign"
            raise refusal(Reason.SIGNATURE_MISMATCH, detail)
        end = window.end(presented.created)
        return VerifiedSignature(key.id, presented.created, None, sha256(signed).digest(), end)

    def string_to_sign(self, head: RequestHead, body: bytes, presented: PresentedSigV4, /) -> bytes:
        """Give the string to sign, whose last line is the hash of `canonical_request`."""
        canonical = sha256(self.canonical_request(head, body, presented.names)).hexdigest()
        scope = f"{presented.time[:8]}/{self.region}/{self.service}/{_TERMINATOR}"
        return f"{ALGORITHM}\n{presented.time}\n{scope}\n{canonical}".encode()

    def canonical_request(self, head: RequestHead, body: bytes, names: str) -> bytes:
        """Give the canonical request: where two programs differ, it is here."""
        # Amazon S3 takes the path as it is sent, all other services have it encoded once more.
        path = head.path if self.service == "s3" else quote(head.path, safe="/-_.~")
        fields = [f"{name}:{_value(head, name)}" for name in names.split(";")]
        digest = sha256(body).hexdigest()
        lines = [head.method, path, _canonical_query(head.query), *fields, "", names, digest]
        return "\n".join(lines).encode("latin-1")

    def _sign(self, secret: Secret, day: str, signed: bytes) -> str:
        key = b"AWS4" + secret.reveal()
        for part in (day, self.region, self.service, _TERMINATOR):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, signed, "sha256").hex()

    def sign(self, head: RequestHead, body: bytes, *, key: OwnKey, now: Instant, nonce: str) -> Signed:
        """Give the fields that a client adds. Raises ValueError as every scheme does; there is no nonce."""
        del nonce
        if key.algorithm != KEY_ALGORITHM:
            raise ValueError(f"key {key.id!r} is for {key.algorithm}, the scheme signs by {KEY_ALGORITHM}")
        time = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        fields = [(_DATE, time), (_CONTENT, sha256(body).hexdigest())]
        stamped = with_fields(head, fields)
        present = {name for name, _ in stamped.headers.fields}
        names = ";".join(sorted({"host", *(name for name in present if _must_be_signed(name))}))
        try:
            presented = PresentedSigV4(key.id, now, time, names, None, "")
            signature = self._sign(key.secret, time[:8], self.string_to_sign(stamped, body, presented))
            credential = f"{key.id}/{time[:8]}/{self.region}/{self.service}/{_TERMINATOR}"
            text = f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
            made = Signed([*fields, ("authorization", text)])
            self.read(made.applied(head, body)[0])
        except Denied as denied:
            raise ValueError(f"scheme {self.name} would refuse the request: {denied.detail}") from None
        return made


def _parameters(text: str) -> dict[str, str]:
    written = text.removeprefix(f"{ALGORITHM} ").split(",", 3)
    pairs = [part.strip(" ").partition("=") for part in written]
    found = {name: value for name, _, value in pairs}
    if len(text) > MAX_AUTHORIZATION or len(pairs) != 3 or found.keys() != {"Credential", "SignedHeaders", "Signature"}:
        raise _malformed("authorization is not Credential, SignedHeaders and Signature, each once")
    return found


def _time(headers: Headers) -> tuple[str, Instant]:
    text = headers.single(_DATE)
    if text is None:
        raise refusal(Reason.SIGNATURE_MISSING, f"no {_DATE} field for the timestamp")
    try:
        if not _AMZ_TIME.match(text):
            raise _malformed(f"{_DATE} is not YYYYMMDDTHHMMSSZ")
        return text, Instant(datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise _malformed(f"{_DATE} is no time that exists") from None


def _must_be_signed(name: str) -> bool:
    return name == "content-type" or name.startswith("x-amz-")


def _check_names(text: str, head: RequestHead) -> None:
    names = text.split(";", MAX_FIELDS) if _NAMES.match(text) else []
    if not names or len(names) > MAX_FIELDS or names != sorted(set(names)):
        raise _malformed(f"SignedHeaders is no sorted list of up to {MAX_FIELDS} names in lower case")
    present = {name for name, _ in head.headers.fields}
    uncovered = sorted(({"host"} | {name for name in present if _must_be_signed(name)}) - set(names))
    absent = sorted(set(names) - present - {"host"})
    if uncovered or absent:
        what = f"does not cover {', '.join(uncovered)}" if uncovered else f"covers {', '.join(absent)}, absent here"
        raise refusal(Reason.SIGNATURE_COVERAGE, f"the signature {what}")
    for name in names:
        head.headers.single(name)


def _value(head: RequestHead, name: str) -> str:
    value = head.authority if name == "host" else head.headers.single(name) or ""
    return _SPACES.sub(" ", value.strip(" "))


def _canonical_query(query: str | None) -> str:
    pairs = [pair.partition("=") for pair in query.split("&")] if query else []
    if not all(_ENCODED.match(name) and _ENCODED.match(value) for name, _, value in pairs):
        raise _malformed("the query is not percent-encoded as RFC 3986 2.3 has it, in upper-case hex")
    return "&".join(f"{name}={value}" for name, value in sorted((name, value) for name, _, value in pairs))


def _malformed(detail: str) -> Denied:
    return refusal(Reason.SIGNATURE_MALFORMED, detail)
