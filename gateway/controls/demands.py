"""What a route asks of single claims: that they are there, what they say, and that they are those of path and body."""

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hmac import compare_digest
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote

from gateway.core.chain import Answer, Ask
from gateway.core.reasons import Denied, Reason

if TYPE_CHECKING:
    from gateway.core.exchange import Exchange

MAX_STEPS = 8
"""Members that a pointer leads through."""

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])+)+\Z")


class AmbiguousError(ValueError):
    """Two members that some programs take for one: they differ in case alone."""


def pointer_steps(text: str) -> tuple[str, ...]:
    """Give the members that a JSON pointer (RFC 6901) leads through; a text that begins with no `/` is one member.

    Raises ValueError for what is neither.
    """
    if not text.startswith("/"):
        return (text,)
    if not _POINTER.match(text):
        raise ValueError("no JSON pointer (RFC 6901)")
    steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))
    if len(steps) > MAX_STEPS:
        raise ValueError(f"leads through {len(steps)} members; at most {MAX_STEPS} are taken")
    return steps


def look_up(values: Mapping[str, object], steps: tuple[str, ...]) -> object:
    """Give what stands at the end of the steps; None where nothing does, or JSON's null.

    Raises AmbiguousError where a member on the way has another beside it that differs in case alone: Go and others
    would take either.
    """
    found: object = values
    for step in steps:
        if not isinstance(found, Mapping):
            return None
        if step not in found or any(key != step and key.casefold() == step.casefold() for key in found):
            if any(key.casefold() == step.casefold() for key in found):
                raise AmbiguousError(f"{step} stands there in several spellings, or in another one")
            return None
        found = found[step]
    return found


def as_text(value: object) -> str | None:
    """Give a text, or a whole number as text, for comparison; None for all else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of one claim, whichever request it comes with."""

    claim: str
    """Its name, or a JSON pointer into the claims."""
    values: frozenset[str] | None = None
    """It is one of these, or a list that holds one of them; None: it is there."""
    forbidden: bool = False
    """It is not there."""

    def check(self, claims: Mapping[str, object]) -> None:
        """Raise Denied(TOKEN_CLAIM_RULE) where the claims do not meet it; no value is shown."""
        steps = pointer_steps(self.claim)
        if self.forbidden:
            if _stands(claims, steps):
                raise Denied(Reason.TOKEN_CLAIM_RULE, f"{self.claim} is there, and must not be")
            return
        found = _found(claims, steps, self.claim)
        if found is None:
            raise Denied(Reason.TOKEN_CLAIM_RULE, f"{self.claim} is missing")
        if self.values is None:
            return
        given = found if isinstance(found, list) else [found]
        if self.values.isdisjoint(text for text in map(as_text, given) if text is not None):
            raise Denied(Reason.TOKEN_CLAIM_RULE, f"{self.claim} has none of the values that the route takes")


@dataclass(frozen=True, slots=True)
class PathTie:
    """A claim that must equal a parameter of the route's path."""

    claim: str
    parameter: str

    def check(self, claims: Mapping[str, object], template: str, path: str) -> None:
        """Raise Denied(TOKEN_RESOURCE) where they differ. Segments are compared as the upstream will decode them."""
        segment = path.split("/")[_place(template, self.parameter)]
        _compare(claims, self.claim, unquote(segment, errors="strict"), f"{{{self.parameter}}} of the path")


@dataclass(frozen=True, slots=True)
class BodyTie:
    """A claim that must equal a member of a JSON body."""

    claim: str
    member: str
    """Its name, or a JSON pointer into the body."""

    def check(self, claims: Mapping[str, object], body: Mapping[str, object]) -> None:
        """Raise Denied(TOKEN_RESOURCE) where they differ."""
        try:
            found = as_text(look_up(body, pointer_steps(self.member)))
        except AmbiguousError as error:
            raise Denied(Reason.TOKEN_RESOURCE, f"body: {error}") from None
        if found is None:
            raise Denied(Reason.TOKEN_RESOURCE, f"{self.member} of the body is missing, or neither text nor number")
        _compare(claims, self.claim, found, f"{self.member} of the body")


@dataclass(frozen=True, slots=True)
class TokenBody:
    """Compares claims with the body. The gate puts it behind all other controls of routes whose token asks for it."""

    ties: tuple[BodyTie, ...]

    name: ClassVar[str] = "token.body"

    def check(self, exchange: "Exchange") -> Generator[Ask, Answer, None]:
        """Raise Denied: TOKEN_RESOURCE where a claim differs, or as `Exchange.read_document`."""
        claims = exchange.claims
        if claims is None:
            raise RuntimeError("no control verified a token")
        body = yield from exchange.read_document()
        if not isinstance(body, dict):
            raise Denied(Reason.TOKEN_RESOURCE, "the body is no JSON object")
        for tie in self.ties:
            tie.check(claims.all, body)


def _stands(claims: Mapping[str, object], steps: tuple[str, ...]) -> bool:
    """Whether a claim is there, be it null or in another spelling."""
    try:
        *way, last = steps
        holder = look_up(claims, tuple(way))
        return isinstance(holder, Mapping) and (last in holder or look_up(holder, (last,)) is not None)
    except AmbiguousError:
        return True


def _found(claims: Mapping[str, object], steps: tuple[str, ...], claim: str) -> object:
    try:
        return look_up(claims, steps)
    except AmbiguousError as error:
        raise Denied(Reason.TOKEN_CLAIM_RULE, f"{claim}: {error}") from None


def _compare(claims: Mapping[str, object], claim: str, with_text: str, what: str) -> None:
    text = as_text(_found(claims, pointer_steps(claim), claim))
    if text is None:
        raise Denied(Reason.TOKEN_CLAIM_RULE, f"{claim} is missing, or neither text nor whole number")
    if not compare_digest(text.encode("utf-8", "surrogatepass"), with_text.encode("utf-8", "surrogatepass")):
        raise Denied(Reason.TOKEN_RESOURCE, f"{claim} is not {what}")


@lru_cache(maxsize=1024)
def _place(template: str, parameter: str) -> int:
    """Give the number of a parameter's segment. The policy was refused where there is none."""
    return template.split("/").index(f"{{{parameter}}}")
