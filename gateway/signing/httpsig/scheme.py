"""HTTP Message Signatures as a scheme of the policy: which signature counts, and what it must cover.

A check comes in the three steps of every scheme:

1. `read`: Signature-Input and Signature are there, within bounds, and strictly what RFC 9421 says; one signature is
   meant; it has the parameters that are asked for, and covers what must be covered
2. `admit`: the key is known, made for the algorithm and in force; `created` lies within the window, `expires` ahead
3. `match`: the digests are those of the body received, and the signature is the key's over the signature base
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import ClassVar, NamedTuple

from gateway.core.facts import VerifiedSignature
from gateway.core.memo import Memo
from gateway.core.message import Headers, Instant, RequestHead
from gateway.core.outgoing import Answered
from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied, Reason
from gateway.signing.algorithms import ALGORITHMS, HMAC_SHA256, SecretSigner, Signer
from gateway.signing.httpsig.answers import AnswerRules
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.coverage import Demand, Verdict
from gateway.signing.httpsig.digest import CONTENT_DIGEST, MismatchError, check_digests, write_digest
from gateway.signing.httpsig.fields import Kind
from gateway.signing.httpsig.inputs import (
    Announced,
    Parameters,
    components_of,
    joined,
    read_inputs,
    read_signature,
)
from gateway.signing.httpsig.message import Request, Response
from gateway.signing.httpsig.negotiation import FIELD as ACCEPT_SIGNATURE
from gateway.signing.httpsig.negotiation import read_wishes, write_demand
from gateway.signing.httpsig.sign import Terms, sign
from gateway.signing.httpsig.values import AbsentError
from gateway.signing.own import OwnKey, Signed
from gateway.signing.scheme import Known, inactive, refusal
from gateway.signing.window import Window

REMEMBERED = 256
"""Lists of covered components whose compilation is kept: partners use a handful each."""

MAX_REMEMBERED = 1_024
"""Characters of such a list; longer ones are compiled each time."""

EXPIRES_AFTER = 60.0
"""Seconds from `created` to `expires` of the signatures that the gate makes where `expires` is asked for."""

_CARRIERS = frozenset({"signature", "signature-input"})

_NO_KINDS: Mapping[str, Kind] = {}


class PresentedMessage(NamedTuple):
    """The one signature of a request that counts: well-formed, unverified."""

    label: str
    covered: Covered
    parameters: Parameters
    key_id: str
    created: Instant
    signature: bytes

    @property
    def trailers(self) -> bool:
        """Whether trailers are covered."""
        return self.covered.trailers

    def __repr__(self) -> str:
        """Without the signature: it opens the door until it is claimed."""
        return f"PresentedMessage(label={self.label!r}, parameters={self.parameters!r})"


@dataclass(frozen=True, slots=True)
class HttpMessageScheme:
    """A use of RFC 9421, as section 1.4 asks of every application: what is covered, how keys and times are found.

    Raises ValueError where it asks for what no request has.
    """

    name: str
    covered: tuple[Component, ...]
    """What every signature must cover; Content-Digest must be wherever there is a body."""
    covered_if_present: tuple[str, ...] = ()
    """Names of fields that must be covered where a request has them, in lower case."""
    algorithms: frozenset[str] = frozenset(ALGORITHMS)
    label: str | None = None
    """The label of the signature that counts."""
    tag: str | None = None
    """The tag of the signature that counts. Without both, it is the only one, or the only one by a known key."""
    nonce_required: bool = False
    expires_required: bool = False
    structured_fields: Mapping[str, Kind] = field(default_factory=lambda: _NO_KINDS, hash=False)
    """The structure of fields that are not known by themselves, for `sf`."""
    answers: AnswerRules = field(default_factory=AnswerRules)
    """How the gate signs its responses."""

    _verdicts: Memo[str, Verdict] = field(init=False, repr=False, compare=False)
    """What the components lists that were seen leave open, by their text."""
    _demands: tuple[str, str] = field(init=False, repr=False, compare=False)
    """Accept-Signature for requests without a body, and with one."""

    needs_body: ClassVar[bool] = True
    carried_in_body: ClassVar[bool] = False
    names_key: ClassVar[bool] = True
    dated: ClassVar[bool] = True
    carriers: ClassVar[frozenset[str]] = _CARRIERS
    sets: ClassVar[frozenset[str]] = _CARRIERS | {CONTENT_DIGEST}

    def __post_init__(self) -> None:
        unknown = self.algorithms - frozenset(ALGORITHMS)
        if unknown or not self.algorithms:
            raise ValueError(f"algorithms {sorted(unknown)} are none of {', '.join(ALGORITHMS)}")
        for component in self.covered:
            if component.name == "@status" or component.req or component.tr:
                what = "trailers: those that come must be covered, none can be asked for"
                raise ValueError(
                    f"{component.identifier} is of {what if component.tr else 'responses: no request has it'}"
                )
        Covered(self.covered, self.structured_fields)
        demand = Demand(self.covered, self.covered_if_present)
        kinds = self.structured_fields

        def verdict(text: str) -> Verdict:
            return demand.judge(Covered.of(components_of(text), kinds))

        verdicts = Memo(verdict, capacity=REMEMBERED, longest=MAX_REMEMBERED)
        object.__setattr__(self, "_verdicts", verdicts)
        digested = tuple(dict.fromkeys((*self.covered, Component(CONTENT_DIGEST, identifier=f'"{CONTENT_DIGEST}"'))))
        demands = tuple(
            write_demand(self.label or "sig1", components, tag=self.tag, expires=self.expires_required)
            for components in (self.covered, digested)
        )
        object.__setattr__(self, "_demands", demands)

    def weaknesses(self) -> tuple[str, ...]:
        """Give what signatures may leave unprotected, one sentence each with the way to mend it; for the linter."""
        names = {component.name for component in self.covered}
        found = []
        if "@method" not in names:
            found.append("the method need not be signed, so a request can be turned into another: cover @method")
        if not names & {"@path", "@target-uri", "@request-target"}:
            found.append("the path need not be signed, so a request can be sent to another: cover @target-uri")
        if not names & {"@query", "@target-uri", "@request-target"}:
            found.append("the query need not be signed, so it can be changed: cover @target-uri or @query")
        if not names & {"@authority", "@target-uri"}:
            found.append("the host need not be signed, so a request counts on other hosts: cover @target-uri")
        if not self.nonce_required:
            what = "no nonce is asked for, so equal requests signed in the same second count as one"
            found.append(f"{what}: add `nonce: required`")
        return tuple(found)

    def read(self, head: RequestHead, known: Known | None = None, /) -> PresentedMessage:
        """Read what the request presents; `known` tells whose keys count where there are several signatures.

        Raises Denied: SIGNATURE_MISSING where there is no signature, or a parameter is not there that is asked for;
        SIGNATURE_MALFORMED where a field is not what RFC 9421 says, or it is not clear which signature is meant;
        SIGNATURE_COVERAGE where too little is covered. MISSING and COVERAGE say what is asked for, in Accept-Signature.
        """
        try:
            return self._read(head, known)
        except Denied as denied:
            if denied.reason not in (Reason.SIGNATURE_MISSING, Reason.SIGNATURE_COVERAGE):
                raise
            demand = (ACCEPT_SIGNATURE, self._demands[head.has_body])
            raise Denied(denied.reason, denied.detail, (*denied.fields, demand)) from None

    def _read(self, head: RequestHead, known: Known | None) -> PresentedMessage:
        try:
            announced, signature = self._find(head.headers, known)
        except ValueError as error:
            raise refusal(Reason.SIGNATURE_MALFORMED, str(error)) from None
        if signature is None:
            raise refusal(Reason.SIGNATURE_MISSING, f"no signature with the label {announced.label!r}")
        parameters = announced.parameters
        key_id, created = parameters.keyid, parameters.created
        if key_id is None or created is None:
            what = "keyid" if key_id is None else "created"
            raise refusal(Reason.SIGNATURE_MISSING, f"signature {announced.label!r} has no parameter {what}")
        for name, value, required in (
            ("nonce", parameters.nonce, self.nonce_required),
            ("expires", parameters.expires, self.expires_required),
        ):
            if required and value is None:
                raise refusal(Reason.SIGNATURE_MISSING, f"signature {announced.label!r} has no parameter {name}")
        uncovered = announced.covered.uncovered(head)
        if uncovered:
            detail = f"signature {announced.label!r} does not cover {', '.join(uncovered)}"
            raise refusal(Reason.SIGNATURE_COVERAGE, detail)
        covered = announced.covered.covered
        return PresentedMessage(announced.label, covered, parameters, key_id, created, signature)

    def read_body(
        self, presented: PresentedMessage, _head: RequestHead, _body: bytes, _known: Known, /
    ) -> PresentedMessage:
        """Give back what was read: everything stands in fields."""
        return presented

    def _find(self, headers: Headers, known: Known | None) -> tuple[Announced[Verdict], bytes | None]:
        texts = [joined(headers, name) for name in ("signature-input", "signature")]
        inputs, signatures = texts
        if inputs is None or signatures is None:
            name = "signature-input" if inputs is None else "signature"
            raise refusal(Reason.SIGNATURE_MISSING, f"no {name} field")
        announced = self._chosen(read_inputs(inputs, self._verdicts.__getitem__), known)
        return announced, read_signature(signatures, announced.label)

    def _chosen(self, announced: Mapping[str, Announced[Verdict]], known: Known | None) -> Announced[Verdict]:
        """Give the signature that is meant."""
        found: Iterable[Announced[Verdict]] = announced.values()
        if self.label is not None:
            found = [each for each in found if each.label == self.label]
        if self.tag is not None:
            found = [each for each in found if each.parameters.tag == self.tag]
        chosen = list(found)
        if len(chosen) > 1 and known is not None:
            chosen = [each for each in chosen if each.parameters.keyid is not None and known(each.parameters.keyid)]
        if len(chosen) == 1:
            return chosen[0]
        wanted = [f"label {self.label!r}"] if self.label is not None else []
        wanted += [f"tag {self.tag!r}"] if self.tag is not None else []
        what = f" with {' and '.join(wanted)}" if wanted else ""
        if not chosen:
            raise refusal(Reason.SIGNATURE_MISSING, f"none of {len(announced)} signatures{what} is meant for the gate")
        raise ValueError(f"{len(chosen)} signatures{what} by keys that are known: which one counts?")

    def admit(
        self, presented: PresentedMessage, keys: Mapping[str, SigningKey], window: Window, now: Instant
    ) -> tuple[SigningKey, ...]:
        """Give the key that is named.

        Raises Denied: SIGNATURE_KEY_UNKNOWN, SIGNATURE_ALGORITHM, SIGNATURE_KEY_INACTIVE, SIGNATURE_STALE or
        SIGNATURE_FUTURE.
        """
        key, parameters = keys.get(presented.key_id), presented.parameters
        if key is None:
            raise refusal(Reason.SIGNATURE_KEY_UNKNOWN, f"key {presented.key_id!r} is none of the partner's")
        if key.algorithm not in self.algorithms:
            detail = f"key {key.id!r} is for {key.algorithm}, the scheme takes {', '.join(sorted(self.algorithms))}"
            raise refusal(Reason.SIGNATURE_KEY_UNKNOWN, detail)
        if parameters.alg is not None and parameters.alg != key.algorithm:
            detail = f"alg is {parameters.alg!r}, key {key.id!r} is for {key.algorithm}"
            raise refusal(Reason.SIGNATURE_ALGORITHM, detail)
        if not key.in_force(now):
            raise refusal(Reason.SIGNATURE_KEY_INACTIVE, inactive(key, now))
        window.check(presented.created, now)
        if parameters.expires is not None and now > parameters.expires:
            raise refusal(Reason.SIGNATURE_STALE, f"expired {now - parameters.expires:.0f} s ago")
        return (key,)

    def match(
        self,
        head: RequestHead,
        body: bytes,
        presented: PresentedMessage,
        keys: tuple[SigningKey, ...],
        window: Window,
    ) -> VerifiedSignature:
        """Check the digests, then the signature.

        Raises Denied: SIGNATURE_DIGEST, SIGNATURE_COVERAGE where a covered component is not there or a trailer is not
        covered, SIGNATURE_MALFORMED
        where one cannot be signed, SIGNATURE_MISMATCH.
        """
        parameters = presented.parameters
        try:
            check_digests(head.headers, body)
            if head.trailers is not None:
                check_digests(head.trailers, body)
                _check_covered(head.trailers, presented.covered)
            signed = presented.covered.base(Request.of(head), parameters.text)
        except MismatchError as error:
            raise refusal(Reason.SIGNATURE_DIGEST, str(error)) from None
        except AbsentError as error:
            raise refusal(Reason.SIGNATURE_COVERAGE, str(error)) from None
        except ValueError as error:
            raise refusal(Reason.SIGNATURE_MALFORMED, str(error)) from None
        (key,) = keys
        if not _verifies(key, signed, presented.signature):
            raise refusal(Reason.SIGNATURE_MISMATCH, _explained(key, signed, presented.signature))
        nonce, expires = parameters.nonce, parameters.expires
        # A string of RFC 9651 holds no line feed, and neither does a key id: no other pair gives the same bytes.
        identity = sha256(signed).digest() if nonce is None else f"{key.id}\n{nonce}".encode()
        end = window.end(presented.created)
        return VerifiedSignature(
            key.id, presented.created, nonce, identity, end if expires is None else min(end, expires)
        )

    def verify(
        self, head: RequestHead, body: bytes, keys: Mapping[str, SigningKey], window: Window, now: Instant
    ) -> VerifiedSignature:
        """Check a request whose body is at hand: `read`, `admit`, `match`. Raises Denied as they do."""
        presented = self.read(head, keys.__contains__)
        return self.match(head, body, presented, self.admit(presented, keys, window, now), window)

    def string_to_sign(self, head: RequestHead, _body: bytes, presented: PresentedMessage, /) -> bytes:
        """Give the signature base (RFC 9421 2.5). Raises Denied(SIGNATURE_COVERAGE or SIGNATURE_MALFORMED)."""
        try:
            return presented.covered.base(Request.of(head), presented.parameters.text)
        except AbsentError as error:
            raise refusal(Reason.SIGNATURE_COVERAGE, str(error)) from None
        except ValueError as error:
            raise refusal(Reason.SIGNATURE_MALFORMED, str(error)) from None

    def sign(self, head: RequestHead, body: bytes, *, key: OwnKey, now: Instant, nonce: str) -> Signed:
        """Give the fields that a client adds, by `sign_on` with its defaults: created now, with the nonce.

        A signature expires EXPIRES_AFTER later where the scheme asks for that. Raises ValueError as every scheme does.
        """
        signer = self._signer(key)
        expires = Instant(now + EXPIRES_AFTER) if self.expires_required else None
        return Signed(self.sign_on(head, body, signer=signer, terms=Terms(now, key.id, expires=expires, nonce=nonce)))

    def _signer(self, key: OwnKey) -> Signer:
        if key.algorithm not in self.algorithms:
            raise ValueError(f"key {key.id!r} is for {key.algorithm}, not for {', '.join(sorted(self.algorithms))}")
        return SecretSigner(key.secret) if key.algorithm == HMAC_SHA256 else key.private

    def sign_on(self, head: RequestHead, body: bytes, *, signer: Signer, terms: Terms) -> list[tuple[str, str]]:
        """Give the fields that a client adds to its request: Content-Digest where there is a body, and the signature.

        Covers what the scheme asks for, and no more. The scheme's tag is added. Raises ValueError where the scheme
        would refuse the request for its form.
        """
        needed = bool(body) or any(each.name == CONTENT_DIGEST for each in self.covered)
        digest = [(CONTENT_DIGEST, write_digest(body))] if needed and CONTENT_DIGEST not in head.headers else []
        digested = head._replace(headers=Headers([*head.headers.fields, *digest]), has_body=bool(body))
        present = [*self.covered_if_present, *([CONTENT_DIGEST] if body else [])]
        components = dict.fromkeys(self.covered)
        components |= dict.fromkeys(Component.parse(name) for name in present if name in digested.headers)
        covered = Covered(tuple(components), self.structured_fields)
        terms = terms._replace(tag=self.tag if terms.tag is None else terms.tag)
        fields = [*digest, *sign(Request.of(digested), covered, terms, self.label or "sig1", signer)]
        try:
            self.read(head._replace(headers=Headers([*head.headers.fields, *fields]), has_body=bool(body)))
        except Denied as denied:
            raise ValueError(f"scheme {self.name} would refuse the request: {denied.detail}") from None
        return fields

    def sign_answer(self, answer: Answered, request: RequestHead | None, *, key: OwnKey, now: Instant) -> Signed:
        """Give the fields that the gate adds to a response: its Content-Digest, and the signature.

        Raises ValueError where the response cannot be signed.
        """
        added = [(CONTENT_DIGEST, write_digest(answer.body))]
        wishes = read_wishes(request.headers) if request is not None and ACCEPT_SIGNATURE in request.headers else ()
        if wishes:  # RFC 9421 5.1: a cache must not take this answer for one to another wish
            varies = [value for name, value in answer.fields if name == "vary"]
            added.append(("vary", ", ".join([*varies, ACCEPT_SIGNATURE])))
        own = {name for name, _ in added} | _CARRIERS
        headers = Headers([*((name, value) for name, value in answer.fields if name not in own), *added])
        response = Response(answer.status, headers, None if request is None else Request.of(request))
        signature = self.answers.sign(
            response, self._signer(key), key.id, now, wishes=wishes, whatever_there_is=answer.own
        )
        return Signed([*added, *signature])


def _check_covered(trailers: Headers, covered: Covered) -> None:
    """Raise AbsentError for a trailer that is not covered whole."""
    for name in dict.fromkeys(name for name, _ in trailers.fields):
        if not any(each.name == name and each.tr and each.key is None for each in covered.components):
            raise AbsentError(f"does not cover the trailer {name}")


def _verifies(key: SigningKey, signed: bytes, signature: bytes) -> bool:
    if key.algorithm == HMAC_SHA256:
        return hmac.compare_digest(key.secret.mac("sha256").digest(signed), signature)
    return key.public.verifies(signed, signature)


def _explained(key: SigningKey, signed: bytes, signature: bytes) -> str:
    detail = f"is not that of key {key.id!r} over the {len(signed)} bytes of the signature base"
    why = "" if key.algorithm == HMAC_SHA256 else key.public.explain(signed, signature)
    return f"{detail}: {why}" if why else detail
