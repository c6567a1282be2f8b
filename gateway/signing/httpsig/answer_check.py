"""Checks a signed response as whoever receives it should: what a partner does with the gate's answers.

1. the signature with the gate's label (and tag) is there, and covers what the rules say, the request's parts included
2. the key is known and made for the signature's algorithm; `created` lies within the window, `expires` ahead
3. Content-Digest is the body's
4. the signature is the key's over the signature base
"""

import hmac
from collections.abc import Mapping
from typing import NamedTuple

from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.core.reasons import Reason
from gateway.signing.algorithms import HMAC_SHA256
from gateway.signing.httpsig.answers import AnswerRules
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.coverage import Demand
from gateway.signing.httpsig.digest import MismatchError, check_digests
from gateway.signing.httpsig.inputs import Announced, components_of, joined, read_inputs, read_signature
from gateway.signing.httpsig.message import Response
from gateway.signing.httpsig.values import AbsentError
from gateway.signing.scheme import refusal
from gateway.signing.window import Window


class SignedAnswer(NamedTuple):
    """The signature of a response that counts: well-formed, unverified."""

    covered: Covered
    string: bytes
    """What it must be over."""
    key_id: str
    created: Instant | None
    expires: Instant | None
    alg: str | None
    signature: bytes

    def __repr__(self) -> str:
        """Without the signature and what is signed."""
        return f"SignedAnswer({self.covered.text}, key_id={self.key_id!r})"


def read_answer(response: Response, rules: AnswerRules) -> SignedAnswer:
    """Read the signature of a response.

    Raises Denied: SIGNATURE_MISSING, SIGNATURE_MALFORMED, or SIGNATURE_COVERAGE where it covers less than is to be.
    """
    try:
        texts = [joined(response.headers, name) for name in ("signature-input", "signature")]
        inputs, signatures = texts
        if inputs is None or signatures is None:
            raise refusal(Reason.SIGNATURE_MISSING, "the answer is not signed")
        announced = read_inputs(inputs, lambda text: Covered.of(components_of(text), rules.kinds)).get(rules.label)
        signature = read_signature(signatures, rules.label)
    except ValueError as error:
        raise refusal(Reason.SIGNATURE_MALFORMED, str(error)) from None
    if announced is None or signature is None:
        raise refusal(Reason.SIGNATURE_MISSING, f"no signature with the label {rules.label!r}")
    return _read(response, rules, announced, signature)


def _read(response: Response, rules: AnswerRules, announced: Announced[Covered], signature: bytes) -> SignedAnswer:
    parameters, covered = announced.parameters, announced.covered
    if parameters.tag != rules.tag and rules.tag is not None:
        raise refusal(Reason.SIGNATURE_MISSING, f"its tag is {parameters.tag!r}, not {rules.tag!r}")
    if parameters.keyid is None or parameters.created is None:
        raise refusal(Reason.SIGNATURE_MISSING, "it has no parameter keyid, or none created")
    missing = Demand(rules.covered).judge(covered).missing
    if missing:
        raise refusal(Reason.SIGNATURE_COVERAGE, f"it does not cover {', '.join(missing)}")
    try:
        string = covered.base(response, parameters.text)
    except AbsentError as error:
        raise refusal(Reason.SIGNATURE_COVERAGE, str(error)) from None
    except ValueError as error:
        raise refusal(Reason.SIGNATURE_MALFORMED, str(error)) from None
    return SignedAnswer(
        covered, string, parameters.keyid, parameters.created, parameters.expires, parameters.alg, signature
    )


def check_answer(
    signed: SignedAnswer, response: Response, body: bytes, keys: Mapping[str, SigningKey], window: Window, now: Instant
) -> SigningKey:  # fmt: skip
    """Check a signature that was read; gives the key that made it.

    Raises Denied: SIGNATURE_KEY_UNKNOWN, SIGNATURE_ALGORITHM, SIGNATURE_STALE, SIGNATURE_FUTURE, SIGNATURE_DIGEST or
    SIGNATURE_MISMATCH.
    """
    key = keys.get(signed.key_id)
    if key is None:
        raise refusal(Reason.SIGNATURE_KEY_UNKNOWN, f"key {signed.key_id!r} is none of the gate's")
    if signed.alg not in (None, key.algorithm):
        raise refusal(Reason.SIGNATURE_ALGORITHM, f"alg is {signed.alg!r}, the key is for {key.algorithm}")
    if signed.created is not None:
        window.check(signed.created, now)
    if signed.expires is not None and now > signed.expires:
        raise refusal(Reason.SIGNATURE_STALE, f"expired {now - signed.expires:.0f} s ago")
    try:
        check_digests(response.headers, body)
    except MismatchError as error:
        raise refusal(Reason.SIGNATURE_DIGEST, str(error)) from None
    except ValueError as error:
        raise refusal(Reason.SIGNATURE_MALFORMED, str(error)) from None
    if not _made_by(key, signed):
        detail = f"is not that of key {key.id!r} over the {len(signed.string)} bytes of the signature base"
        raise refusal(Reason.SIGNATURE_MISMATCH, detail)
    return key


def _made_by(key: SigningKey, signed: SignedAnswer) -> bool:
    if key.algorithm == HMAC_SHA256:
        return hmac.compare_digest(key.secret.mac("sha256").digest(signed.string), signed.signature)
    return key.public.verifies(signed.string, signed.signature)
