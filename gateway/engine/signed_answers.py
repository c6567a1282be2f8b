"""Answers that the gate signs: held until they are whole, within a limit, and signed as they go out."""

import logging
from collections.abc import Iterable

from gateway.core.exchange import Exchange, failure
from gateway.core.message import Headers
from gateway.core.outgoing import Answered, AnswerSigner, Fields, Stamp
from gateway.core.reasons import Denied, Reason
from gateway.engine.problem import BODILESS, Answer
from gateway.engine.translate import decoded
from gateway.signing.httpsig.digest import CONTENT_DIGEST, MismatchError, check_digest

logger = logging.getLogger(__name__)

_FRAMING = frozenset({"content-length", "transfer-encoding"})


def answer_signer(exchange: Exchange) -> AnswerSigner | None:
    """Give what signs the answer to a request; None where nothing does."""
    return exchange.policy.answers if exchange.route is None else exchange.route.answers


def signed_refusal(signer: AnswerSigner, exchange: Exchange, answer: Answer, stamp: Stamp) -> Answer:
    """Sign a refusal of the gate's own. One that cannot be signed goes out as it is: it must be answered."""
    try:
        return _signed(signer, exchange, answer, stamp, own=True)
    except Denied as denied:
        logger.warning("a refusal goes out unsigned: %s", denied.detail)
    except Exception as error:  # noqa: BLE001 - whatever it is, the refusal stands
        logger.error("a refusal goes out unsigned: %s", failure(error).detail)  # noqa: TRY400 - its words may quote
    return answer


def signed_again(
    signer: AnswerSigner, exchange: Exchange, answer: Answer, stamp: Stamp, otherwise: Answer
) -> Answer:  # fmt: skip
    """Sign an upstream's answer that is given again. Where that fails, `otherwise` goes out, and not the answer."""
    try:
        return _signed(signer, exchange, answer, stamp, own=False)
    except Denied as denied:
        logger.warning("an answer is not given again: %s", denied.detail)
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is withheld
        logger.error("an answer is not given again: %s", failure(error).detail)  # noqa: TRY400 - as above
    return signed_refusal(signer, exchange, otherwise, stamp)


def _signed(signer: AnswerSigner, exchange: Exchange, answer: Answer, stamp: Stamp, *, own: bool) -> Answer:
    bodiless = answer.status in BODILESS or (exchange.head is not None and exchange.head.method == "HEAD")
    body = b"" if bodiless else answer.body
    added = signer.sign(exchange, Answered(answer.status, answer.fields, body, own=own), stamp)
    if added is None:
        return answer
    body = answer.body if added.body is None or bodiless else added.body
    return Answer(answer.status, (*_without(answer.fields, added.fields), *added.fields), body)


def held_answer(exchange: Exchange, status: int, fields: Iterable[tuple[bytes, bytes]]) -> "HeldAnswer | None":
    """Begin to hold an upstream's answer; None where it is not signed, and passed on as it comes."""
    signer = answer_signer(exchange)
    if signer is None:
        return None
    bodiless = status in BODILESS or exchange.request.method == "HEAD"
    return HeldAnswer(signer, status, decoded(fields), bodiless=bodiless)


class HeldAnswer:
    """An upstream's answer that is held until it can be signed."""

    def __init__(self, signer: AnswerSigner, status: int, fields: Fields, *, bodiless: bool) -> None:
        """Begin with its head as it would go to the client, framing included."""
        self.status = status
        self.bodiless = bodiless
        self._signer = signer
        self._fields = fields
        self._parts: list[bytes] = []
        self._size = 0
        self._declared = next((value for name, value in fields if name.lower() == "content-length"), "")

    @property
    def too_large(self) -> Denied | None:
        """Why it is not held any longer; None while it may grow."""
        limit = self._signer.limit
        declared = int(self._declared) if self._declared.isdecimal() and len(self._declared) < 20 else 0
        if self._size <= limit and (self.bodiless or declared <= limit):
            return None
        return Denied(Reason.RESPONSE_TOO_LARGE, f"more than the {limit} bytes that are held to be signed")

    def take(self, data: bytes) -> None:
        """Hold a part of the body; none beyond the limit is kept."""
        self._size += len(data)
        if self.too_large is None:
            self._parts.append(data)
        else:
            self._parts = []

    def signed(self, exchange: Exchange, stamp: Stamp) -> tuple[Fields, bytes]:
        """Give the fields of the whole answer, a length included where its body has one, and the body.

        Raises Denied: RESPONSE_TOO_LARGE, UPSTREAM_BROKEN where its own digest is another than its body's,
        RESPONSE_UNSIGNABLE.
        """
        if (denied := self.too_large) is not None:
            raise denied
        body = b"".join(self._parts)
        lines = [(name, value.strip(" \t")) for name, value in self._fields]
        if not self.bodiless:
            lines = [line for line in lines if line[0].lower() not in _FRAMING]
        lowered = [(name.lower(), value) for name, value in lines if name.lower() not in _FRAMING]
        if not self.bodiless:
            _check(Headers(lowered), body)
        added = self._signer.sign(exchange, Answered(self.status, lowered, body), stamp)
        fields = [] if added is None else added.fields
        if not self.bodiless:
            body = body if added is None or added.body is None else added.body
            fields = [*fields, ("content-length", str(len(body)))]
        return [*_without(lines, fields), *fields], body


def _check(headers: Headers, body: bytes) -> None:
    """Refuse to sign what the upstream itself says is not its answer."""
    try:
        for text in headers.all(CONTENT_DIGEST):
            check_digest(CONTENT_DIGEST, text, body)
    except MismatchError as error:
        raise Denied(Reason.UPSTREAM_BROKEN, str(error)) from None
    except ValueError:
        pass  # no digest that counts: the gate's own takes its place


def _without(lines: Fields | tuple[tuple[str, str], ...], added: Fields) -> Fields:
    names = {name for name, _ in added}
    return [line for line in lines if line[0].lower() not in names]
